"""Which header fields mean something to the proxy, and which of them Envoy keeps as one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sandbox.wire.http_message import Header

HOP_BY_HOP_REQUEST = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
HOP_BY_HOP_RESPONSE = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})

EXTERNAL_REQUEST_REMOVED = frozenset(
    {
        b"x-envoy-internal",
        b"x-envoy-expected-rq-timeout-ms",
        b"x-envoy-retry-on",
        b"x-envoy-retry-grpc-on",
        b"x-envoy-max-retries",
        b"x-envoy-upstream-rq-timeout-ms",
        b"x-envoy-upstream-rq-per-try-timeout-ms",
        b"x-envoy-upstream-rq-timeout-alt-response",
        b"x-envoy-retriable-status-codes",
        b"x-envoy-retriable-header-names",
        b"x-envoy-hedge-on-per-try-timeout",
        b"x-envoy-upstream-alt-stat-name",
        b"x-envoy-ip-tags",
        b"x-envoy-force-trace",
        b"x-envoy-original-url",
    }
)
"""What ``ConnectionManagerUtility::cleanInternalHeaders`` takes off a request that is not internal."""

EDGE_REQUEST_REMOVED = frozenset({b"x-envoy-decorator-operation", b"x-envoy-downstream-service-cluster",
                                  b"x-envoy-downstream-service-node", b"x-envoy-original-path",
                                  b"x-envoy-original-host"})  # fmt: skip
"""What goes too where the proxy is an edge (``use_remote_address``)."""

MARKED_REQUEST = (
    HOP_BY_HOP_REQUEST
    | EXTERNAL_REQUEST_REMOVED
    | EDGE_REQUEST_REMOVED
    | frozenset(
        {
            b"host",
            b"content-length",
            b"expect",
            b"te",
            b"x-forwarded-for",
            b"x-forwarded-proto",
            b"x-forwarded-port",
            b"x-forwarded-client-cert",
            b"x-envoy-external-address",
            b"x-envoy-attempt-count",
            b"x-request-id",
            b"x-client-trace-id",
            b"via",
            b"grpc-timeout",
            b"x-envoy-upstream-stream-duration-ms",
        }
    )
)

MARKED_RESPONSE = HOP_BY_HOP_RESPONSE | frozenset(
    {
        b"content-length",
        b"date",
        b"server",
        b"via",
        b"grpc-status",
        b"x-envoy-decorator-operation",
        b"x-envoy-upstream-service-time",
        b"x-envoy-ratelimited",
        b"x-envoy-overloaded",
        b"x-envoy-attempt-count",
    }
)

_INLINE_BOTH = frozenset(
    {
        b"content-type",
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
        b"via",
        b"x-request-id",
        b"cache-control",
        b"content-encoding",
        b"x-envoy-decorator-operation",
        b"x-envoy-attempt-count",
        b"proxy-status",
    }
)
INLINE_REQUEST = (
    MARKED_REQUEST
    | _INLINE_BOTH
    | {
        b"user-agent",
        b"accept",
        b"accept-encoding",
        b"authorization",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"origin",
        b"pragma",
        b"referer",
        b"access-control-request-headers",
        b"access-control-request-method",
        b"access-control-request-private-network",
        b"grpc-accept-encoding",
        b"x-forwarded-host",
        b"x-envoy-is-timeout-retry",
    }
)
"""Envoy keeps these of a request in one slot: a repeated one is joined to the first with a comma, no space."""

INLINE_RESPONSE = (
    (MARKED_RESPONSE - {b"x-envoy-overloaded"})
    | _INLINE_BOTH
    | {
        b"age",
        b"etag",
        b"expires",
        b"grpc-message",
        b"last-modified",
        b"location",
        b"vary",
        b"access-control-allow-origin",
        b"access-control-allow-headers",
        b"access-control-allow-methods",
        b"access-control-allow-credentials",
        b"access-control-allow-private-network",
        b"access-control-expose-headers",
        b"access-control-max-age",
        b"x-envoy-degraded",
        b"x-envoy-upstream-canary",
        b"x-envoy-upstream-healthchecked-cluster",
        b"x-envoy-immediate-health-check-fail",
    }
)
"""The same of a response."""

INLINE = INLINE_REQUEST | INLINE_RESPONSE


def joined(headers: Iterable[Header], inline: frozenset[bytes]) -> list[Header]:
    """The same fields with repeated ones of ``inline`` joined into the first."""
    result: list[Header] = []
    places: dict[bytes, int] = {}
    for name, value in headers:
        place = places.get(name)
        if place is None:
            if name in inline:
                places[name] = len(result)
            result.append((name, value))
        else:
            result[place] = (name, appended(result[place][1], value))
    return result


def appended(old: bytes, value: bytes) -> bytes:
    """An inline field's value with another one joined to it; empty ones leave no comma (``appendToHeader``)."""
    return b"%b,%b" % (old, value) if old and value else old or value


def tokens(value: bytes) -> list[bytes]:
    """The members of a comma-separated field, lower-cased, empty ones left out."""
    return [token for part in value.split(b",") if (token := part.strip(b" \t").lower())]


def tells_upgrade(marked: Mapping[bytes, bytes]) -> bool:
    """Whether ``connection`` and ``upgrade`` together speak of another protocol (``Utility::isUpgrade``)."""
    return b"upgrade" in marked and b"upgrade" in tokens(marked.get(b"connection", b""))


def set_header(headers: list[Header], name: bytes, value: bytes) -> None:
    """Replaces the first field of that name where it stands (others of the name go), else appends."""
    for place, (existing, _) in enumerate(headers):
        if existing == name:
            headers[place] = (name, value)
            if any(other == name for other, _ in headers[place + 1 :]):
                headers[place + 1 :] = [header for header in headers[place + 1 :] if header[0] != name]
            return
    headers.append((name, value))


def set_or_remove(headers: list[Header], name: bytes, value: bytes) -> None:
    """Gives the field of that name another value; an empty one takes it away."""
    if value:
        set_header(headers, name, value)
    else:
        headers[:] = [header for header in headers if header[0] != name]


def header_value(headers: Iterable[Header], name: bytes) -> bytes | None:
    """The values of that name, joined with commas; ``None`` where there is none."""
    found = [value for existing, value in headers if existing == name]
    if not found:
        return None
    return found[0] if len(found) == 1 else b",".join(found)


def add_or_join(headers: list[Header], name: bytes, value: bytes) -> None:
    """One field more; an inline field that is there already gets the value joined to it."""
    if name in INLINE:
        for place, (existing, old) in enumerate(headers):
            if existing == name:
                headers[place] = (name, appended(old, value))
                return
    headers.append((name, value))
