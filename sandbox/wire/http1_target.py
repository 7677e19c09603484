"""The target of a request: origin-form, absolute-form, authority-form, ``*`` (RFC 9112 section 3.2, read by Envoy)."""

from __future__ import annotations

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
    if not authority or not _is_port_good(authority):
        return INVALID_URL
    scheme = scheme.lower()
    if scheme not in (b"http", b"https"):
        return INVALID_SCHEME
    if scheme == b"https" and limits.refuses_https:
        return HTTPS_IN_PLAINTEXT
    head.scheme = scheme
    head.host = authority.rpartition(b"@")[2]
    head.path = b"/" + path if path[:1] in (b"", b"#") else path
    return None


def _authority_form(head: RequestHead, target: bytes) -> Refusal | None:
    host, colon, port = target.rpartition(b":")
    if not host or not colon or decimal_number(port, MOST_PORT) is None or b"/" in host or b"?" in host:
        return INVALID_URL
    head.host = target
    head.path = None
    return None


def _is_port_good(authority: bytes) -> bool:
    host = authority.rpartition(b"@")[2]
    _, colon, port = host.rpartition(b":") if not host.endswith(b"]") else (host, b"", b"")
    return not colon or decimal_number(port, MOST_PORT) is not None
