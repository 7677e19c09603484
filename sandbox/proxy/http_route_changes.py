"""What a route changes of a request before its first try (``RouteEntryImpl::finalizeRequestHeaders``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.wire.headers import add_or_join, header_value, set_header
from sandbox.wire.http_asked_retries import RETRY_FIELDS, TIMEOUT_FIELD, asked_rules

if TYPE_CHECKING:
    from sandbox.proxy.http_router import RouteRuntime
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.wire.http_message import Header
    from sandbox.wire.http_retries import RetryRules


FIRST_ATTEMPT: Header = (b"x-envoy-attempt-count", b"1")


def apply_route_changes(stream: HttpStream, route: RouteRuntime) -> None:
    """Changes headers, host and path as the route and its target say."""
    headers, info = stream.headers, stream.info
    target = stream.target
    assert target is not None
    if target.request_mutations is not None:
        target.request_mutations.apply(headers, info)
    if target.host_rewrite is not None:
        info.authority = target.host_rewrite  # Envoy keeps no original host for a weighted cluster's rewrite
    for mutations in route.request_mutations:
        mutations.apply(headers, info)
    if route.request_mutations or target.request_mutations is not None:
        _note_removed_length(stream)
    if route.host_rewrite is not None:
        rewrite_host(stream, route.host_rewrite)
    path = info.path
    if path is not None:
        rewritten = route.rewritten_path(path)
        if rewritten is not None:
            if not stream.manager.suppresses_envoy_headers:
                info.original_path = path
                set_header(headers, b"x-envoy-original-path", path)
            info.path = rewritten


def take_asked_retries(stream: HttpStream, policy: RetryRules) -> tuple[RetryRules | None, bool]:
    """The retries that the route's header operations ask for, and whether timeouts are answered with 204."""
    fields = {name: value for name, value in stream.headers if name in RETRY_FIELDS or name == TIMEOUT_FIELD}
    stream.headers[:] = [header for header in stream.headers if header[0] not in fields]
    return asked_rules(policy, fields), TIMEOUT_FIELD in fields


def _note_removed_length(stream: HttpStream) -> None:
    """A body whose length no field tells any more goes in chunks."""
    head = stream.head
    if head.content_length is not None and header_value(stream.headers, b"content-length") is None:
        head.is_chunked = head.content_length > 0
        head.content_length = None


def rewrite_host(stream: HttpStream, host: bytes) -> None:
    """A new authority; the upstream reads the one before in ``x-envoy-original-host``, and where the mesh says so
    in ``x-forwarded-host``."""
    if stream.route is not None and stream.route.append_forwarded_host and stream.info.authority:
        add_or_join(stream.headers, b"x-forwarded-host", stream.info.authority)
    if not stream.manager.suppresses_envoy_headers:
        set_header(stream.headers, b"x-envoy-original-host", stream.info.authority or b"")
    stream.info.authority = host


def put_header(stream: HttpStream, header: Header) -> None:
    """Writes one of the fields that ``MARKED_REQUEST`` names: in place of the client's, else as the last."""
    if header[0] in stream.head.marked:
        set_header(stream.headers, *header)
    else:
        stream.headers.append(header)
