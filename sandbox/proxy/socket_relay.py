"""SocketRelay: bytes between two plain sockets, by reads and writes, by splice(2) once a direction is bulk.

Half-close passes through; a direction holds back at most 1 MiB, then its source waits
until the sink takes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from typing import Final

from sandbox.proxy.pipe_pool import Pipe, PipePool
from sandbox.proxy.poller import poller_of
from sandbox.proxy.relay import Relay, RelayEnd, reset

READ_BYTES: Final = 65_536
BULK_READS: Final = 2
"""So many full reads in a row make a direction bulk."""
SMALL_SPLICE: Final = 4096
SMALL_SPLICES: Final = 32
"""So many small pieces in a row end it."""
LINGER_SECONDS: Final = 60.0

_buffer = memoryview(bytearray(READ_BYTES))
"""One for all: every read is written, or copied, before the next."""

CAN_SPLICE: Final = hasattr(os, "splice")
_pipes = PipePool()


class Direction:
    """One of the two: from ``source`` to ``sink``. ``count`` is what was read."""

    __slots__ = (
        "count",
        "full_reads",
        "in_pipe",
        "is_done",
        "is_writing",
        "pending",
        "pipe",
        "receive",
        "relay",
        "send",
        "sink",
        "sink_fd",
        "small_splices",
        "source",
        "source_ended",
        "source_fd",
    )

    def __init__(self, relay: SocketRelay, source: socket.socket, sink: socket.socket) -> None:
        self.relay = relay
        self.source, self.sink = source, sink
        self.source_fd, self.sink_fd = source.fileno(), sink.fileno()
        self.receive, self.send = source.recv_into, sink.send
        self.count = 0
        self.pending = b""
        self.full_reads = 0
        self.source_ended = False
        self.is_done = False
        self.is_writing = False
        self.pipe: Pipe | None = None
        self.in_pipe = 0
        self.small_splices = 0

    @property
    def holds_bytes(self) -> bool:
        """Something read is not written yet."""
        return bool(self.pending) or self.in_pipe > 0

    # --- plain reads and writes ---

    def readable(self) -> None:
        try:
            size = self.receive(_buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.relay.read_failed(self, error)
            return
        if not size:
            self._source_ended()
            return
        relay = self.relay
        relay.last_activity = relay.now()
        self.count += size
        if relay.denies and self is relay.upward:
            relay.deny()
            return
        try:
            sent = self.send(_buffer[:size])
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            relay.write_failed(self, error)
            return
        if sent != size:
            self.pending = bytes(_buffer[sent:size])
            self._hold_back()
        elif size == READ_BYTES:
            self.full_reads += 1
            if self.full_reads >= BULK_READS and CAN_SPLICE:
                self._become_bulk()
        else:
            self.full_reads = 0

    def writable(self) -> None:
        relay = self.relay
        relay.last_activity = relay.now()
        if self.in_pipe:
            self._drain_pipe()
            return
        try:
            sent = self.send(self.pending)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            relay.write_failed(self, error)
            return
        self.pending = self.pending[sent:]
        if not self.pending:
            self._flow_again()

    def _hold_back(self) -> None:
        if not self.is_writing:
            self.is_writing = True
            poller = self.relay.poller
            poller.remove_reader(self.source_fd)
            poller.add_writer(self.sink_fd, self.writable)

    def _flow_again(self) -> None:
        poller = self.relay.poller
        if self.is_writing:
            self.is_writing = False
            poller.remove_writer(self.sink_fd)
            if not self.source_ended:
                poller.add_reader(self.source_fd, self.readable if self.pipe is None else self.spliceable)
        if self.source_ended:
            self._shut_sink()

    def _source_ended(self) -> None:
        relay = self.relay
        if relay.denies and self is relay.upward:
            relay.deny()
            return
        self.source_ended = True
        relay.poller.remove_reader(self.source_fd)
        if not self.holds_bytes:
            self._shut_sink()

    def _shut_sink(self) -> None:
        """Passes the end on; where the other direction has ended already, closing both says the same."""
        self.is_done = True
        relay = self.relay
        if relay.upward.is_done and relay.downward.is_done:
            relay.close()
            return
        with contextlib.suppress(OSError):
            self.sink.shutdown(socket.SHUT_WR)

    # --- splice ---

    def _become_bulk(self) -> None:
        self.full_reads = 0
        self.pipe = _pipes.take()
        if self.pipe is not None:
            self.small_splices = 0
            self.relay.poller.add_reader(self.source_fd, self.spliceable)

    def spliceable(self) -> None:
        pipe, relay = self.pipe, self.relay
        if pipe is None:
            return
        try:
            size = os.splice(self.source_fd, pipe.writing, pipe.size, flags=_SPLICE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            relay.read_failed(self, error)
            return
        if not size:
            self._source_ended()
            return
        relay.last_activity = relay.now()
        self.count += size
        self.in_pipe += size
        self.small_splices = self.small_splices + 1 if size < SMALL_SPLICE else 0
        self._drain_pipe()

    def _drain_pipe(self) -> None:
        pipe = self.pipe
        if pipe is None:
            return
        try:
            self.in_pipe -= os.splice(pipe.reading, self.sink_fd, self.in_pipe, flags=_SPLICE)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self.relay.write_failed(self, error)
            return
        if self.in_pipe:
            self._hold_back()
            return
        if self.small_splices >= SMALL_SPLICES and not self.source_ended:
            self.release_pipe()
            if not self.is_writing:
                self.relay.poller.add_reader(self.source_fd, self.readable)
        if self.is_writing or self.source_ended:
            self._flow_again()

    def release_pipe(self) -> None:
        """Gives the pipe back, if there is one."""
        pipe, self.pipe = self.pipe, None
        if pipe is not None:
            _pipes.give_back(pipe, is_empty=not self.in_pipe)
            self.in_pipe = 0


_SPLICE: Final = getattr(os, "SPLICE_F_MOVE", 0) | getattr(os, "SPLICE_F_NONBLOCK", 0)


class SocketRelay(Relay):
    """Between two sockets; closed from our side, both are closed as they are."""

    __slots__ = ("_lingering", "downward", "poller", "upward")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sockets: tuple[socket.socket, socket.socket], idle_seconds: float | None
    ) -> None:
        super().__init__(loop, idle_seconds)
        self.poller = poller_of(loop)
        downstream, upstream = sockets
        self.upward = Direction(self, downstream, upstream)
        self.downward = Direction(self, upstream, downstream)
        self._lingering: Direction | None = None

    @property
    def received(self) -> int:
        """Bytes from the client."""
        return self.upward.count

    @property
    def sent(self) -> int:
        """Bytes from the upstream."""
        return self.downward.count

    def _read(self) -> None:
        self.poller.add_reader(self.upward.source_fd, self.upward.readable)
        self.poller.add_reader(self.downward.source_fd, self.downward.readable)

    def read_failed(self, direction: Direction, error: OSError) -> None:
        """The source is gone: an upstream's RST goes on as RST, a client's ends in FIN after what it had sent."""
        if direction is self.downward:
            if error.errno == errno.ECONNRESET:
                self._finish(RelayEnd(upstream_reset=True))
            else:
                self._finish(RelayEnd())
            return
        self._lingering = self.upward if self.upward.holds_bytes else None
        self._finish(RelayEnd(client_reset=error.errno == errno.ECONNRESET))

    def write_failed(self, direction: Direction, error: OSError) -> None:
        """The sink is gone."""
        self._finish(RelayEnd(upstream_reset=direction is self.upward and error.errno == errno.ECONNRESET))

    def _close_sides(self, end: RelayEnd) -> None:
        self._stop(self.upward, self.downward)
        self.downward.release_pipe()
        downstream, upstream = self.upward.source, self.downward.source
        if end.upstream_reset:
            reset(downstream)
        else:
            downstream.close()
        if self._lingering is None:
            self.upward.release_pipe()
            upstream.close()
        else:
            _Lingering(self.loop, self._lingering)
        del self.upward.relay, self.downward.relay

    def _stop(self, *directions: Direction) -> None:
        for direction in directions:
            self.poller.remove_reader(direction.source_fd)
            self.poller.remove_writer(direction.sink_fd)


class _Lingering:
    """Writes what a client sent before it reset the connection, then closes the upstream."""

    __slots__ = ("_direction", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, direction: Direction) -> None:
        self._loop = loop
        self._direction = direction
        self._timer = loop.call_later(LINGER_SECONDS, self._end)
        poller_of(loop).add_writer(direction.sink_fd, self._writable)

    def _writable(self) -> None:
        direction = self._direction
        try:
            if direction.pipe is not None and direction.in_pipe:
                direction.in_pipe -= os.splice(
                    direction.pipe.reading, direction.sink_fd, direction.in_pipe, flags=_SPLICE
                )
            else:
                direction.pending = direction.pending[direction.send(direction.pending) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end()
            return
        if not direction.holds_bytes:
            self._end()

    def _end(self) -> None:
        self._timer.cancel()
        poller_of(self._loop).remove_writer(self._direction.sink_fd)
        self._direction.release_pipe()
        self._direction.sink.close()
