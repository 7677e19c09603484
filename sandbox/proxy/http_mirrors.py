"""Mirrors: copies of complete requests to other clusters; nobody waits for answers (``shadow_writer_impl.cc``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.match.virtual_host_table import without_port
from sandbox.proxy.cluster_manager import LoadBalancerContext
from sandbox.proxy.failure import UpstreamFailure
from sandbox.proxy.http2_client_stream import Http2ClientStream
from sandbox.proxy.http_connection_pool import pool_of, speaks_http2
from sandbox.proxy.http_upstream_head import render_headers
from sandbox.wire.headers import add_or_join
from sandbox.wire.http2_head import request_fields

if TYPE_CHECKING:
    from sandbox.proxy.host import Host
    from sandbox.proxy.http_router import Mirror, RouteRuntime
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.proxy.http_upstream import Http1ClientConnection
    from sandbox.wire.http_message import Header, ResponseHead
    from sandbox.wire.http_retries import Reset


def send_mirrors(stream: HttpStream, route: RouteRuntime, body: bytes) -> None:
    """Draws for each mirror of the route, and sends."""
    for mirror in route.mirrors:
        if mirror.share >= 1 or (mirror.share > 0 and stream.manager.random.random() < mirror.share):
            _send(stream, mirror, body)


def _send(stream: HttpStream, mirror: Mirror, body: bytes) -> None:
    cluster = mirror.target.cluster
    if cluster is None:
        return
    connection = stream.codec.connection
    host = cluster.choose_host(LoadBalancerContext((connection.destination_ip, connection.destination_port)))
    if host is None:
        return
    authority = stream.info.authority or b""
    if not mirror.keep_host:
        bare = without_port(authority)
        authority = bare + b"-shadow" + authority[len(bare) :]
    pool = pool_of(cluster, host, None, is_http2=speaks_http2(cluster, stream.info.protocol))
    request = MirrorRequest(stream, authority, body)
    taken = pool.acquire(request)
    if taken is not None and not isinstance(taken, UpstreamFailure):
        request.on_pool_ready(taken)


class MirrorRequest:
    """One copy; its response is read and dropped."""

    __slots__ = ("_authority", "_body", "_head", "_headers", "_is_head", "_line", "_path")

    def __init__(self, stream: HttpStream, authority: bytes, body: bytes) -> None:
        self._line = b"%b %b HTTP/1.1\r\n" % (stream.head.method, stream.info.path or b"/")
        self._authority = authority
        self._head = stream.head
        self._path = stream.info.path
        self._headers = list(stream.headers)
        self._is_head = stream.is_head
        self._body = body
        if stream.head.content_length is None and not body and stream.head.method not in (b"GET", b"HEAD", b"DELETE"):
            self._headers.append((b"content-length", b"0"))

    def on_pool_ready(self, connection: Http1ClientConnection | Http2ClientStream) -> None:
        """See PoolUser."""
        upstream = connection.upstream
        headers = self._headers
        headers.append((b"x-envoy-internal", b"true"))
        local = upstream.local_address.rpartition(":")[0].strip("[]") if upstream is not None else ""
        add_or_join(headers, b"x-forwarded-for", local.encode())
        if isinstance(connection, Http2ClientStream):
            scheme = self._head.scheme or b"http"
            fields = request_fields(self._head, self._path, self._authority, scheme, headers)
            connection.send_request(self, fields, is_end=not self._body)
            connection.send_data(self._body)
            connection.end_request()
            return
        is_chunked = bool(self._body) and not any(name == b"content-length" for name, _ in headers)
        framing = b"transfer-encoding: chunked\r\n" if is_chunked else b""
        head = b"%bhost: %b\r\n%b%b\r\n" % (self._line, self._authority, render_headers(headers, None), framing)
        connection.send_head(self, head, is_chunked=is_chunked, is_head_method=self._is_head, is_upgrade=False)
        connection.send_data(self._body)
        connection.end_request()
        connection.read_early_bytes()

    def on_pool_failure(self, host: Host, failure: UpstreamFailure) -> None:
        """See PoolUser."""

    def on_upstream_informational(self, head: ResponseHead) -> None:
        """See UpstreamCallbacks."""

    def on_upstream_head(self, head: ResponseHead, is_end: bool) -> None:
        """See UpstreamCallbacks."""

    def on_upstream_data(self, data: bytes) -> None:
        """See UpstreamCallbacks."""

    def on_upstream_flush(self) -> None:
        """See UpstreamCallbacks."""

    def on_upstream_trailers(self, headers: list[Header]) -> None:
        """See UpstreamCallbacks."""

    def on_upstream_end(self) -> None:
        """See UpstreamCallbacks."""

    def on_upstream_reset(self, reset: Reset) -> None:
        """See UpstreamCallbacks."""

    def on_upstream_writable(self, is_writable: bool) -> None:
        """See UpstreamCallbacks."""
