"""The HTTP/2 side of a client's connection: many streams, each with a codec of its own towards ``HttpStream``."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, cast

import h2.events

from sandbox.proxy.http2_settings import settings_of
from sandbox.proxy.http_stream import HttpStream
from sandbox.wire.http2 import INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Event, Http2Codec, Http2Error
from sandbox.wire.http2_head import VIOLATION, InvalidHead, check_size, read_request_head, read_trailers
from sandbox.wire.http_message import Header

if TYPE_CHECKING:
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.proxy.http_connection_manager import HttpConnectionManagerRuntime

log = logging.getLogger("sandbox.proxy")
WRITE_LIMIT = 256 * 1024
"""Response bytes a stream may hold while the client's window is shut."""


class Http2ServerStream:
    """``DownstreamCodec`` of one stream."""

    __slots__ = (
        "_held",
        "_is_paused",
        "_owner",
        "_unacknowledged",
        "connection",
        "expected",
        "is_http1",
        "is_remote_done",
        "is_sent",
        "manager",
        "received",
        "stream",
        "stream_id",
    )

    def __init__(self, owner: Http2ServerConnection, stream_id: int) -> None:
        self._owner = owner
        self.manager = owner.manager
        self.connection = owner.connection
        self.stream_id = stream_id
        self.is_http1 = False
        self.is_remote_done = False
        """The client has said END_STREAM, and we have come to it."""
        self.is_sent = False
        self.expected: int | None = None
        self.received = 0
        self._held: list[bytes] = []
        self._is_paused = False
        self._unacknowledged = 0
        self.stream = HttpStream(self, time.monotonic(), time.time())
        self.stream.info.protocol = "HTTP/2"

    @property
    def is_draining(self) -> bool:
        """One stream's end never closes the connection."""
        return False

    @is_draining.setter
    def is_draining(self, value: bool) -> None:
        if value and self.manager.node.draining:
            self._owner.drain()

    # --- to the client ---

    def write_informational(self, status: int, headers: list[Header]) -> None:
        """See DownstreamCodec."""
        self._owner.codec.send_headers(self.stream_id, [(b":status", b"%d" % status), *headers], is_end=False)
        self._owner.send()

    def write_head(
        self, stream: HttpStream, status: int, headers: list[Header], *, is_end: bool, names: bytes | None
    ) -> None:
        """See DownstreamCodec."""
        fields = [(b":status", b"%d" % status), *headers]
        self.is_sent = is_end
        self._owner.codec.send_headers(self.stream_id, fields, is_end=is_end)
        if self.manager.counts_wire:
            size = sum(len(name) + len(value) + 3 for name, value in fields)
            stream.info.response_headers_bytes = size
            stream.info.wire_bytes_sent += size

    def write_data(self, data: bytes) -> None:
        """See DownstreamCodec."""
        self._held.append(data)

    def write_trailers(self, headers: list[Header]) -> None:
        """Fields after the payload; they end the response."""
        self._send_held(is_end=False)
        if not self.is_sent:
            self.is_sent = True
            self._owner.codec.send_headers(self.stream_id, headers, is_end=True)

    def write_end(self) -> None:
        """See DownstreamCodec."""
        if self.is_sent:
            return
        info = self.stream.info
        # Envoy's HTTP/1 upstream codec tells the end apart from the last payload, so it has a frame of its own.
        if self._held and info.upstream_protocol == "HTTP/1.1" and info.response_code_details == "via_upstream":
            self._send_held(is_end=False)
        self.is_sent = True
        self._send_held(is_end=True)

    def _send_held(self, *, is_end: bool) -> None:
        data = b"".join(self._held)
        self._held.clear()
        if data or is_end:
            self._owner.codec.send_data(self.stream_id, data, is_end=is_end)

    def flush(self) -> None:
        """See DownstreamCodec."""
        if not self.is_sent:
            self._send_held(is_end=False)
        self._owner.send()
        if self._owner.codec.waiting_bytes(self.stream_id) > WRITE_LIMIT:
            self.stream.downstream_writable(False)

    def enter_tunnel(self) -> None:
        """See DownstreamCodec."""

    def stream_ended(self, stream: HttpStream, *, is_reset: bool, is_immediate: bool) -> None:
        """See DownstreamCodec."""
        self._owner.stream_ended(self, is_reset=is_reset)

    # --- back-pressure of the upstream ---

    def pause_request(self, is_paused: bool) -> None:
        """See DownstreamCodec: what is not acknowledged keeps the client's window shut."""
        self._is_paused = is_paused
        if not is_paused:
            size, self._unacknowledged = self._unacknowledged, 0
            self._owner.codec.acknowledge(self.stream_id, size)
            self._owner.send()

    def consumed(self, size: int) -> None:
        """Payload has gone on."""
        if self._is_paused:
            self._unacknowledged += size
        else:
            self._owner.codec.acknowledge(self.stream_id, size)


class Http2ServerConnection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, manager: HttpConnectionManagerRuntime, connection: DownstreamConnection) -> None:
        self.manager = manager
        self.connection = connection
        self.transport: asyncio.Transport
        self.codec = Http2Codec(is_client=False, settings=settings_of(manager.plan.http2_protocol_options))
        self.streams: dict[int, Http2ServerStream] = {}
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._is_dead = False
        """Nothing is read or written any more; the connection is about to be closed."""
        self._is_draining = False
        self._is_receiving = False

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's
        self.connection.on_drain = self.drain
        loop = asyncio.get_running_loop()
        self._idle_since = loop.time()
        if self.manager.idle_timeout > 0:
            self._idle_timer = loop.call_later(self.manager.idle_timeout, self._on_idle)
        if self.manager.max_connection_duration > 0:
            loop.call_later(self.manager.max_connection_duration, self.drain)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._is_dead:
            return
        self._is_receiving = True
        try:
            for event in self.codec.receive(data):
                self._handle(event)
                if self._is_dead:
                    break
        except Http2Error:
            self._is_receiving = False
            self._protocol_error()
        except Exception:
            log.exception("connection %d: fault while reading", self.connection.connection_id)
            self.transport.abort()
        finally:
            self._is_receiving = False
        self.send()

    def eof_received(self) -> bool:
        """See asyncio.Protocol: a client that ends its side has left."""
        self._client_left()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._client_left()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self.connection.finished()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        for each in list(self.streams.values()):
            each.stream.downstream_writable(False)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        for each in list(self.streams.values()):
            each.stream.downstream_writable(True)

    def _client_left(self) -> None:
        self._is_dead = True
        for each in list(self.streams.values()):
            each.stream.downstream_closed()

    # --- reading ---

    def _handle(self, event: Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._begin(event)
            case h2.events.DataReceived():
                self._data(event)
            case h2.events.TrailersReceived():
                self._trailers(event)
            case h2.events.StreamReset():
                self._reset_by_client(event)
            case h2.events.WindowUpdated():
                for stream_id in self.codec.window_opened(event.stream_id or 0):
                    known = self.streams.get(stream_id)
                    if known is not None:
                        known.stream.downstream_writable(True)
            case h2.events.ConnectionTerminated():
                self._is_draining = True
            case _:
                pass

    def _begin(self, event: h2.events.RequestReceived) -> None:
        is_end = event.stream_ended is not None
        server = self.streams[event.stream_id] = Http2ServerStream(self, event.stream_id)
        headers = [(bytes(name), bytes(value)) for name, value in event.headers]
        limits = self.manager.head_limits
        stream = server.stream
        if self.manager.counts_wire:
            size = sum(len(name) + len(value) + 3 for name, value in headers)
            stream.info.request_headers_bytes = stream.info.wire_bytes_received = size
        try:
            check_size(headers, limits.max_bytes, limits.max_count)
        except InvalidHead as invalid:
            stream.info.response_flags.append("DR")
            stream.info.response_code_details = invalid.details
            stream.reset()
            return
        try:
            head = read_request_head(headers, is_end=is_end)
        except InvalidHead as invalid:
            self._die_of(server, invalid.details)
            return
        server.expected = head.content_length
        server.is_remote_done = is_end
        stream.decode_head(head, is_end)
        stream.flush_request()

    def _data(self, event: h2.events.DataReceived) -> None:
        server = self.streams.get(event.stream_id)
        if server is None:
            self.codec.acknowledge(event.stream_id, event.flow_controlled_length or 0)
            return
        data = bytes(event.data or b"")
        server.received += len(data)
        is_end = event.stream_ended is not None
        if not self._length_holds(server, is_end=is_end):
            return
        server.is_remote_done = is_end
        if data:
            server.stream.decode_data(data)
        server.consumed(event.flow_controlled_length or 0)
        if is_end:
            server.stream.decode_end()
        server.stream.flush_request()

    def _length_holds(self, server: Http2ServerStream, *, is_end: bool) -> bool:
        expected = server.expected
        if expected is None or (server.received == expected if is_end else server.received <= expected):
            return True
        self._die_of(server, VIOLATION)
        return False

    def _trailers(self, event: h2.events.TrailersReceived) -> None:
        server = self.streams.get(event.stream_id)
        if server is None:
            return
        try:
            trailers = read_trailers([(bytes(name), bytes(value)) for name, value in event.headers or ()])
        except InvalidHead as invalid:
            self._die_of(server, invalid.details)
            return
        if self._length_holds(server, is_end=True):
            server.is_remote_done = True
            server.stream.decode_trailers(trailers)
            server.stream.decode_end()
            server.stream.flush_request()

    def _reset_by_client(self, event: h2.events.StreamReset) -> None:
        server = self.streams.pop(event.stream_id, None)
        if server is None or server.stream.is_ended:
            return
        server.is_sent = True
        server.stream.info.response_flags.append("DR")
        refused = int(event.error_code or 0) == REFUSED_STREAM
        server.stream.info.response_code_details = "http2.remote_refuse" if refused else "http2.remote_reset"
        server.stream.reset()

    # --- what ends the connection ---

    def _die_of(self, server: Http2ServerStream, details: str) -> None:
        """A malformed message: Envoy says nothing more on the connection, and closes it a second later."""
        self._is_dead = True
        server.is_sent = True
        self.streams.pop(server.stream_id, None)
        server.stream.info.response_flags.append("DPE")
        server.stream.info.response_code_details = details
        server.stream.reset()
        for each in list(self.streams.values()):
            each.is_sent = True
            each.stream.info.response_flags.append("DPE")
            each.stream.info.response_code_details = "codec_error:The_user_callback_function_failed"
            each.stream.reset()
        output = self.codec.take_output()
        if output:
            self.transport.write(output)
        self._close_later()

    def _protocol_error(self) -> None:
        """Broken framing."""
        for each in list(self.streams.values()):
            each.is_sent = True
            each.stream.info.response_flags.append("DPE")
            each.stream.info.response_code_details = "http2.protocol_error"
            each.stream.reset()
        self.send()
        self._is_dead = True
        self._close_later()

    def _close_later(self) -> None:
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(self.manager.delayed_close_timeout, self.transport.close)

    # --- writing ---

    def send(self) -> None:
        """Writes what the codec has for the client; once for all that one read brought."""
        if self._is_receiving or self._is_dead:
            return
        output = self.codec.take_output()
        if output:
            self.transport.write(output)

    def stream_ended(self, server: Http2ServerStream, *, is_reset: bool) -> None:
        """A stream is logged and done: what the client does not know of its end is told."""
        self.streams.pop(server.stream_id, None)
        if not self._is_dead and not (is_reset and server.is_sent):
            if is_reset:
                self.codec.reset(server.stream_id, INTERNAL_ERROR)
            elif not server.is_remote_done:
                self.codec.reset(server.stream_id, NO_ERROR)
        self.send()
        self._idle_since = asyncio.get_running_loop().time()
        if self._is_draining and not self.streams:
            self._finish_draining()

    # --- idleness and draining ---

    def _on_idle(self) -> None:
        loop = asyncio.get_running_loop()
        timeout = self.manager.idle_timeout
        left = timeout if self.streams else self._idle_since + timeout - loop.time()
        if left > 0.002:
            self._idle_timer = loop.call_later(left, self._on_idle)
            return
        self._idle_timer = None
        self.drain()

    def drain(self) -> None:
        """No more requests: GOAWAY twice, the second after the drain time, then the end."""
        if self._is_draining or self._is_dead:
            return
        self._is_draining = True
        self.codec.go_away_soon()
        self.send()
        asyncio.get_running_loop().call_later(self.manager.drain_timeout, self._drained)

    def _drained(self) -> None:
        if not self._is_dead:
            self.codec.go_away()
            self.send()
            if not self.streams:
                self._finish_draining()

    def _finish_draining(self) -> None:
        if not self._is_dead:
            self._is_dead = True
            self.transport.close()
