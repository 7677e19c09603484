"""Heads of HTTP/2 messages: Envoy's rules for what may stand in them, and their translation to and from ours."""

from __future__ import annotations

import re

from sandbox.wire.headers import INLINE_REQUEST, INLINE_RESPONSE, MARKED_REQUEST, MARKED_RESPONSE, joined
from sandbox.wire.http_message import Header, RequestHead, ResponseHead

INVALID_FIELD = "http2.invalid.header.field"
VIOLATION = "http2.violation.of.messaging.rule"
TOO_LARGE = "http2.header_list_size_too_large"
TOO_MANY = "http2.too_many_headers"

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_CONNECTION_FIELDS = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority", b":protocol"})
DEFAULT_ORDER = (b":authority", b":path", b":method", b":scheme")
"""Of the pseudo headers where the client spoke HTTP/1."""


class InvalidHead(Exception):
    """The rules are broken; ``details`` is Envoy's ``response_code_details``."""

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self.details = details


def check_size(headers: list[Header], max_bytes: int, max_count: int) -> None:
    """Raises ``InvalidHead`` where the head is larger than the proxy takes; only the stream is concerned."""
    if sum(len(name) + len(value) for name, value in headers) > max_bytes:
        raise InvalidHead(TOO_LARGE)
    if len(headers) > max_count:
        raise InvalidHead(TOO_MANY)


def read_request_head(headers: list[Header], *, is_end: bool) -> RequestHead:
    """The head of a request. Raises ``InvalidHead``, after which Envoy closes the connection."""
    pseudo, fields = _split(headers)
    if not pseudo.keys() <= _PSEUDO:
        raise InvalidHead(VIOLATION)
    host = pseudo.get(b":authority")
    if host is None:
        host = next((value for name, value in fields if name == b"host"), None)
    method, path = pseudo.get(b":method"), pseudo.get(b":path")
    if method is None or host is None:
        raise InvalidHead(VIOLATION)
    if method == b"CONNECT" and b":protocol" not in pseudo:
        path = None
    elif path is None or b":scheme" not in pseudo or not (path.startswith(b"/") or path == b"*"):
        raise InvalidHead(VIOLATION)
    cookies = [value for name, value in fields if name == b"cookie"]
    fields = joined([field for field in fields if field[0] not in (b"host", b"cookie")], INLINE_REQUEST)
    if cookies:
        fields.append((b"cookie", b"; ".join(cookies)))
    index = dict(fields)
    content_length = _content_length(index, is_end=is_end)
    return RequestHead(
        method=method,
        path=path,
        host=host,
        headers=fields,
        marked={name: value for name, value in fields if name in MARKED_REQUEST},
        size=0,
        scheme=pseudo.get(b":scheme"),
        content_length=content_length,
        is_chunked=not is_end and content_length is None,
        index=index,
        pseudo_order=tuple(name for name, _ in headers if name in DEFAULT_ORDER),
    )


def _split(headers: list[Header]) -> tuple[dict[bytes, bytes], list[Header]]:
    pseudo: dict[bytes, bytes] = {}
    fields: list[Header] = []
    for name, value in headers:
        if name.startswith(b":"):
            if fields or name in pseudo:
                raise InvalidHead(VIOLATION)
            pseudo[name] = value
            continue
        _check_field(name, value)
        fields.append((bytes(name), bytes(value)))
    return pseudo, fields


def _check_field(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name in _CONNECTION_FIELDS:
        raise InvalidHead(INVALID_FIELD)
    if name == b"te" and value.lower() != b"trailers":
        raise InvalidHead(INVALID_FIELD)


def _content_length(index: dict[bytes, bytes], *, is_end: bool) -> int | None:
    text = index.get(b"content-length")
    if text is None:
        return None
    if not text.isdigit() or (is_end and int(text)):
        raise InvalidHead(VIOLATION)
    return int(text)


def read_response_head(headers: list[Header], *, is_end: bool) -> ResponseHead:
    """The head of an upstream's response. Raises ``InvalidHead``."""
    pseudo, fields = _split(headers)
    status = pseudo.get(b":status", b"")
    if pseudo.keys() != {b":status"} or not (len(status) == 3 and status.isdigit()):
        raise InvalidHead(VIOLATION)
    fields = joined(fields, INLINE_RESPONSE)
    length = dict(fields).get(b"content-length", b"")
    return ResponseHead(
        status=int(status),
        headers=fields,
        marked={name: value for name, value in fields if name in MARKED_RESPONSE},
        size=0,
        content_length=int(length) if length.isdigit() else None,
    )


def read_trailers(headers: list[Header]) -> list[Header]:
    """Fields after the payload. Raises ``InvalidHead``."""
    pseudo, fields = _split(headers)
    if pseudo:
        raise InvalidHead(VIOLATION)
    return fields


def request_fields(
    head: RequestHead, path: bytes | None, authority: bytes, scheme: bytes, headers: list[Header]
) -> list[Header]:
    """The block for an upstream: pseudo headers in the client's order, then the rest."""
    values = {b":authority": authority, b":path": path, b":method": head.method, b":scheme": scheme}
    if path is None:
        values.pop(b":scheme")
    order = [*head.pseudo_order, *(name for name in DEFAULT_ORDER if name not in head.pseudo_order)]
    pseudo = [(name, value) for name in order if (value := values.get(name)) is not None]
    return [*pseudo, *(header for header in headers if header[0] not in _CONNECTION_FIELDS)]
