"""Answers of the proxy's own: those of virtual hosts and routes (TLS, CORS, redirects, bodies), and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.proxy.http_local_reply import LocalReply, local_reply
from sandbox.proxy.http_response_headers import change_response_headers
from sandbox.wire.headers import add_or_join, header_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.match.facts import RequestFacts
    from sandbox.plan.route import VirtualHost
    from sandbox.proxy.http_router import RouteRuntime
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.wire.http_message import Header, RequestHead


def forwarded_proto(stream: HttpStream) -> bytes | None:
    """The scheme by which the client came, as an edge sets it and everybody else believes it."""
    return header_value(stream.headers, b"x-forwarded-proto")


def redirect_to_tls(stream: HttpStream, virtual_host: VirtualHost, path: bytes | None) -> None:
    """Sends the client to the same URL by https."""
    stream.info.virtual_host = virtual_host
    location = b"https://%b%b" % (stream.head.host or b"", path or b"")
    stream.local_reply(301, b"", "direct_response", first=((b"location", location),))


def refuses_upgrade(stream: HttpStream, head: RequestHead) -> bool:
    """Answers an upgrade that the connection manager does not know; whether it did."""
    if head.method == b"CONNECT" or head.marked.get(b"upgrade", b"").lower() in stream.manager.upgrades:
        return False
    stream.local_reply(403, b"", "upgrade_failed")
    return True


def refuses_access(stream: HttpStream, facts: RequestFacts) -> bool:
    """Answers what an access filter lets nobody have; whether it did."""
    for access in stream.manager.access_filters:
        denial = access.refusal(stream, facts)
        if denial is not None:
            stream.local_reply(denial.status, denial.body, denial.details, first=denial.headers)
            return True
    return False


def answers_preflight(stream: HttpStream, route: RouteRuntime) -> bool:
    """Whether the stream has answered a CORS preflight; else the origin is kept for the response."""
    assert route.cors is not None
    if route.cors.share < 1 and stream.manager.random.random() >= route.cors.share:
        return False
    answer = route.cors.preflight(stream.head.method, stream.headers)
    if answer is None:
        stream.cors_origin = route.cors.allowed_origin(stream.headers)
        return False
    stream.info.response_code_details = "cors_response"
    stream.send_head(200, answer, is_end=True)
    stream.send_end()
    return True


def answer_here(stream: HttpStream, route: RouteRuntime) -> None:
    """Redirects, direct responses, and routes that do not forward."""
    if route.redirect is not None:
        scheme = stream.head.scheme or b"http"
        location = route.redirect.location(scheme, stream.head.host or b"", stream.info.path or b"/")
        first = ((b"location", location),)
        stream.local_reply(route.redirect.status, b"", "direct_response", first=first, is_route_reply=True)
        return
    if route.direct is None:
        stream.local_reply(404, b"", "route_not_found")
        return
    status, body = route.direct
    stream.local_reply(status, body, "direct_response", is_route_reply=True)


def reply_of(
    stream: HttpStream,
    status: int,
    body: bytes,
    *,
    first: tuple[Header, ...],
    last: Sequence[Header],
    grpc_status: int | None,
    is_route_reply: bool,
) -> LocalReply:
    """A reply of the proxy's own, with what the route says about response headers; ``last`` come behind that."""
    fields = list(first)
    if is_route_reply and not first and (status == 201 or 300 <= status < 400):
        fields.append((b"location", own_url(stream)))
    if stream.route is not None:
        change_response_headers(stream, fields)
    for header in last:
        add_or_join(fields, *header)
    return local_reply(
        status, body, first=fields, is_grpc=stream.is_grpc, grpc_status=grpc_status, is_head=stream.is_head
    )


def own_url(stream: HttpStream) -> bytes:
    """The URL that was asked for: where a direct response with a ``location`` points."""
    return b"%b://%b%b" % (stream.head.scheme or b"http", stream.head.host or b"", stream.info.path or b"/")
