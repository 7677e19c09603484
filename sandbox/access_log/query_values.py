"""The query of a request's path, for the operators that tell of it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from sandbox.access_log.operator_values import text
from sandbox.access_log.stream_info import StreamInfo

_SPACE: Final = 0x20
_TILDE: Final = 0x7E
_KEPT: Final = b'"<>\\^{|}'
"""Visible characters that no URL may have as they are."""


def query(info: StreamInfo, is_decoded: bool, max_length: int | None) -> str | None:
    """The query of the path, without the question mark."""
    if info.path is None or b"?" not in info.path:
        return None
    whole = info.path.partition(b"?")[2]
    return text((_visible(whole) if is_decoded else whole)[:max_length])


_ESCAPE: Final = re.compile(rb"%(?:([0-9A-Fa-f]{2})|(?=..))", re.DOTALL)


def _visible(query: bytes) -> bytes:
    """Escapes of characters that a URL may have undone, others kept; a percent sign that begins none is left out, but
    at the end (found with Envoy 1.39)."""
    return _ESCAPE.sub(_visible_escape, query)


def _visible_escape(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        return b""
    byte = int(found[1], 16)
    return bytes((byte,)) if _SPACE < byte <= _TILDE and byte not in _KEPT else found[0]


def query_parameter(info: StreamInfo, name: bytes, max_length: int | None) -> str | None:
    """The first value of a query parameter, its escapes undone."""
    for parameter in (info.path or b"").partition(b"?")[2].split(b"&"):
        key, _, value = parameter.partition(b"=")
        if key == name:
            return text(unquote_to_bytes(value)[:max_length])
    return None
