"""What router and connection manager do to a response's headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.wire.headers import HOP_BY_HOP_RESPONSE, set_header, tells_upgrade

if TYPE_CHECKING:
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.wire.http_message import Header, ResponseHead

_REMOVED = HOP_BY_HOP_RESPONSE | {b"x-envoy-decorator-operation"}
_REMOVED_AT_UPGRADE = _REMOVED - {b"connection", b"upgrade"}
_NOT_IN_REFUSAL = _REMOVED - {b"keep-alive"}
_NOT_IN_INFORMATIONAL = (HOP_BY_HOP_RESPONSE - {b"keep-alive"}) | {b"content-length"}


def upstream_response_headers(stream: HttpStream, head: ResponseHead, service_time: int | None) -> list[Header]:
    """The upstream's headers without what was meant for us, with the service time and the route's changes."""
    headers = head.headers.copy() if head.is_simple else _to_pass_on(stream, head)
    if service_time is not None and not stream.manager.suppresses_envoy_headers:
        if b"x-envoy-upstream-service-time" in head.marked:
            set_header(headers, b"x-envoy-upstream-service-time", b"%d" % service_time)
        else:
            headers.append((b"x-envoy-upstream-service-time", b"%d" % service_time))
    info = stream.info
    info.response_headers = headers
    info.response_code = head.status
    if stream.route is None or stream.route.changes_responses:
        change_response_headers(stream, headers)
    return headers


def _to_pass_on(stream: HttpStream, head: ResponseHead) -> list[Header]:
    marked = head.marked
    headers = head.headers.copy()
    if not _REMOVED.isdisjoint(marked):
        is_upgraded = stream.is_upgrade and head.status == 101 and tells_upgrade(marked)
        removed = _REMOVED_AT_UPGRADE if is_upgraded else _REMOVED
        headers = [header for header in headers if header[0] not in removed]
    if b"content-length" in marked and (head.status < 200 or head.status == 204):
        headers = [header for header in headers if header[0] != b"content-length"]
    return headers


def informational_headers(head: ResponseHead) -> list[Header]:
    """What the client gets of a 1xx head."""
    return [field for field in head.headers if field[0] not in _NOT_IN_INFORMATIONAL]


def persistence_of_http10(stream: HttpStream, headers: list[Header], *, is_end: bool) -> Header:
    """What an HTTP/1.0 client is told of its connection; a body that tells no length ends with it."""
    if is_end or any(name == b"content-length" for name, _ in headers):
        return b"connection", b"keep-alive"
    stream.codec.is_draining = stream.saw_close = True
    return b"connection", b"close"


def change_response_headers(stream: HttpStream, headers: list[Header]) -> None:
    """What the route (and the weighted cluster) says about response headers; local replies get it too."""
    route, target = stream.route, stream.target
    if target is not None and target.response_mutations is not None:
        target.response_mutations.apply(headers, stream.info)
    if route is not None and route.response_mutations is not None:
        route.response_mutations.apply(headers, stream.info)


def refuses_upgrade(stream: HttpStream, head: ResponseHead) -> bool:
    """Whether the upstream answers an upgrade as if nothing had been asked."""
    return 200 <= head.status < 400 and stream.head.method != b"CONNECT"


def headers_of_refusal(head: ResponseHead) -> list[Header]:
    """What the client gets of them then, in a reply of the proxy's own: a body could be taken for a tunnel's."""
    return [header for header in head.headers if header[0] not in _NOT_IN_REFUSAL]
