"""Writes the head of a request for an HTTP/1.1 upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.wire.http_message import Header

if TYPE_CHECKING:
    from sandbox.proxy.http_stream import HttpStream

NO_CONTENT: list[Header] = [(b"content-length", b"0")]
CHUNKED: list[Header] = [(b"transfer-encoding", b"chunked")]
BODILESS = frozenset({b"GET", b"HEAD", b"DELETE", b"TRACE", b"CONNECT"})


def render_request_head(stream: HttpStream, is_end: bool) -> tuple[bytes, bool]:
    """The bytes of the head, and whether the body goes in chunks."""
    info = stream.info
    headers = stream.headers
    method = stream.head.method
    is_chunked = False
    framing: list[Header] = []
    if stream.head.content_length is None:
        if is_end and not stream.is_upgrade:
            if method not in BODILESS:
                framing = NO_CONTENT
        elif not stream.is_upgrade:
            is_chunked = True
            framing = CHUNKED
    names = original_names(stream.head.raw) if stream.manager.keeps_case else None
    host = b"host" if names is None else names.get(b"host", b"host")
    target = info.path if info.path is not None else info.authority or b""
    return (
        b"%b %b HTTP/1.1\r\n%b: %b\r\n%b%b\r\n"
        % (method, target, host, info.authority or b"", render_headers(headers, names), render_headers(framing, names)),
        is_chunked,
    )


def render_headers(headers: list[Header], names: dict[bytes, bytes] | None) -> bytes:
    """Header lines, each with its end."""
    if not headers:
        return b""
    if names is not None:
        return b"".join(b"%b: %b\r\n" % (names.get(name, name), value) for name, value in headers)
    return b"\r\n".join(map(b": ".join, headers)) + b"\r\n"


def original_names(raw: bytes) -> dict[bytes, bytes]:
    """From names in lower case to how a head spelled them (the first spelling counts)."""
    names: dict[bytes, bytes] = {}
    for line in raw.split(b"\n")[1:]:
        name = line.partition(b":")[0]
        names.setdefault(name.lower(), name)
    return names


__all__ = ["BODILESS", "CHUNKED", "NO_CONTENT", "original_names", "render_headers", "render_request_head"]
