"""Heads of HTTP/2 messages that keep the rules (``http2_rules``), translated to and from ours."""

from __future__ import annotations

from sandbox.wire.decimal_number import decimal_number
from sandbox.wire.headers import INLINE_REQUEST, INLINE_RESPONSE, MARKED_REQUEST, MARKED_RESPONSE, joined
from sandbox.wire.http2_rules import MAX_LENGTH
from sandbox.wire.http_message import Header, RequestHead, ResponseHead

TOO_LARGE = "http2.header_list_size_too_large"
TOO_MANY = "http2.too_many_headers"

_CONNECTION_FIELDS = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
DEFAULT_ORDER = (b":authority", b":path", b":method", b":scheme")
"""Of the pseudo headers where the client spoke HTTP/1."""


class HeadTooLarge(Exception):
    """``details`` is Envoy's ``response_code_details``."""

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self.details = details


def check_size(headers: list[Header], max_bytes: int, max_count: int) -> None:
    """Raises ``HeadTooLarge`` where the head is larger than the proxy takes; only the stream is concerned."""
    if sum(len(name) + len(value) for name, value in headers) > max_bytes:
        raise HeadTooLarge(TOO_LARGE)
    if len(headers) > max_count:
        raise HeadTooLarge(TOO_MANY)


def read_request_head(headers: list[Header], *, is_end: bool) -> RequestHead:
    """The head of a request."""
    pseudo = {name: value for name, value in headers if name[:1] == b":"}
    fields = [header for header in headers if header[0][:1] != b":"]
    host = pseudo.get(b":authority")
    if host is None:
        host = next(value for name, value in fields if name == b"host")
    method = pseudo[b":method"]
    cookies = [value for name, value in fields if name == b"cookie"]
    fields = joined([field for field in fields if field[0] not in (b"host", b"cookie")], INLINE_REQUEST)
    if cookies:
        fields.append((b"cookie", b"; ".join(cookies)))
    index = dict(fields)
    length = None if method == b"CONNECT" else index.get(b"content-length")
    content_length = None if length is None else decimal_number(length, MAX_LENGTH)
    return RequestHead(
        method=method,
        path=pseudo.get(b":path"),
        host=host,
        headers=fields,
        marked={name: value for name, value in fields if name in MARKED_REQUEST},
        size=0,
        scheme=pseudo.get(b":scheme"),
        content_length=content_length,
        is_chunked=not is_end and not content_length,  # also where the length is 0, and an empty frame says so again
        index=index,
        pseudo_order=tuple(name for name, _ in headers if name in DEFAULT_ORDER),
    )


def read_response_head(headers: list[Header]) -> ResponseHead:
    """The head of an upstream's response."""
    status = next(value for name, value in headers if name == b":status")
    fields = [header for header in headers if header[0] != b":status"]
    fields = joined(fields, INLINE_RESPONSE)
    length = dict(fields).get(b"content-length", b"")
    return ResponseHead(
        status=int(status),
        headers=fields,
        marked={name: value for name, value in fields if name in MARKED_RESPONSE},
        size=0,
        content_length=decimal_number(length, MAX_LENGTH),
    )


def request_fields(
    head: RequestHead,
    path: bytes | None,
    authority: bytes,
    scheme: bytes,
    headers: list[Header],
    *,
    protocol: bytes | None = None,
) -> list[Header]:
    """The block for an upstream: pseudo headers in the client's order, then the rest.

    With a ``protocol`` the client asks for an upgrade, which HTTP/2 has in a form of its own (RFC 8441).
    """
    values = {b":authority": authority, b":path": path, b":method": head.method, b":scheme": scheme}
    if path is None:
        values.pop(b":scheme")
    order = [*head.pseudo_order, *(name for name in DEFAULT_ORDER if name not in head.pseudo_order)]
    if protocol is not None:
        values |= {b":method": b"CONNECT", b":protocol": protocol}
        order.append(b":protocol")
    pseudo = [(name, value) for name in order if (value := values.get(name)) is not None]
    return [*pseudo, *(header for header in headers if header[0] not in _CONNECTION_FIELDS)]


def as_answer_to_upgrade(head: ResponseHead, protocol: bytes) -> ResponseHead:
    """What HTTP/1 says where the upstream takes an upgrade (``transformUpgradeResponseFromH2toH1``)."""
    if head.status == 200:
        head.status = 101
        head.headers += [(b"upgrade", protocol), (b"connection", b"Upgrade")]
    return head
