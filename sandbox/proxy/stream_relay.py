"""StreamRelay: bytes between two transports, for connections where one side at least is TLS.

A side that writes more slowly than the other reads pauses it: each direction holds back at most 256 KiB.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

from sandbox.proxy.relay import Relay, RelayEnd, reset_when_closed

HIGH_WATER: Final = 131_072
READ_BYTES: Final = 65_536


class StreamEnd(asyncio.Protocol):
    """One side. Until it has a peer it keeps what arrives, and reads no more."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: StreamEnd | None = None
        self.relay: StreamRelay | None = None
        self.waiting: Callable[[bytes], None] | None = None
        """Takes what arrives before there is a peer; an empty piece is the end."""
        self.early = b""
        """What arrived for the peer before there was one."""
        self.count = 0
        """Bytes read."""
        self.has_ended = False
        self.lost: Exception | None = None
        self.is_lost = False

    @property
    def has_no_halves(self) -> bool:
        """Whether the end of one side is that of both."""
        return False

    def read_first(self, sock: socket.socket) -> None:
        """Reads what is there, before the socket becomes a transport."""
        try:
            self.early = sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.lost, self.is_lost = error, True
            sock.close()
            return
        self.has_ended = not self.early

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self.waiting is not None:
            self.waiting(data)
            return
        peer, relay = self.peer, self.relay
        if peer is None or peer.transport is None or relay is None:
            self.early += data  # uvloop begins to read although connection_made has paused it
            if self.transport is not None:
                self.transport.pause_reading()
            return
        self.count += len(data)
        relay.last_activity = relay.now()
        if relay.denies and self is relay.downstream:
            relay.deny()
            return
        if not peer.is_lost:
            peer.write(data)

    def write(self, data: bytes) -> None:
        """Bytes of the peer."""
        if self.transport is not None:
            self.transport.write(data)

    def write_eof(self) -> None:
        """The peer will say no more."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()

    def eof_received(self) -> bool:
        if not self.has_ended:
            self.has_ended = True
            if self.waiting is not None:
                self.waiting(b"")
            if self.relay is not None:
                self.pass_end_on(self.relay)
        return self.transport is not None and not self.transport.is_closing()

    def pass_end_on(self, relay: StreamRelay) -> None:
        """This side will say no more."""
        if relay.denies and self is relay.downstream:
            relay.deny()
            return
        if self.peer is not None and not self.peer.is_lost:
            self.peer.write_eof()
        relay.side_ended()

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None and not self.peer.transport.is_closing():
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self.lost = exc
        if self.waiting is not None:
            self.waiting(b"")
        if self.relay is not None:
            self.relay.side_lost(self)

    def resume(self) -> None:
        """The peer is there: read."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def close(self) -> None:
        """Writes what waits, then closes."""
        if self.transport is not None and not self.is_lost:
            self.transport.close()

    def reset(self) -> None:
        """Closes with RST."""
        if self.transport is None or self.is_lost:
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            reset_when_closed(sock)
        self.transport.abort()


class StreamRelay(Relay):
    """Between two transports."""

    __slots__ = ("downstream", "upstream")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ends: tuple[StreamEnd, StreamEnd],
        idle_seconds: float | None,
    ) -> None:
        super().__init__(loop, idle_seconds)
        self.downstream, self.upstream = ends

    @property
    def received(self) -> int:
        """Bytes from the client."""
        return self.downstream.count

    @property
    def sent(self) -> int:
        """Bytes from the upstream."""
        return self.upstream.count

    def _read(self) -> None:
        self.downstream.peer, self.upstream.peer = self.upstream, self.downstream
        self.downstream.relay = self.upstream.relay = self
        for end in (self.upstream, self.downstream):
            early, end.early = end.early, b""
            if early:
                end.data_received(early)
        for end in (self.downstream, self.upstream):
            if end.is_lost:
                self.side_lost(end)
                return
        for end in (self.upstream, self.downstream):
            if end.has_ended and not self.is_over:
                end.pass_end_on(self)
            end.resume()

    def side_ended(self) -> None:
        """A side has sent its FIN."""
        if (self.downstream.has_ended and self.upstream.has_ended) or self.upstream.has_no_halves:
            self._finish(RelayEnd())

    def side_lost(self, end: StreamEnd) -> None:
        """A side is closed; an upstream's RST goes on as RST."""
        was_reset = isinstance(end.lost, ConnectionResetError) and not end.has_no_halves
        is_upstream = end is self.upstream
        self._finish(RelayEnd(upstream_reset=was_reset and is_upstream, client_reset=was_reset and not is_upstream))

    def _close_sides(self, end: RelayEnd) -> None:
        if end.upstream_reset:
            self.downstream.reset()
        else:
            self.downstream.close()
        self.upstream.close()
