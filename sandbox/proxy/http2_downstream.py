"""The HTTP/2 side of a client's connection: what it says is shared out to its streams, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

from sandbox.proxy.http2_server_stream import Http2ServerStream
from sandbox.proxy.http2_settings import settings_of
from sandbox.proxy.timers import TOLERANCE_SECONDS
from sandbox.wire.http2 import Http2Codec
from sandbox.wire.http2_events import (
    DataReceived,
    Event,
    HeadReceived,
    Http2Error,
    StreamBegun,
    StreamReset,
    TrailersReceived,
    WindowOpened,
)
from sandbox.wire.http2_frames import INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM
from sandbox.wire.http2_head import HeadTooLarge, check_size, read_request_head

if TYPE_CHECKING:
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.proxy.http_connection_manager import HttpConnectionManagerRuntime

log = logging.getLogger("sandbox.proxy")


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
        self._unfinished: list[int] = []
        """Answered while the client still sends."""
        self.is_receiving = False
        """What is written now goes out when all that was read has been dealt with."""
        self.is_blocked = False
        """The client does not read: what was written waits in the transport."""

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's
        self.connection.on_drain, self.connection.on_abort = self.drain, self.transport.abort
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
        self.is_receiving = True
        try:
            for event in self.codec.receive(data):
                self._handle(event)
                if self._is_dead:
                    break
        except Http2Error as error:
            self.is_receiving = False
            self._die_of(error)
        except Exception:  # the guard of one connection: the others go on
            log.exception("connection %d: fault while reading", self.connection.connection_id)
            self.transport.abort()
        finally:
            self.is_receiving = False
        self._reset_unfinished()
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
        self.is_blocked = True
        for each in list(self.streams.values()):
            each.stream.downstream_writable(False)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.is_blocked = False
        for each in list(self.streams.values()):
            each.stream.downstream_writable(True)

    def _client_left(self) -> None:
        self._is_dead = True
        for each in list(self.streams.values()):
            each.stream.downstream_closed()

    # --- reading ---

    def _handle(self, event: Event) -> None:
        match event:
            case StreamBegun():
                self.streams[event.stream_id] = Http2ServerStream(self, event.stream_id)
            case HeadReceived():
                self._head(event)
            case DataReceived():
                self._data(event)
            case TrailersReceived():
                self._trailers(event)
            case StreamReset():
                self._reset_by_client(event)
            case WindowOpened():
                for stream_id in self.codec.window_opened(event.stream_id):
                    known = self.streams.get(stream_id)
                    if known is not None and not self.is_blocked:
                        known.stream.downstream_writable(True)
            case _:
                pass

    def _head(self, event: HeadReceived) -> None:
        server = self.streams[event.stream_id]
        limits = self.manager.head_limits
        stream = server.stream
        try:
            check_size(event.headers, limits.max_bytes, limits.max_count)
        except HeadTooLarge as too_large:
            self._refuse(server, too_large.details)
            return
        server.count_bytes()
        server.is_remote_done = event.is_end
        stream.decode_head(read_request_head(event.headers, is_end=event.is_end), event.is_end)
        stream.flush_request()

    def _refuse(self, server: Http2ServerStream, details: str) -> None:
        """Only this stream ends; its head counts for nothing."""
        info = server.stream.info
        info.response_flags.append("DR")
        info.response_code_details = details
        self.codec.refuse_head(server.codec_stream)
        server.is_remote_done = True  # what was sent is counted at once
        server.count_bytes()
        server.is_sent = True
        server.stream.reset()

    def _data(self, event: DataReceived) -> None:
        server = self.streams.get(event.stream_id)
        if server is None:
            self.codec.acknowledge(event.stream_id, event.size)
            return
        server.count_bytes()
        server.is_remote_done = event.is_end
        if event.data:
            server.stream.decode_data(event.data)
        server.consumed(event.size)
        if event.is_end:
            server.stream.decode_end()
        server.stream.flush_request()

    def _trailers(self, event: TrailersReceived) -> None:
        server = self.streams.get(event.stream_id)
        if server is None:
            return
        server.count_bytes()
        server.is_remote_done = True
        server.stream.decode_trailers(event.headers)
        server.stream.decode_end()
        server.stream.flush_request()

    def _reset_by_client(self, event: StreamReset) -> None:
        server = self.streams.pop(event.stream_id, None)
        if server is None or server.stream.is_ended:
            return
        was_complete = server.is_remote_done
        server.is_sent = server.is_remote_done = True
        server.count_bytes()
        info = server.stream.info
        if event.code != NO_ERROR or not was_complete:
            info.response_flags.append("DPE" if event.code == PROTOCOL_ERROR else "DR")
            refused = event.code == REFUSED_STREAM
            info.response_code_details = "http2.remote_refuse" if refused else "http2.remote_reset"
        server.stream.reset()

    # --- what ends the connection ---

    def _die_of(self, error: Http2Error) -> None:
        """The client broke the protocol: all streams end at once, the connection a second later."""
        self._is_dead = True
        for each in reversed(list(self.streams.values())):  # the newest first, as in Envoy
            each.is_sent = True
            details = error.stream_details if each.stream_id == error.stream_id else None
            each.stream.info.response_flags.append("DPE")
            each.stream.info.response_code_details = details or error.details
            each.stream.reset()
        self.streams.clear()
        output = self.codec.take_output(is_blocked=self.is_blocked)
        if output:
            self.transport.write(output)
        self._close_later()

    def _close_later(self) -> None:
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(self.manager.delayed_close_timeout, self.transport.close)

    # --- writing ---

    def send(self) -> None:
        """Writes what the codec has for the client; once for all that one read brought."""
        if self.is_receiving or self._is_dead:
            return
        output = self.codec.take_output(is_blocked=self.is_blocked)
        if output:
            self.transport.write(output)

    def stream_ended(self, server: Http2ServerStream, *, is_reset: bool) -> None:
        """A stream is logged and done: what the client does not know of its end is told."""
        self.streams.pop(server.stream_id, None)
        if not self._is_dead and not (is_reset and server.is_sent):
            if is_reset:
                self.codec.reset(server.stream_id, INTERNAL_ERROR)
            elif not server.is_remote_done:
                self._unfinished.append(server.stream_id)
        self._reset_unfinished()
        self.send()
        self._idle_since = asyncio.get_running_loop().time()
        if self._is_draining and not self.streams:
            self._finish_draining()

    def _reset_unfinished(self) -> None:
        """Requests that were answered before their end; one read may bring both the head and the end."""
        if self.is_receiving:
            return
        unfinished, self._unfinished = self._unfinished, []
        for stream_id in unfinished:
            if stream_id in self.codec.streams:
                self.codec.reset(stream_id, NO_ERROR)

    # --- idleness and draining ---

    def _on_idle(self) -> None:
        loop = asyncio.get_running_loop()
        timeout = self.manager.idle_timeout
        left = timeout if self.streams else self._idle_since + timeout - loop.time()
        if left > TOLERANCE_SECONDS:
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
