"""CORS (``envoy.filters.http.cors``): preflights answered here, headers added to answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.match.string_match import compile_string_matcher
from sandbox.wire.headers import header_value, set_header
from sandbox.wire.http_message import Header

if TYPE_CHECKING:
    from sandbox.plan.route import CorsPolicy


_EXPOSE = b"access-control-expose-headers"
_ASKED = {
    b"access-control-allow-methods": b"access-control-request-method",
    b"access-control-allow-headers": b"access-control-request-headers",
}


class Cors:
    """One route's policy."""

    __slots__ = ("_allows_all", "_answer", "_credentials", "_expose", "_forward", "_origins", "share")

    def __init__(self, plan: CorsPolicy) -> None:
        self._origins = tuple(compile_string_matcher(origin) for origin in plan.allow_origin_string_match)
        self._allows_all = any(matches(b"*") for matches in self._origins)  # how Envoy finds a lone asterisk
        self._credentials = bool(plan.allow_credentials)
        self._expose = plan.expose_headers.encode()
        self._forward = plan.forward_not_matching_preflights is not False
        answer: list[Header] = []
        for name, text in (
            (b"access-control-allow-methods", plan.allow_methods),
            (b"access-control-allow-headers", plan.allow_headers),
            (b"access-control-max-age", plan.max_age),
            (b"access-control-expose-headers", plan.expose_headers),
        ):
            if text:
                answer.append((name, text.encode()))
        self._answer = tuple(answer)
        enabled = plan.filter_enabled.default_value if plan.filter_enabled is not None else None
        self.share = 1.0 if enabled is None else enabled.share

    def allowed_origin(self, headers: list[Header]) -> bytes | None:
        """The request's Origin where the policy allows it."""
        origin = header_value(headers, b"origin")
        if not origin or not (self._allows_all or any(matches(origin) for matches in self._origins)):
            return None
        return origin

    def preflight(self, method: bytes, headers: list[Header]) -> list[Header] | None:
        """The answer's headers, or ``None`` where the request goes on."""
        if method != b"OPTIONS" or header_value(headers, b"origin") in (None, b""):
            return None
        if not header_value(headers, b"access-control-request-method"):
            return None
        origin = self.allowed_origin(headers)
        if origin is None:
            return None if self._forward else [field for field in self._answer if field[0] != _EXPOSE]
        answer: list[Header] = [(b"access-control-allow-origin", origin)]
        if self._credentials:
            answer.append((b"access-control-allow-credentials", b"true"))
        return answer + [self._echoed(field, headers) for field in self._answer]

    def _echoed(self, field: Header, headers: list[Header]) -> Header:
        """An asterisk for methods and headers stands for those that the preflight asks about."""
        asked = _ASKED.get(field[0])
        return field if asked is None or field[1] != b"*" else (field[0], header_value(headers, asked) or b"")

    def decorate(self, origin: bytes, headers: list[Header]) -> None:
        """Adds to the answer of an allowed request."""
        set_header(headers, b"access-control-allow-origin", origin)
        if self._credentials:
            set_header(headers, b"access-control-allow-credentials", b"true")
        if self._expose:
            set_header(headers, b"access-control-expose-headers", self._expose)
