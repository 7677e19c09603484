"""A request's head on its way to a connection of either protocol, and what the stream learns of the connection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sandbox.proxy.http2_client_stream import Http2ClientStream
from sandbox.proxy.http_upstream_head import render_request_head
from sandbox.wire.headers import header_value
from sandbox.wire.http2_head import request_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.proxy.host import Host
    from sandbox.proxy.http_request_body import RequestBody
    from sandbox.proxy.http_router_filter import RouterFilter
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.proxy.http_upstream import Http1ClientConnection
    from sandbox.wire.http_message import Header


def note_wait(info: StreamInfo, host: Host) -> None:
    """A try waits for a connection to this host."""
    info.upstream_wait_start, info.upstream_wait_end = time.monotonic(), None
    info.upstream_host, info.upstream_host_name = host.address, host.hostname
    info.upstream_host_metadata = host.metadata


def _note_upstream(info: StreamInfo, connection: Http1ClientConnection | Http2ClientStream) -> None:
    """The connection that a try goes to (and when it was made); it starts now."""
    upstream = connection.upstream
    assert upstream is not None
    info.upstream_host = upstream.remote_address
    info.upstream_host_name = upstream.host.hostname
    info.upstream_host_metadata = upstream.host.metadata
    upstream.tell(info)
    info.upstream_protocol = "HTTP/2" if connection.is_http2 else "HTTP/1.1"
    info.upstream_connect_start = upstream.connect_start
    info.upstream_connect_end = upstream.connect_end
    info.upstream_handshake_end = upstream.handshake_end
    info.first_upstream_tx = time.monotonic()
    info.last_upstream_tx = None


def send_head(router_filter: RouterFilter, connection: Http1ClientConnection | Http2ClientStream) -> None:
    """Writes the head in the connection's protocol; where a log asks, its bytes are counted, over all tries."""
    stream, info = router_filter.stream, router_filter.stream.info
    _note_upstream(info, connection)
    counts = stream.manager.counts_wire
    is_end = not stream.head.is_chunked and not stream.head.content_length
    if isinstance(connection, Http2ClientStream):
        scheme = stream.head.scheme or b"http"
        protocol = header_value(stream.headers, b"upgrade") if stream.is_upgrade else None
        fields = request_fields(
            stream.head, info.path, info.authority or b"", scheme, stream.headers, protocol=protocol
        )
        connection.send_request(router_filter, fields, is_end=is_end and protocol is None, protocol=protocol)
        if counts:
            connection.count_from(info)
            info.upstream_header_bytes_sent = connection.header_bytes_sent
        return
    head, is_chunked = render_request_head(stream, is_end)
    connection.send_head(router_filter, head, is_chunked, stream.is_head, stream.is_upgrade)
    if counts:
        connection.wire_bytes_sent += info.upstream_wire_bytes_sent
        connection.wire_bytes_received = info.upstream_wire_bytes_received
        connection.header_bytes = info.upstream_header_bytes_received
        info.upstream_header_bytes_sent += len(head) - head.index(b"\n") - 3


def end_request(connection: Http1ClientConnection | Http2ClientStream, trailers: Sequence[Header]) -> None:
    """The request was complete before the connection was there."""
    if trailers:
        connection.send_trailers(list(trailers))
    connection.end_request()


def open_tunnel(
    stream: HttpStream, body: RequestBody | None, connection: Http1ClientConnection | Http2ClientStream
) -> None:
    """The upstream has agreed to another protocol: payload that was held goes on."""
    stream.codec.enter_tunnel()
    if stream.timers is not None:
        stream.timers.request_complete()  # what follows is no request
    if body is not None:
        body.release(connection)
        connection.flush()


def count_wire(stream: HttpStream, connection: Http1ClientConnection | Http2ClientStream | None) -> None:
    """What the try at hand sent and received, where an access log asks."""
    if connection is not None and stream.manager.counts_wire:
        info = stream.info
        info.upstream_wire_bytes_sent = connection.wire_bytes_sent
        info.upstream_wire_bytes_received = connection.wire_bytes_received
        info.upstream_header_bytes_received = connection.header_bytes_received
        if isinstance(connection, Http2ClientStream):
            info.upstream_header_bytes_sent = connection.header_bytes_sent  # trailers included
