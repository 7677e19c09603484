"""JSON web key sets, read as far as istiod's library does when it validates."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final

_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("e", "n"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
    "oct": ("k",),
}
_CURVES: Final = frozenset({"P-256", "P-384", "P-521", "Ed25519", "Ed448", "X25519", "X448"})
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")


def jwks_fault(text: str) -> str | None:
    """A key, or a set of keys, each with the members its type needs."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"jwks parse error: {error}"
    if not isinstance(document, dict):
        return "jwks parse error: a key set is a JSON object"
    for index, key in enumerate(_keys(document)):
        fault = _key_fault(key)
        if fault is not None:
            return f"jwks parse error: key #{index}: {fault}"
    return None


def private_keys(text: str) -> list[int]:
    """The indices of the keys of a sound set that hold more than a public key."""
    keys = _keys(json.loads(text))
    return [index for index, key in enumerate(keys) if key.get("kty") == "oct" or "d" in key]


def _keys(document: Mapping[str, Any]) -> list[Any]:
    keys = document.get("keys")
    return keys if isinstance(keys, list) else [document]


def _key_fault(key: object) -> str | None:
    if not isinstance(key, dict):
        return "a key is a JSON object"
    kind = key.get("kty")
    if not isinstance(kind, str) or kind not in _REQUIRED:
        return f"kty is one of {', '.join(_REQUIRED)}, not {kind!r}"
    for member in _REQUIRED[kind]:
        value = key.get(member)
        if value is None or value == "":
            return f"required field {member} is missing"
        if not isinstance(value, str):
            return f"{member} is not text"
        if member != "crv" and not _is_base64(value):
            return f"{member} is not base64"
    curve = key.get("crv")
    return f"unknown curve {curve!r}" if curve is not None and curve not in _CURVES else None


def _is_base64(value: str) -> bool:
    if not _BASE64.fullmatch(value):
        return False
    try:
        base64.urlsafe_b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4))
    except (binascii.Error, ValueError):
        return False
    return True
