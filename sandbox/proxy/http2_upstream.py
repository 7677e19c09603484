"""HTTP/2 to an upstream: one connection for many requests, each seen by the router like a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, cast

import h2.events

from sandbox.proxy.failure import FailureKind, UpstreamFailure
from sandbox.proxy.http2_settings import settings_of
from sandbox.proxy.tasks import detach
from sandbox.proxy.upstream import connect
from sandbox.wire.http2 import CANCEL, REFUSED_STREAM, Event, Http2Codec, Http2Error
from sandbox.wire.http2_head import InvalidHead, read_response_head, read_trailers
from sandbox.wire.http_message import Header
from sandbox.wire.http_retries import Reset

if TYPE_CHECKING:
    from sandbox.plan.http_connection_manager import Http2ProtocolOptions
    from sandbox.proxy.cluster_manager import ClusterRuntime
    from sandbox.proxy.host import Host
    from sandbox.proxy.http_connection_pool import PoolUser
    from sandbox.proxy.http_upstream import UpstreamCallbacks
    from sandbox.proxy.upstream import TransportOptions, Upstream

OVERFLOW = UpstreamFailure(FailureKind.OVERFLOW, "UO")
WRITE_LIMIT = 256 * 1024
DEFAULT_IDLE_TIMEOUT = 3600.0


class Http2ClientStream:
    """One request; for the router the same as an HTTP/1 connection that was lent for it."""

    is_http2 = True

    __slots__ = (
        "_connection",
        "_ended",
        "_is_done",
        "_is_head_done",
        "_is_paused",
        "_unacknowledged",
        "pool",
        "requests",
        "stream_id",
        "user",
        "wire_bytes_received",
        "wire_bytes_sent",
    )

    def __init__(self, connection: Http2ClientConnection, number: int) -> None:
        self._connection = connection
        self.pool = connection.pool
        self.requests = number
        self.stream_id = 0
        self.user: UpstreamCallbacks | None = None
        self.wire_bytes_received = 0
        self.wire_bytes_sent = 0
        self._ended = False
        self._is_done = False
        self._is_head_done = False
        self._is_paused = False
        self._unacknowledged = 0

    @property
    def upstream(self) -> Upstream | None:
        """The connection below."""
        return self._connection.upstream

    @property
    def host(self) -> Host:
        """Where it leads."""
        return self.pool.host

    # --- the request ---

    def send_request(self, user: UpstreamCallbacks, fields: list[Header], *, is_end: bool) -> int:
        """Begins the request with its pseudo headers and others; returns their bytes as Envoy counts them."""
        self.user = user
        self.stream_id = self._connection.open(self, fields, is_end=is_end)
        self._ended = is_end
        size = sum(len(name) + len(value) + 3 for name, value in fields)
        self.wire_bytes_sent = size
        return size

    def send_data(self, data: bytes) -> None:
        """Payload of the request."""
        if data and not self._is_done and not self._ended:
            self.wire_bytes_sent += len(data)
            self._connection.codec.send_data(self.stream_id, data, is_end=False)
            if self._connection.codec.waiting_bytes(self.stream_id) > WRITE_LIMIT and self.user is not None:
                self.user.on_upstream_writable(False)

    def send_trailers(self, headers: list[Header]) -> None:
        """Fields after the payload; they end the request."""
        if not self._is_done and not self._ended:
            self._ended = True
            self._connection.codec.send_headers(self.stream_id, headers, is_end=True)

    def end_request(self) -> None:
        """The request is complete."""
        if not self._is_done and not self._ended:
            self._ended = True
            self._connection.codec.send_data(self.stream_id, b"", is_end=True)
        self.flush()

    def flush(self) -> None:
        """Sends what there is."""
        self._connection.send()

    def read_early_bytes(self) -> None:
        """HTTP/2 has none."""

    def reset(self) -> None:
        """The user gives up."""
        if not self._is_done:
            self.user = None
            self._connection.codec.reset(self.stream_id, CANCEL)
            self._finish()
            self._connection.send()

    def close_after_response(self) -> None:
        """The connection takes no further request."""
        self._connection.stop_taking()

    def pause_reading(self, is_paused: bool) -> None:
        """Back-pressure of the client: what is not acknowledged keeps the upstream's window shut."""
        self._is_paused = is_paused
        if not is_paused:
            size, self._unacknowledged = self._unacknowledged, 0
            self._connection.codec.acknowledge(self.stream_id, size)
            self._connection.send()

    # --- the response ---

    def head_received(self, headers: list[Header], *, is_end: bool) -> None:
        """A block of headers: informational, or the final head."""
        user = self.user
        if user is None:
            return
        self.wire_bytes_received += sum(len(name) + len(value) + 3 for name, value in headers)
        try:
            head = read_response_head(headers, is_end=is_end)
        except InvalidHead:
            self.broken(Reset.PROTOCOL_ERROR)
            return
        if head.status < 200:
            user.on_upstream_informational(head)
            return
        self._is_head_done = True
        if is_end:
            self._finish()
        user.on_upstream_head(head, is_end)

    def data_received(self, data: bytes, size: int, *, is_end: bool) -> None:
        """Payload; ``size`` is what counts against the window."""
        user = self.user
        if user is None:
            self._connection.codec.acknowledge(self.stream_id, size)
            return
        self.wire_bytes_received += len(data)
        if is_end:
            self._finish()
        if data:
            user.on_upstream_data(data)
        if self._is_paused and not is_end:
            self._unacknowledged += size
        else:
            self._connection.codec.acknowledge(self.stream_id, size)
        if is_end:
            user.on_upstream_end()

    def trailers_received(self, headers: list[Header]) -> None:
        """Fields after the payload: the end."""
        user = self.user
        if user is None:
            return
        try:
            trailers = read_trailers(headers)
        except InvalidHead:
            self.broken(Reset.PROTOCOL_ERROR)
            return
        self._finish()
        user.on_upstream_trailers(trailers)
        user.on_upstream_end()

    def broken(self, reset: Reset) -> None:
        """RST_STREAM, GOAWAY before it, or the connection's end."""
        user, self.user = self.user, None
        if self._is_done:
            return
        self._finish()
        if user is not None:
            user.on_upstream_reset(reset)

    def writable(self) -> None:
        """The upstream's window lets all through again."""
        if self.user is not None:
            self.user.on_upstream_writable(True)

    def flushed(self) -> None:
        """All that one read brought has been told."""
        if self.user is not None:
            self.user.on_upstream_flush()

    def _finish(self) -> None:
        self._is_done = True
        self._connection.finished(self)


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


class Http2ConnectionPool:
    """Connections to one host: a new one only where the upstream's limit, or an end, makes it necessary."""

    preserve_case = False

    def __init__(
        self,
        cluster: ClusterRuntime,
        host: Host,
        options: TransportOptions | None,
        http2_options: Http2ProtocolOptions | None,
    ) -> None:
        self.cluster = cluster
        self.host = host
        self.options = options
        self.http2_options = http2_options
        common = cluster.http_options.common_http_protocol_options if cluster.http_options is not None else None
        idle = common.idle_timeout if common is not None else None
        self.idle_timeout = DEFAULT_IDLE_TIMEOUT if idle is None else idle.total_seconds()
        self.max_requests = (common.max_requests_per_connection or 0) if common is not None else 0
        self._ready: list[Http2ClientConnection] = []
        self._pending: deque[PoolUser] = deque()
        self._is_connecting = False

    def acquire(self, user: PoolUser) -> Http2ClientStream | UpstreamFailure | None:
        """A place at once, a refusal (overflow), or ``None``: the user waits and is called back."""
        resources = self.cluster.resources
        connection = self._usable()
        if connection is not None:
            if resources.requests.is_full:
                return OVERFLOW
            return self._attach(connection)
        if resources.pending_requests.is_full:
            return OVERFLOW
        resources.pending_requests.active += 1
        self._pending.append(user)
        self._connect_if_needed()
        return None

    def cancel(self, user: PoolUser) -> None:
        """The user no longer waits."""
        with contextlib.suppress(ValueError):
            self._pending.remove(user)
            self.cluster.resources.pending_requests.active -= 1

    def _usable(self) -> Http2ClientConnection | None:
        return next((each for each in self._ready if each.takes_requests and not each.is_full), None)

    def _attach(self, connection: Http2ClientConnection) -> Http2ClientStream:
        self.cluster.resources.requests.active += 1
        self.host.active_requests += 1
        return connection.new_stream()

    def _connect_if_needed(self) -> None:
        if self._is_connecting or not self._pending:
            return
        self._is_connecting = True
        self.cluster.resources.connections.active += 1
        self.host.active_connections += 1
        detach(self._connect(), f"connect to {self.host.address}")

    async def _connect(self) -> None:
        result = await connect(self.cluster, self.host, lambda: Http2ClientConnection(self), self.options)
        self._is_connecting = False
        if isinstance(result, UpstreamFailure):
            self.cluster.report_connect_failure(self.host)
            self.connection_closed(None)
            waiting = list(self._pending)
            self._pending.clear()
            self.cluster.resources.pending_requests.active -= len(waiting)
            for user in waiting:
                user.on_pool_failure(self.host, result)
            return
        self.cluster.report_connect_success(self.host)
        connection = result.protocol
        assert isinstance(connection, Http2ClientConnection)
        connection.connected(result)
        self._ready.append(connection)
        connection.send()
        self._serve_pending()

    def _serve_pending(self) -> None:
        resources = self.cluster.resources
        while self._pending:
            connection = self._usable()
            if connection is None:
                self._connect_if_needed()
                return
            user = self._pending.popleft()
            resources.pending_requests.active -= 1
            if resources.requests.is_full:
                user.on_pool_failure(self.host, OVERFLOW)
                continue
            user.on_pool_ready(self._attach(connection))

    def release(self, connection: Http2ClientConnection) -> None:
        """A request is done."""
        self.cluster.resources.requests.active -= 1
        self.host.active_requests -= 1
        if self._pending and not connection.is_closed:
            self._serve_pending()

    def forget(self, connection: Http2ClientConnection) -> None:
        """It takes no further requests."""
        with contextlib.suppress(ValueError):
            self._ready.remove(connection)

    def connection_closed(self, connection: Http2ClientConnection | None) -> None:
        """A connection is gone (or never came about)."""
        self.cluster.resources.connections.active -= 1
        self.host.active_connections -= 1
        if connection is not None:
            self.forget(connection)
            self._connect_if_needed()

    def close_idle(self) -> None:
        """Closes what nobody uses, and lets the rest end."""
        for connection in list(self._ready):
            connection.stop_taking()
            connection.close()
