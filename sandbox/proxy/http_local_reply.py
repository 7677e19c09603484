"""Replies that the proxy makes itself: their headers, their body, and the gRPC form of them."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.wire.headers import header_value, set_header
from sandbox.wire.http_message import Header

GRPC_STATUS = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
"""HTTP status to gRPC status (Envoy's ``httpToGrpcStatus``); every other is 2, UNKNOWN."""

CODEC_BODIES = {
    400: b"Bad Request",
    403: b"Forbidden",
    426: b"Upgrade Required",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
}
"""What a codec's error is answered with."""

_PLAIN_MESSAGE = frozenset(range(0x20, 0x7F)) - {0x25}


class LocalReply:
    """One reply: ``status`` as the client sees it, its head (date and server not yet there) and body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: list[Header]) -> None:
        self.status = status
        self.body = body
        self.headers = headers


def local_reply(
    status: int,
    body: bytes,
    *,
    first: Sequence[Header] = (),
    is_grpc: bool = False,
    grpc_status: int | None = None,
    is_head: bool = False,
) -> LocalReply:
    """The reply; ``first`` are fields that stand before all others (``x-envoy-overloaded``, ``location``).

    What they say of a body that is not there goes; ``is_head``: the request's method takes none.
    """
    if is_grpc:
        code = GRPC_STATUS.get(status, 2) if grpc_status is None else grpc_status
        headers = [field for field in first if field[0] != b"content-length"]
        set_header(headers, b"content-type", b"application/grpc")
        if header_value(headers, b"grpc-status") is None:
            headers.append((b"grpc-status", b"%d" % code))
        if body and not is_head:
            set_header(headers, b"grpc-message", grpc_message(body))
        return LocalReply(200, b"", headers)
    headers = list(first)
    if body:
        set_header(headers, b"content-length", b"%d" % len(body))
        if header_value(headers, b"content-type") is None:
            headers.append((b"content-type", b"text/plain"))
    else:
        headers = [field for field in headers if field[0] not in (b"content-length", b"content-type")]
    return LocalReply(status, body, headers)


def grpc_message(text: bytes) -> bytes:
    """Percent-encoded as gRPC wants it."""
    return b"".join(bytes((byte,)) if byte in _PLAIN_MESSAGE else b"%%%02X" % byte for byte in text)


def is_grpc_content(content_type: bytes) -> bool:
    """``application/grpc`` and its variants with a suffix."""
    return content_type.startswith(b"application/grpc") and content_type[16:17] in (b"", b"+")
