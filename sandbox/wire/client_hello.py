"""Reads SNI and ALPN out of the first bytes of a TLS connection, however they are split (RFC 8446 4.1.2, RFC 6066 3).

Accepts and refuses what BoringSSL does, because that is what Envoy's TLS inspector asks.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

RECORD_HEADER: Final = 5
HANDSHAKE_HEADER: Final = 4
HANDSHAKE_RECORD: Final = 22
CLIENT_HELLO_MESSAGE: Final = 1
MAXIMUM_MESSAGE: Final = 16_384
"""A longer ClientHello is refused as soon as its length is read."""
MAXIMUM_RECORD: Final = 16_384 + 256
MOST_EMPTY_RECORDS: Final = 32
MAXIMUM_NAME: Final = 255
SERVER_NAME_EXTENSION: Final = 0
ALPN_EXTENSION: Final = 16


class ClientHello(msgspec.Struct, frozen=True, gc=False):
    """What the client says: ``server_name`` in lower case ("" for none), the ALPN protocols in its order."""

    server_name: str = ""
    application_protocols: tuple[str, ...] = ()


class NotYet(enum.Enum):
    """Answers that are no ClientHello."""

    NEED_MORE = "need more bytes"
    NOT_TLS = "not TLS"


def read_client_hello(data: bytes) -> ClientHello | NotYet:
    """``data`` is everything that the client has sent so far."""
    message = _handshake_message(data)
    if isinstance(message, NotYet):
        return message
    return _parse(message) or NotYet.NOT_TLS


def _handshake_message(data: bytes) -> bytes | NotYet:
    """The body of the first handshake message, put together from as many records as it takes."""
    if len(data) < RECORD_HEADER:
        return NotYet.NEED_MORE
    collected = b""
    offset = empty = 0
    while True:
        if len(data) - offset < RECORD_HEADER:
            return NotYet.NEED_MORE
        if data[offset] != HANDSHAKE_RECORD or data[offset + 1] != 3:
            return NotYet.NOT_TLS
        length = int.from_bytes(data[offset + 3 : offset + 5], "big")
        empty += not length
        if length > MAXIMUM_RECORD or empty > MOST_EMPTY_RECORDS:
            return NotYet.NOT_TLS
        if len(data) - offset - RECORD_HEADER < length:
            return NotYet.NEED_MORE
        collected += data[offset + RECORD_HEADER : offset + RECORD_HEADER + length]
        offset += RECORD_HEADER + length
        if len(collected) < HANDSHAKE_HEADER:
            continue
        size = int.from_bytes(collected[1:4], "big")
        if collected[0] != CLIENT_HELLO_MESSAGE or size > MAXIMUM_MESSAGE:
            return NotYet.NOT_TLS
        if len(collected) >= HANDSHAKE_HEADER + size:
            return collected[HANDSHAKE_HEADER : HANDSHAKE_HEADER + size]


class _Malformed(Exception):
    """A length points outside of its message."""


def _vector(data: bytes, offset: int, size: int) -> tuple[bytes, int]:
    """A vector with a length of ``size`` bytes at ``offset``, and the offset behind it."""
    start = offset + size
    end = start + int.from_bytes(data[offset:start], "big")
    if start > len(data) or end > len(data):
        raise _Malformed
    return data[start:end], end


def _parse(body: bytes) -> ClientHello | None:
    try:
        return _parse_body(body)
    except _Malformed:
        return None


def _parse_body(body: bytes) -> ClientHello | None:
    if len(body) < 35 or body[0] != 3:
        return None
    session_id, offset = _vector(body, 34, 1)
    ciphers, offset = _vector(body, offset, 2)
    compressions, offset = _vector(body, offset, 1)
    if len(session_id) > 32 or len(ciphers) < 2 or len(ciphers) % 2 or not compressions:
        return None
    if offset == len(body):
        return ClientHello()
    extensions, end = _vector(body, offset, 2)
    if end != len(body):
        return None
    server_name = ""
    protocols: tuple[str, ...] = ()
    offset = 0
    seen: set[int] = set()
    while offset < len(extensions):
        kind = int.from_bytes(extensions[offset : offset + 2], "big")
        value, offset = _vector(extensions, offset + 2, 2)
        if kind in seen:
            return None
        seen.add(kind)
        if kind == SERVER_NAME_EXTENSION:
            server_name = _server_name(value)
        elif kind == ALPN_EXTENSION:
            protocols = _protocols(value)
    return ClientHello(server_name, protocols)


def _server_name(value: bytes) -> str:
    names, end = _vector(value, 0, 2)
    if end != len(value) or not names or names[0] != 0:
        raise _Malformed
    name, end = _vector(names, 1, 2)
    if end != len(names) or not 0 < len(name) <= MAXIMUM_NAME or b"\0" in name:
        raise _Malformed
    return name.decode("latin-1").lower()


def _protocols(value: bytes) -> tuple[str, ...]:
    """A malformed list counts as none: the TLS stack behind us will complain."""
    try:
        listing, end = _vector(value, 0, 2)
        if end != len(value) or len(listing) < 2:
            return ()
        protocols: list[str] = []
        offset = 0
        while offset < len(listing):
            name, offset = _vector(listing, offset, 1)
            if not name:
                return ()
            protocols.append(name.decode("latin-1"))
    except _Malformed:
        return ()
    return tuple(protocols)
