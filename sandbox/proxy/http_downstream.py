"""The HTTP/1 side of a client's connection: one request after the other, and when to close."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, cast

from sandbox.proxy.http1_clock import Http1Clock
from sandbox.proxy.http_stream import HttpStream
from sandbox.proxy.http_stream_setup import body_of
from sandbox.proxy.http_upstream_head import CHUNKED, NO_CONTENT, original_names, render_headers
from sandbox.proxy.read_away import read_away
from sandbox.wire.http1_body import LAST_CHUNK, BodyError, BodyReader, chunk
from sandbox.wire.http1_request import head_sizes
from sandbox.wire.http_message import Header, Refusal, RequestHead
from sandbox.wire.http_status import STATUS_LINES, status_line

if TYPE_CHECKING:
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.proxy.http_connection_manager import HttpConnectionManagerRuntime
    from sandbox.proxy.http_timeouts import HeadLimit

log = logging.getLogger("sandbox.proxy")

_MOST_AHEAD = 64 * 1024
"""Bytes of further requests that are read ahead; until then a client that leaves is noticed, as by Envoy."""

MOST_QUEUED_RESPONSES = 2
"""Envoy's ``kMaxOutboundResponses``: who asks on while so many responses are not yet written is no good client."""

HEAD, BODY, WAIT, CLOSING = range(4)
"""Reading a head; reading a body; waiting for the response's end; waiting to close."""


class Http1ServerConnection(asyncio.Protocol):
    """One client connection under one connection manager."""

    __slots__ = (
        "_answered",
        "_body",
        "_buffer",
        "_clock",
        "_head_since",
        "_head_timer",
        "_held",
        "_is_chunked",
        "_is_processing",
        "_is_reading_paused",
        "_state",
        "connection",
        "is_draining",
        "is_http1",
        "manager",
        "stream",
        "transport",
    )

    def __init__(self, manager: HttpConnectionManagerRuntime, connection: DownstreamConnection) -> None:
        self.manager = manager
        self.connection = connection
        self.transport: asyncio.Transport
        self.stream: HttpStream | None = None
        self.is_draining = False
        self.is_http1 = True
        self._state = HEAD
        self._buffer = b""
        self._body: BodyReader | None = None
        self._held: list[bytes] = []
        """Parts of a response not yet written: what one event brings goes out in one piece."""
        self._is_chunked = False
        self._is_processing = False
        self._is_reading_paused = False
        self._head_since: tuple[float, float] | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._answered = 0
        """Requests answered since the client's bytes were read last: their responses are still on their way."""
        self._clock: Http1Clock | None = None

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's
        self.connection.on_drain, self.connection.on_abort = self.drain, self.transport.abort
        self._clock = Http1Clock(self)
        self._clock.start()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        try:
            if self._state == HEAD:
                self._buffer = self._buffer + data if self._buffer else data
                if not self._is_processing:
                    self._answered = 0
                    self._process()
            elif self._state == BODY:
                if self.stream is not None:
                    self.stream.info.wire_bytes_received += len(data)
                self._read_body(data)
                if self.stream is not None:
                    self.stream.flush_request()
            elif self._state == WAIT:
                self._buffer += data
                self._pause_reading(len(self._buffer) > _MOST_AHEAD)
        except Exception:  # the guard of one connection: the others go on
            log.exception("connection %d: fault while reading", self.connection.connection_id)
            self.transport.abort()

    def eof_received(self) -> bool:
        """See asyncio.Protocol: a client that ends its side has left."""
        self._client_left()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._client_left()
        self._stop_clocks()
        self.connection.finished()

    def _stop_clocks(self) -> None:
        if self._clock is not None:
            self._clock.stop()
            self._clock = None  # they know each other: without this only the garbage collector would free them
        if self._head_timer is not None:
            self._head_timer.cancel()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.stream is not None:
            self.stream.downstream_writable(False)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.stream is not None:
            self.stream.downstream_writable(True)

    def _client_left(self) -> None:
        if self._state == CLOSING:
            return
        if self.stream is None and self._buffer and self._head_since is not None:
            self.stream = HttpStream(self, *self._head_since)
            self.stream.info.wire_bytes_received = len(self._buffer)
        self._state = CLOSING
        self._buffer = b""
        if self.stream is not None:
            self.stream.downstream_closed()

    def let_go(self) -> tuple[asyncio.Transport, bytes]:
        """Between two requests: the transport and what was read go to somebody else, this protocol is done."""
        self._stop_clocks()
        self._state = CLOSING
        data, self._buffer = self._buffer, b""
        self.connection.on_drain = self.connection.on_abort = None
        self.connection.finished()
        return self.transport, data

    # --- reading ---

    def _process(self) -> None:
        """Takes heads out of the buffer while no request is under way."""
        self._is_processing = True
        redirect = self.connection.redirect
        while self._state == HEAD and self._buffer:
            if redirect is not None:
                self._buffer = redirect(self._buffer, self)
            if not self._buffer:
                break
            if self._answered >= MOST_QUEUED_RESPONSES:
                self._refuse_pipelining()
                break
            if not self._read_head():
                break
        self._is_processing = False
        if self._state == BODY and self.stream is not None:  # what is complete has been sent
            self.stream.flush_request()

    def _refuse_pipelining(self) -> None:
        """The client asks on while responses are queued (``doFloodProtectionChecks``): no answer, and the end."""
        stream = HttpStream(self, time.monotonic(), time.time())
        stream.info.wire_bytes_received = len(self._buffer)
        self._buffer = b""
        stream.info.response_flags.append("DPE")
        stream.info.response_code_details = "codec_error:Too_many_responses_queued."
        stream.reset()

    def _read_head(self) -> bool:
        """One head; false where it is not complete."""
        manager = self.manager
        data = self._buffer
        head = manager.head_reader.read(data)
        if head is None:
            self._head_incomplete()
            return False
        if self._head_since is None:
            start, start_wall = time.monotonic(), time.time()
        else:
            start, start_wall = self._head_since
            self._head_complete()
        self.stream = stream = HttpStream(self, start, start_wall)
        if manager.counts_wire:
            stream.info.request_headers_bytes, stream.info.wire_bytes_received = head_sizes(data, head)
        if type(head) is Refusal:
            self._buffer = b""
            self._state = WAIT
            stream.codec_error(head)
            return False
        stream.info.wire_bytes_received = len(data)  # what follows the head is counted too, now and when it is read
        self._begin_request(stream, head, data[head.size :])
        return True

    def _begin_request(self, stream: HttpStream, head: RequestHead, rest: bytes) -> None:
        self._body = body_of(head) if head.marked or head.path is None else None
        if self._body is None:
            self._buffer = rest
            self._state = WAIT
            stream.decode_head(head, True)
            return
        self._buffer = b""
        self._state = BODY
        stream.decode_head(head, False)
        if rest and self._state == BODY:
            self._read_body(rest)

    def _read_body(self, data: bytes) -> None:
        body, stream = self._body, self.stream
        assert body is not None
        assert stream is not None
        try:
            payload, rest = body.feed(data)
        except BodyError as error:
            if error.payload:
                stream.decode_data(error.payload)
            self._state = WAIT
            stream.codec_error(error.refusal)
            return
        if payload:
            stream.decode_data(payload)
        if body.is_done and self._state == BODY:
            self._state = WAIT
            self._buffer = rest
            stream.decode_end()

    def _head_incomplete(self) -> None:
        if self._head_since is None:
            self._head_since = time.monotonic(), time.time()
            if (limit := self.manager.head_limit) is not None:
                self._head_timer = asyncio.get_running_loop().call_later(limit.seconds, self._on_head_timeout, limit)

    def _head_complete(self) -> None:
        self._head_since = None
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self, limit: HeadLimit) -> None:
        self._head_timer = None
        if self._state != HEAD or self._head_since is None:
            return
        self.stream = HttpStream(self, *self._head_since)
        self._head_complete()
        self._buffer = b""
        self._state = WAIT
        self.is_draining = True
        self.stream.info.response_flags += limit.flags
        self.stream.local_reply(408, limit.body, limit.details)

    def pause_request(self, is_paused: bool) -> None:
        """See DownstreamCodec."""
        if self._state == BODY:
            self._pause_reading(is_paused)

    def _pause_reading(self, is_paused: bool) -> None:
        if is_paused != self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = is_paused
            (self.transport.pause_reading if is_paused else self.transport.resume_reading)()

    # --- writing ---

    def write_informational(self, status: int, headers: list[Header], names: bytes | None) -> None:
        """See DownstreamCodec."""
        fields = render_headers(headers, original_names(names) if names is not None else None)
        assert self.stream is not None
        info = self.stream.info
        line = status_line(status, b"HTTP/1.0" if info.protocol == "HTTP/1.0" else b"HTTP/1.1")
        info.wire_bytes_sent += len(line) + len(fields) + 2
        info.response_headers_bytes += len(fields)
        self._held.append(b"%b%b\r\n" % (line, fields))
        self.flush()

    def write_head(
        self, stream: HttpStream, status: int, headers: list[Header], is_end: bool, names: bytes | None
    ) -> None:
        """See DownstreamCodec."""
        is_http11 = stream.info.protocol != "HTTP/1.0"
        line = (STATUS_LINES.get(status) if is_http11 else status_line(status, b"HTTP/1.0")) or status_line(status)
        framing: list[Header] = []
        self._is_chunked = False
        has_length = False
        for name, _ in headers:
            if name == b"content-length":
                has_length = True
                break
        if has_length or status < 200 or status in (204, 304):
            pass
        elif is_end and not stream.is_head:
            framing = NO_CONTENT
        elif is_http11:
            framing = CHUNKED
            self._is_chunked = not stream.is_head
        original = original_names(names) if names is not None else None
        data = b"%b%b%b\r\n" % (line, render_headers(headers, original), render_headers(framing, original))
        if self.manager.counts_wire:
            stream.info.response_headers_bytes += len(data) - len(line) - 2
        stream.info.wire_bytes_sent += len(data)
        self._held.append(data)

    def write_data(self, data: bytes) -> None:
        """See DownstreamCodec."""
        framed = chunk(data) if self._is_chunked else data
        if self.stream is not None:
            self.stream.info.wire_bytes_sent += len(framed)
        self._held.append(framed)

    def write_trailers(self, headers: list[Header]) -> None:
        """See DownstreamCodec: Envoy drops trailers of HTTP/1 unless told otherwise, and Istio does not tell."""

    def write_end(self) -> None:
        """See DownstreamCodec."""
        if self._is_chunked:
            self._held.append(LAST_CHUNK)
            self._is_chunked = False
            if self.stream is not None:
                self.stream.info.wire_bytes_sent += len(LAST_CHUNK)

    def flush(self) -> None:
        """Writes what is held."""
        held = self._held
        if held:
            self.transport.write(held[0] if len(held) == 1 else b"".join(held))
            held.clear()

    def enter_tunnel(self) -> None:
        """See DownstreamCodec."""
        self._is_chunked = False

    # --- the end of a stream, and of the connection ---

    def stream_ended(self, stream: HttpStream, is_reset: bool, is_immediate: bool) -> None:
        """See DownstreamCodec."""
        if closes := self._state != CLOSING and (is_reset or self.is_draining or self._state == BODY):
            self._stop_reading()
        self.flush()
        self.stream = None
        if closes:
            self._close(is_immediate=is_immediate)
        if self._state == CLOSING:
            return
        self._state = HEAD
        self._answered = self._answered + 1 if self._is_processing else 1
        if self._clock is not None:
            self._clock.touch()
        if self._is_reading_paused:
            self._pause_reading(False)
        if self._buffer and not self._is_processing:
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._process)  # an upstream that has closed is heard before

    def _close(self, *, is_immediate: bool) -> None:
        """Closes once everything is written: now, or after the time given to the client to close first."""
        self._state = CLOSING
        self._buffer = b""
        delay = self.manager.delayed_close_timeout
        if is_immediate or delay <= 0:
            self.transport.close()
        else:
            asyncio.get_running_loop().call_later(delay, self.transport.close)

    def _stop_reading(self) -> None:
        """What is here is read; what comes now stays in the kernel, so that closing resets the connection."""
        read_away(self.transport)
        self._pause_reading(True)

    def drain(self) -> None:
        """The server shuts down: an idle connection is closed, a busy one after its response."""
        self.is_draining = True
        if self.stream is None and self._state == HEAD and not self._buffer:
            self._state = CLOSING
            self.transport.close()

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or has begun to arrive."""
        return self.stream is not None or self._head_since is not None

    def close_if_idle(self) -> None:
        """Its time is over (called by the clock)."""
        if self.stream is None and self._state == HEAD:
            self._close(is_immediate=False)
