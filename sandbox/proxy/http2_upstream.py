"""One HTTP/2 connection to an upstream, for many requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import h2.events

from sandbox.proxy.http2_client_stream import Http2ClientStream
from sandbox.proxy.http2_settings import settings_of
from sandbox.wire.http2 import REFUSED_STREAM, Event, Http2Codec, Http2Error
from sandbox.wire.http_message import Header
from sandbox.wire.http_retries import Reset

if TYPE_CHECKING:
    from sandbox.proxy.http2_connection_pool import Http2ConnectionPool
    from sandbox.proxy.upstream import Upstream


class Http2ClientConnection(asyncio.Protocol):
    """A connection and its requests."""

    def __init__(self, pool: Http2ConnectionPool) -> None:
        self.pool = pool
        self.upstream: Upstream | None = None
        self.transport: asyncio.Transport | None = None
        self.codec = Http2Codec(is_client=True, settings=settings_of(pool.http2_options))
        self.streams: dict[int, Http2ClientStream] = {}
        self.is_closed = False
        self.takes_requests = True
        self._touched: list[Http2ClientStream] = []
        self._is_receiving = False
        self._number = 0
        self._idle_timer: asyncio.TimerHandle | None = None

    def connected(self, upstream: Upstream) -> None:
        """The connection stands (TLS included)."""
        self.upstream = upstream
        self.transport = upstream.transport

    @property
    def is_full(self) -> bool:
        """As many requests as the upstream lets run at once."""
        return len(self.streams) >= self.codec.peer_concurrent_streams

    def new_stream(self) -> Http2ClientStream:
        """A place for one request."""
        self._number += 1
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        limit = self.pool.max_requests
        if limit and self._number >= limit:
            self.takes_requests = False
        return Http2ClientStream(self, self._number)

    def open(self, stream: Http2ClientStream, fields: list[Header], *, is_end: bool) -> int:
        """Sends the head of a request."""
        stream_id = self.codec.next_stream_id()
        self.streams[stream_id] = stream
        self.codec.send_headers(stream_id, fields, is_end=is_end)
        return stream_id

    def finished(self, stream: Http2ClientStream) -> None:
        """A request is done."""
        self.streams.pop(stream.stream_id, None)
        self.pool.release(self)
        if self.streams or self.is_closed:
            return
        if not self.takes_requests:
            self.close()
        elif self.pool.idle_timeout > 0:
            self._idle_timer = asyncio.get_running_loop().call_later(self.pool.idle_timeout, self.close)

    def stop_taking(self) -> None:
        """New requests go elsewhere; those under way end here."""
        self.takes_requests = False
        self.pool.forget(self)

    def send(self) -> None:
        """Writes what the codec has; once for all that one read brought."""
        if self._is_receiving or self.is_closed or self.transport is None:
            return
        output = self.codec.take_output()
        if output:
            self.transport.write(output)

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._is_receiving = True
        broken = False
        try:
            for event in self.codec.receive(data):
                self._handle(event)
        except Http2Error:
            broken = True
        self._is_receiving = False
        touched, self._touched = self._touched, []
        for stream in touched:
            stream.flushed()
        self.send()
        if broken:
            self._end(Reset.PROTOCOL_ERROR)

    def eof_received(self) -> bool:
        """See asyncio.Protocol."""
        self._end(Reset.CONNECTION_TERMINATION)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._end(Reset.CONNECTION_TERMINATION)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        for stream in list(self.streams.values()):
            if stream.user is not None:
                stream.user.on_upstream_writable(False)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        for stream in list(self.streams.values()):
            stream.writable()

    def _handle(self, event: Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self._go_away(event.last_stream_id or 0)
            return
        if isinstance(event, h2.events.WindowUpdated):
            for stream_id in self.codec.window_opened(event.stream_id or 0):
                if stream_id in self.streams:
                    self.streams[stream_id].writable()
            return
        stream = self.streams.get(getattr(event, "stream_id", 0) or 0)
        if stream is None:
            if isinstance(event, h2.events.DataReceived):
                self.codec.acknowledge(event.stream_id, event.flow_controlled_length or 0)
            return
        self._touched.append(stream)
        match event:
            case h2.events.ResponseReceived() | h2.events.InformationalResponseReceived():
                is_end = getattr(event, "stream_ended", None) is not None
                stream.head_received([(bytes(n), bytes(v)) for n, v in event.headers or ()], is_end=is_end)
            case h2.events.DataReceived():
                size = event.flow_controlled_length or 0
                stream.data_received(bytes(event.data or b""), size, is_end=event.stream_ended is not None)
            case h2.events.TrailersReceived():
                stream.trailers_received([(bytes(n), bytes(v)) for n, v in event.headers or ()])
            case h2.events.StreamReset():
                refused = int(event.error_code or 0) == REFUSED_STREAM
                stream.broken(Reset.REMOTE_REFUSED_STREAM if refused else Reset.REMOTE_RESET)
            case _:
                pass

    def _go_away(self, last_stream_id: int) -> None:
        """Requests that the upstream has not looked at may be repeated elsewhere."""
        self.stop_taking()
        for stream_id, stream in list(self.streams.items()):
            if stream_id > last_stream_id:
                stream.broken(Reset.REMOTE_REFUSED_STREAM)

    def _end(self, reset: Reset) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self.takes_requests = False
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self.transport is not None:
            self.transport.close()
        if self.upstream is None:
            return  # still connecting: the connector reports it
        self.pool.connection_closed(self)
        for stream in list(self.streams.values()):
            stream.broken(reset)

    def close(self) -> None:
        """Ends it from our side."""
        if not self.is_closed and not self.streams:
            self.codec.go_away()
            self.send()
            self._end(Reset.LOCAL_RESET)
