"""Normalises the path of a request as Envoy does (``path_utility.cc`` over Chromium's URL canonicaliser)."""

from __future__ import annotations

import re
from collections.abc import Callable

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~/!$&'()*+,;=:@[]")
_IN_SEGMENT = re.escape(bytes(sorted(_PLAIN - {ord("/")})) + b".")
_NORMAL = rb"(?:/(?![%b])[%b]*)+(?:\?[!-\"$-~]*)?"
"""A path with its query: which characters do not follow a slash, and which ones stand between two."""
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_SLASHES = re.compile(rb"/{2,}")
_PARAMETERS_OF_DOTS = re.compile(rb"(?<=/)(\.\.?);[^/]*")
_ESCAPED_SLASHES = re.compile(rb"%2[fF]|%5[cC]")


class PathRejected(Exception):
    """``path_normalization_failed``."""


class PathRedirect(Exception):
    """The path with its escaped slashes undone, to which the client is sent (307)."""

    def __init__(self, path: bytes) -> None:
        super().__init__()
        self.path = path


class PathRules:
    """How one connection manager normalises; ``normalize`` gives the path (query included) to work with."""

    __slots__ = ("escaped_slashes", "is_normal", "merge_slashes", "normal_pattern", "normalize_path")

    def __init__(self, normalize_path: bool, merge_slashes: bool, escaped_slashes: str) -> None:
        self.normalize_path = normalize_path
        self.merge_slashes = merge_slashes
        self.escaped_slashes = escaped_slashes
        """Envoy's word: KEEP_UNCHANGED, REJECT_REQUEST, UNESCAPE_AND_REDIRECT or UNESCAPE_AND_FORWARD."""
        after_slash = rb"./" if merge_slashes else rb"."
        self.normal_pattern = _NORMAL % (after_slash, _IN_SEGMENT) if normalize_path else None
        """Fits most paths that stay as they are, and no other; ``None`` where any path may be changed."""
        self.is_normal: Callable[[bytes], object] = (
            _never if self.normal_pattern is None else re.compile(self.normal_pattern).fullmatch
        )
        """The quick way to know."""

    def normalize(self, path: bytes) -> bytes:
        """The path to route and forward; raises PathRejected."""
        if self.is_normal(path):
            return path
        path = path.partition(b"#")[0]
        path, question, query = path.partition(b"?")
        unescaped = False
        if self.escaped_slashes.startswith(("UNESCAPE", "REJECT")) and _ESCAPED_SLASHES.search(path):
            if self.escaped_slashes == "REJECT_REQUEST":
                raise PathRejected
            path = _ESCAPED_SLASHES.sub(lambda found: b"/" if found[0][1:2] == b"2" else b"\\", path)
            unescaped = self.escaped_slashes == "UNESCAPE_AND_REDIRECT"
        if self.normalize_path:
            path = canonical(path)
        if self.merge_slashes:
            path = _SLASHES.sub(b"/", path) if path.strip(b"/") else path[:2]
        if unescaped:
            raise PathRedirect(path + question + query)
        return path + question + query


def _never(_path: bytes) -> object:
    return None


def canonical(path: bytes) -> bytes:
    """Dot segments resolved, backslashes turned, unreserved characters decoded, others encoded; no query.

    A dot segment as it is written may have parameters (``..;x``), which go with it.
    """
    if b"%00" in path or b"\x00" in path:
        raise PathRejected
    if b"/." in path:
        path = _PARAMETERS_OF_DOTS.sub(rb"\1", path)
    path = _PERCENT.sub(_decode_unreserved, path).replace(b"\\", b"/")
    segments: list[bytes] = []
    parts = path.split(b"/")[1:]
    for place, part in enumerate(parts):
        is_last = place == len(parts) - 1
        if part == b"..":
            if segments:
                segments.pop()
        elif part != b".":
            segments.append(part)
            continue
        if is_last:
            segments.append(b"")
    return b"".join(
        bytes((byte,)) if byte in _PLAIN or byte in b".%" else b"%%%02X" % byte for byte in b"/" + b"/".join(segments)
    )


def _decode_unreserved(found: re.Match[bytes]) -> bytes:
    byte = int(found[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else found[0]
