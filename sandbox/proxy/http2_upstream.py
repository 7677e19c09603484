"""One HTTP/2 connection to an upstream, for many requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, assert_never, cast

from sandbox.proxy.http2_client_stream import Http2ClientStream
from sandbox.proxy.http2_keepalive import Http2Keepalive
from sandbox.proxy.http2_settings import settings_of
from sandbox.wire.http2 import Http2Codec
from sandbox.wire.http2_events import (
    DataReceived,
    Event,
    GoingAway,
    HeadReceived,
    Http2Error,
    StreamBegun,
    StreamReset,
    TrailersReceived,
    WindowOpened,
)
from sandbox.wire.http2_frames import CONNECT_ERROR, PROTOCOL_ERROR, REFUSED_STREAM
from sandbox.wire.http2_session import Http2Stream
from sandbox.wire.http_message import Header
from sandbox.wire.http_retries import Reset

if TYPE_CHECKING:
    from sandbox.proxy.http2_connection_pool import Http2ConnectionPool
    from sandbox.proxy.upstream import Upstream


RESETS: Final = {
    PROTOCOL_ERROR: Reset.PROTOCOL_ERROR,
    REFUSED_STREAM: Reset.REMOTE_REFUSED_STREAM,
    CONNECT_ERROR: Reset.CONNECT_ERROR,
}
"""What the codes of RST_STREAM mean to a request; the others are plain resets."""


class Http2ClientConnection(asyncio.Protocol):
    """A connection and its requests."""

    def __init__(self, pool: Http2ConnectionPool) -> None:
        self.pool = pool
        self.upstream: Upstream | None = None
        self.transport: asyncio.Transport | None = None
        settings = settings_of(pool.http2_options)
        self.codec = Http2Codec(is_client=True, settings=settings)
        self._concurrent_streams = settings.concurrent_streams
        self._active = 0
        """Requests that were given a place, and are not done."""
        self.streams: dict[int, Http2ClientStream] = {}
        self.is_closed = False
        self.takes_requests = True
        self._early_end: Reset | None = None
        self._touched: list[Http2ClientStream] = []
        self._is_receiving = False
        self.is_blocked = False
        """The upstream does not read: what was written waits in the transport."""
        self._number = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._keepalive: Http2Keepalive | None = None

    def connected(self, upstream: Upstream) -> None:
        """The connection stands (TLS included)."""
        self.upstream = upstream
        self.transport = upstream.transport
        options = self.pool.http2_options
        self._keepalive = Http2Keepalive.of(
            options.connection_keepalive if options is not None else None,
            self.pool.cluster.environment.random.random,
            self._ping,
            lambda: self._end(Reset.CONNECTION_TERMINATION),
        )
        if self.pool.max_connection_duration > 0:
            asyncio.get_running_loop().call_later(self.pool.max_connection_duration, self._too_old)

    def _ping(self, data: bytes) -> None:
        self.codec.ping(data)
        self.send()

    def _too_old(self) -> None:
        if not self.is_closed:
            self.stop_taking()
            self.close()

    def end_if_gone(self) -> None:
        """The upstream may have left between connecting and the first request."""
        if self._early_end is not None:
            self._end(self._early_end)

    @property
    def is_full(self) -> bool:
        """As many requests as the upstream, and the configuration, let run at once."""
        return self._active >= min(self.codec.peer_concurrent_streams, self._concurrent_streams)

    def new_stream(self) -> Http2ClientStream:
        """A place for one request."""
        self._number += 1
        self._active += 1
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        limit = self.pool.max_requests
        if limit and self._number >= limit:
            self.takes_requests = False
        return Http2ClientStream(self, self._number)

    def open(self, stream: Http2ClientStream, fields: list[Header], *, is_end: bool) -> Http2Stream:
        """Sends the head of a request."""
        method = next(value for name, value in fields if name == b":method")
        opened = self.codec.open_stream(method)
        self.streams[opened.stream_id] = stream
        self.codec.send_headers(opened.stream_id, fields, is_end=is_end)
        return opened

    def finished(self, stream: Http2ClientStream) -> None:
        """A request is done."""
        self.streams.pop(stream.stream_id, None)
        self._active -= 1
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
        if self._is_receiving or self.is_closed or self.transport is None or self._early_end is not None:
            return
        output = self.codec.take_output(is_blocked=self.is_blocked)
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
        answered = self.codec.pings_answered
        try:
            for event in self.codec.receive(data):
                self._handle(event)
        except Http2Error:
            broken = True
        self._is_receiving = False
        if self._keepalive is not None:
            self._keepalive.heard()
            if self.codec.pings_answered > answered:
                self._keepalive.answered()
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
        self.is_blocked = True
        for stream in list(self.streams.values()):
            if stream.user is not None:
                stream.user.on_upstream_writable(False)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.is_blocked = False
        for stream in list(self.streams.values()):
            stream.writable()

    def _handle(self, event: Event) -> None:
        match event:
            case GoingAway():
                self._go_away(event.last_stream_id)
            case WindowOpened():
                for stream_id in self.codec.window_opened(event.stream_id):
                    if stream_id in self.streams and not self.is_blocked:
                        self.streams[stream_id].writable()
            case StreamBegun():
                pass  # streams of a server are never begun
            case HeadReceived() | DataReceived() | TrailersReceived() | StreamReset():
                stream = self.streams.get(event.stream_id)
                if stream is not None:
                    self._touched.append(stream)
                    self._handle_of(stream, event)
                elif isinstance(event, DataReceived):
                    self.codec.acknowledge(event.stream_id, event.size)
            case never:
                assert_never(never)

    def _handle_of(
        self, stream: Http2ClientStream, event: HeadReceived | DataReceived | TrailersReceived | StreamReset
    ) -> None:
        match event:
            case HeadReceived():
                stream.head_received(event.headers, is_end=event.is_end)
            case DataReceived():
                stream.data_received(event.data, event.size, is_end=event.is_end)
            case TrailersReceived():
                stream.trailers_received(event.headers)
            case StreamReset():
                stream.broken(RESETS.get(event.code, Reset.REMOTE_RESET))
            case never:
                assert_never(never)

    def _go_away(self, last_stream_id: int) -> None:
        """Requests that the upstream has not looked at may be repeated elsewhere."""
        self.stop_taking()
        for stream_id, stream in list(self.streams.items()):
            if stream_id > last_stream_id:
                stream.broken(Reset.REMOTE_REFUSED_STREAM)

    def _end(self, reset: Reset) -> None:
        if self.is_closed:
            return
        if self.upstream is None:
            self._early_end = reset  # the pool does not know of it yet: first it gives the connection its request
            return
        self.is_closed = True
        self.takes_requests = False
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._keepalive is not None:
            self._keepalive.stop()
        if self.transport is not None:
            self.transport.close()
        self.pool.connection_closed(self)
        for stream in list(self.streams.values()):
            stream.broken(reset)

    def close(self) -> None:
        """Ends it from our side, without GOAWAY, and without what waits to be sent (Envoy closes with ``NoFlush``)."""
        if not self.is_closed and not self.streams:
            self._end(Reset.LOCAL_RESET)
