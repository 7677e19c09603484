"""The target of a request: origin-form, absolute-form, authority-form, ``*`` (RFC 9112 section 3.2, read by Envoy)."""

from __future__ import annotations

import ipaddress
import re

from sandbox.wire.decimal_number import decimal_number
from sandbox.wire.http1_lines import HeadLimits
from sandbox.wire.http_message import Refusal, RequestHead

INVALID_URL = Refusal(400, "http1.invalid_url")
INVALID_SCHEME = Refusal(400, "http1.invalid_scheme")
HTTPS_IN_PLAINTEXT = Refusal(403, "http1.https_url_on_plaintext_connection")
MOST_PORT = 65535


def resolve_target(head: RequestHead, limits: HeadLimits) -> Refusal | None:
    """Sets ``path``, ``host`` and ``scheme`` from the target that ``path`` still holds."""
    target = head.path or b""
    if head.method == b"CONNECT":
        return _authority_form(head, target)
    if target[:1] == b"/" or (target == b"*" and head.method == b"OPTIONS") or not limits.allow_absolute_url:
        return None
    scheme, separator, rest = target.partition(b"://")
    if not separator or not rest:
        return INVALID_URL
    cut = min((place for mark in (b"/", b"?", b"#") if (place := rest.find(mark)) >= 0), default=len(rest))
    authority, path = rest[:cut], rest[cut:]
    user, _, host = authority.rpartition(b"@")
    if not _IS_USER(user) or not _is_host(host, needs_port=False):
        return INVALID_URL
    scheme = scheme.lower()
    if scheme not in (b"http", b"https"):
        return INVALID_SCHEME
    if scheme == b"https" and limits.refuses_https:
        return HTTPS_IN_PLAINTEXT
    head.scheme = scheme
    head.host = host
    head.path = b"/" + path if path[:1] in (b"", b"#") else path
    return None


def _authority_form(head: RequestHead, target: bytes) -> Refusal | None:
    if not _is_host(target, needs_port=True):
        return INVALID_URL
    head.host = target
    head.path = None
    return None


_IS_NAME = re.compile(rb"[0-9A-Za-z.\-]+").fullmatch
_IS_USER = re.compile(rb"[0-9A-Za-z\-_.!~*'()%;:&=+$,]*").fullmatch
_IS_ZONE = re.compile(rb"[0-9]+|[A-Za-z][0-9A-Za-z._\-]*").fullmatch


def _is_host(text: bytes, *, needs_port: bool) -> bool:
    """A name or an address in brackets, with its port: of fewer letters than the field Host may have."""
    if text[:1] == b"[":
        address, bracket, rest = text[1:].partition(b"]")
        is_good = bool(bracket) and _is_address(address)
        colon, port = rest[:1], rest[1:]
    else:
        name, colon, port = text.partition(b":")
        is_good = _IS_NAME(name) is not None
    if not colon:
        return is_good and not needs_port
    return is_good and colon == b":" and decimal_number(port, MOST_PORT) is not None


def _is_address(text: bytes) -> bool:
    address, percent, zone = text.partition(b"%")
    try:
        ipaddress.ip_address(address.decode("ascii", "replace"))
    except ValueError:
        return False
    return not percent or _IS_ZONE(zone) is not None
