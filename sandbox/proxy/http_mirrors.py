"""Mirrors: copies of requests on their way to other clusters; nobody waits for answers (``shadow_writer_impl.cc``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sandbox.match.virtual_host_table import without_port
from sandbox.proxy.failure import UpstreamFailure
from sandbox.proxy.http2_client_stream import Http2ClientStream
from sandbox.proxy.http_connection_pool import pool_of, speaks_http2
from sandbox.proxy.http_upstream_head import BODILESS, CHUNKED, NO_CONTENT, render_headers
from sandbox.proxy.load_balancer import LoadBalancerContext
from sandbox.proxy.upstream_callbacks import UpstreamCallbacks
from sandbox.wire.headers import add_or_join
from sandbox.wire.http2_head import request_fields

if TYPE_CHECKING:
    from sandbox.proxy.host import Host
    from sandbox.proxy.http2_connection_pool import Http2ConnectionPool
    from sandbox.proxy.http_codec import DownstreamCodec
    from sandbox.proxy.http_connection_pool import HttpConnectionPool
    from sandbox.proxy.http_router import Mirror, RouteRuntime
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.proxy.http_upstream import Http1ClientConnection
    from sandbox.wire.http_message import Header, ResponseHead
    from sandbox.wire.http_retries import Reset

BODY = "body"
"""Who waits where the request itself is held back, for want of an upstream (see ``pause_for``)."""
MOST_WAITING = 1024 * 1024
"""Bytes that a copy holds back: the client waits for a slow mirror (Envoy's default buffer limit)."""


class RequestPauses:
    """Who of several cannot take more of a request: its client waits for the slowest."""

    __slots__ = ("_codec", "_full")

    def __init__(self, codec: DownstreamCodec) -> None:
        self._codec = codec
        self._full: set[object] = set()

    def put(self, who: object, *, is_full: bool) -> None:
        """``who`` is full, or no longer."""
        if is_full:
            self._full.add(who)
            self._codec.pause_request(True)
        elif who in self._full:
            self._full.discard(who)
            if not self._full:
                self._codec.pause_request(False)


def pause_for(who: object, codec: DownstreamCodec, mirrors: Sequence[MirrorRequest]) -> Callable[[bool], None]:
    """Makes the client wait for ``who``, and go on: where there are mirrors, when all of them can take more."""
    if not mirrors:
        return codec.pause_request
    pauses = mirrors[0].pauses
    return lambda is_paused: pauses.put(who, is_full=is_paused)


def start_mirrors(stream: HttpStream, route: RouteRuntime, timeout: float) -> list[MirrorRequest]:
    """Draws for each mirror of the route, and begins with the head; the payload follows as it comes.

    ``timeout``, in seconds or 0 for none, is that of the request itself (``Filter::applyShadowPolicyHeaders``).
    """
    requests = []
    pauses = RequestPauses(stream.codec)
    for mirror in route.mirrors:
        if mirror.share >= 1 or (mirror.share > 0 and stream.manager.random.random() < mirror.share):
            request = _start(stream, mirror, timeout, pauses)
            if request is not None:
                requests.append(request)
    return requests


def end_mirrors(requests: Sequence[MirrorRequest], *, is_complete: bool) -> None:
    """The request is complete, or it has ended: copies that are not complete never will be."""
    for request in requests:
        if is_complete:
            request.end_request()
        else:
            request.cancel()


def _start(stream: HttpStream, mirror: Mirror, timeout: float, pauses: RequestPauses) -> MirrorRequest | None:
    cluster = mirror.target.cluster
    if cluster is None:
        return None
    host = cluster.choose_host(LoadBalancerContext(stream.codec.connection.original_destination))
    if host is None:
        return None
    authority = stream.info.authority or b""
    if not mirror.keep_host:
        bare = without_port(authority)
        authority = bare + b"-shadow" + authority[len(bare) :]
    request = MirrorRequest(stream, authority, timeout, pauses)
    request.start(pool_of(cluster, host, None, is_http2=speaks_http2(cluster, stream.info.protocol)))
    return request


class MirrorRequest(UpstreamCallbacks):
    """One copy; its response is read and dropped. With the request it copies, it ends early too."""

    __slots__ = ("_authority", "_connection", "_framing", "_head", "_headers", "_is_complete", "_is_head", "_is_over",
                 "_is_upgrade", "_line", "_path", "_pool", "_timeout", "_timer", "_waiting", "_waiting_bytes",
                 "pauses")  # fmt: skip

    def __init__(self, stream: HttpStream, authority: bytes, timeout: float, pauses: RequestPauses) -> None:
        head = stream.head
        self.pauses = pauses
        self._line = b"%b %b HTTP/1.1\r\n" % (head.method, stream.info.path or b"/")
        self._authority = authority
        self._head = head
        self._path = stream.info.path
        self._headers = list(stream.headers)
        self._is_head = stream.is_head
        self._is_upgrade = stream.is_upgrade
        self._is_complete = self._is_over = False
        self._connection: Http1ClientConnection | Http2ClientStream | None = None
        self._pool: HttpConnectionPool | Http2ConnectionPool | None = None
        self._timeout = timeout
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[bytes] = []
        """Payload that came before there was a connection."""
        self._waiting_bytes = 0
        self._framing: list[Header] = []
        if head.is_chunked and head.content_length is None and not self._is_upgrade:
            self._framing = CHUNKED
        elif head.content_length is None and not self._is_upgrade and head.method not in BODILESS:
            self._framing = NO_CONTENT

    def start(self, pool: HttpConnectionPool | Http2ConnectionPool) -> None:
        """Asks for a connection."""
        taken = pool.acquire(self)
        if taken is None:
            self._pool = pool
        elif isinstance(taken, UpstreamFailure):
            self._is_over = True
        else:
            self._begin(taken)

    # --- from the request it copies ---

    def send_data(self, data: bytes) -> None:
        """Payload of the request; that of an upgrade would have to wait for an answer that nobody reads."""
        if self._is_over or self._is_upgrade:
            return
        if self._connection is None:
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            if self._waiting_bytes > MOST_WAITING:
                self.pauses.put(self, is_full=True)
        else:
            self._connection.send_data(data)
            self._connection.flush()

    def end_request(self) -> None:
        """The request is complete; from here on the copy is on its own."""
        self._is_complete = True
        self.pauses.put(self, is_full=False)
        if self._connection is not None and not self._is_over:
            self._connection.end_request()
        if self._timeout > 0 and not self._is_over:
            self._timer = asyncio.get_running_loop().call_later(self._timeout, self._give_up)

    def cancel(self) -> None:
        """The request has ended; a copy that is not complete never will be."""
        if not self._is_complete and not self._is_over:
            self._give_up()

    def _give_up(self) -> None:
        pool, connection = self._pool, self._connection
        self._end()
        if pool is not None:
            pool.cancel(self)
        if connection is not None:
            connection.reset()

    # --- PoolUser ---

    def on_pool_ready(self, connection: Http1ClientConnection | Http2ClientStream) -> None:
        """See PoolUser."""
        self._pool = None
        self._begin(connection)

    def on_pool_failure(self, host: Host, failure: UpstreamFailure) -> None:
        """See PoolUser."""
        self._end()

    def _begin(self, connection: Http1ClientConnection | Http2ClientStream) -> None:
        self._connection = connection
        upstream = connection.upstream
        headers = self._headers
        headers.append((b"x-envoy-internal", b"true"))
        local = upstream.local_address.rpartition(":")[0].strip("[]") if upstream is not None else ""
        add_or_join(headers, b"x-forwarded-for", local.encode())
        head = self._head
        if isinstance(connection, Http2ClientStream):
            fields = request_fields(head, self._path, self._authority, head.scheme or b"http", headers)
            connection.send_request(self, fields, is_end=not head.is_chunked and not head.content_length)
        else:
            fields_text = render_headers([*headers, *self._framing], None)
            data = b"%bhost: %b\r\n%b\r\n" % (self._line, self._authority, fields_text)
            connection.send_head(
                self,
                data,
                is_chunked=self._framing is CHUNKED,
                is_head_method=self._is_head,
                is_upgrade=self._is_upgrade,
            )
        self.pauses.put(self, is_full=False)
        for piece in self._waiting:
            connection.send_data(piece)
        self._waiting.clear()
        if self._is_complete:
            connection.end_request()
        else:
            connection.flush()
        connection.read_early_bytes()

    # --- UpstreamCallbacks ---

    def on_upstream_head(self, head: ResponseHead, is_end: bool) -> None:
        """See UpstreamCallbacks."""
        if is_end:
            self._end()

    def on_upstream_end(self) -> None:
        """See UpstreamCallbacks."""
        self._end()

    def on_upstream_reset(self, reset: Reset) -> None:
        """See UpstreamCallbacks."""
        self._end()

    def on_upstream_writable(self, is_writable: bool) -> None:
        """See UpstreamCallbacks."""
        if not self._is_complete:
            self.pauses.put(self, is_full=not is_writable)

    def _end(self) -> None:
        self._is_over = True
        self._waiting.clear()
        self.pauses.put(self, is_full=False)
        self._connection = self._pool = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
