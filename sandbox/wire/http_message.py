"""Heads of HTTP messages as values: what a codec found, before any proxy has changed it."""

from __future__ import annotations

from typing import final

import msgspec

Header = tuple[bytes, bytes]
"""Name in lower case, and value without surrounding white space."""


@final
class Refusal(msgspec.Struct, frozen=True):
    """A head (or body) that the codec refuses; ``details`` is Envoy's ``response_code_details``."""

    status: int
    details: str


class RequestHead(msgspec.Struct):
    """A request's head; ``target`` forms are resolved: ``path`` is origin-form, or ``None`` for CONNECT."""

    method: bytes
    path: bytes | None
    host: bytes | None
    """The authority: of an absolute-form target, else the Host header; ``None`` where there is none."""
    headers: list[Header]
    """All fields but Host, in the client's order; repeated inline fields (RFC 9110 lists) are already joined."""
    marked: dict[bytes, bytes]
    """Those fields among them that a proxy must look at (``MARKED_REQUEST``), by name."""
    size: int
    """Bytes of the head, the empty line included."""
    scheme: bytes | None = None
    """Of an absolute-form target."""
    is_http11: bool = True
    content_length: int | None = None
    is_chunked: bool = False
    index: dict[bytes, bytes] = {}
    """``headers`` by name, as they were received."""
    raw: bytes = b""
    """The head as received; the case of names is read from here where it must be kept."""
    has_normal_path: bool = False
    """Its path is known to be in its normal form; where that is not known it is still to be looked at."""
    pseudo_order: tuple[bytes, ...] = ()
    """How an HTTP/2 client ordered its pseudo headers."""


class ResponseHead(msgspec.Struct):
    """A response's head; readers may give the same one to several, so that nobody changes it."""

    status: int
    headers: list[Header]
    marked: dict[bytes, bytes]
    """Fields that a proxy must look at (``MARKED_RESPONSE``), by name."""
    size: int
    is_http11: bool = True
    content_length: int | None = None
    is_chunked: bool = False
    raw: bytes = b""
    is_simple: bool = False
    """A final HTTP/1.1 head with a body of known length, and nothing marked that asks for more than to be sent on."""
