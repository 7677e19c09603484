"""Tokens of HTTP requests (``envoy.filters.http.jwt_authn``): who sends a bad one is refused, none is fine."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from sandbox.plan import filter_names
from sandbox.proxy.http_access import Denial
from sandbox.proxy.json_web_token import KeySet, Token, TokenRefused, read_token
from sandbox.wire.headers import header_value, set_header

if TYPE_CHECKING:
    from sandbox.match.facts import RequestFacts
    from sandbox.plan.http_connection_manager import JwtAuthentication, JwtProvider, JwtRequirement
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.wire.http_message import Header

MISSING: Final = "Jwt is missing"
UNKNOWN_ISSUER: Final = "Jwt issuer is not configured"
WRONG_AUDIENCE: Final = "Audiences in Jwt are not allowed"
_MOST_OF_PATH: Final = 256
_TOKEN_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


class JwtFilter:
    """One filter: its providers with their keys, and what it requires of every request."""

    __slots__ = ("_bypasses_preflight", "_providers", "_requirement")

    def __init__(self, plan: JwtAuthentication) -> None:
        self._providers = {name: _Provider(provider) for name, provider in (plan.providers or {}).items()}
        self._requirement = plan.rules[0].requires if plan.rules else None
        self._bypasses_preflight = plan.bypass_cors_preflight

    def refusal(self, stream: HttpStream, request: RequestFacts) -> Denial | None:
        """A 401 or 403; ``None`` lets the request through, with claims in its headers and metadata."""
        for provider in self._providers.values():
            provider.remove_what_clients_may_not_say(stream.headers)
        if self._requirement is None or (self._bypasses_preflight and _is_preflight(request)):
            return None
        words = self._verify(self._requirement, stream)
        return None if words is None else _denial(words, request)

    def _verify(self, requirement: JwtRequirement, stream: HttpStream) -> str | None:
        if requirement.provider_name is not None:
            return self._providers[requirement.provider_name].verify(stream)
        if requirement.requires_all is not None:
            found = (self._verify(each, stream) for each in requirement.requires_all.requirements)
            return next((words for words in found if words is not None), None)
        if requirement.requires_any is not None:
            return self._verify_any(requirement.requires_any.requirements, stream)
        return None

    def _verify_any(self, requirements: tuple[JwtRequirement, ...], stream: HttpStream) -> str | None:
        """The most telling refusal: a bad token counts more than one of a stranger, that more than none."""
        worst = MISSING
        for each in requirements:
            if each.allow_missing is not None:
                continue
            words = self._verify(each, stream)
            if words is None:
                return None
            if worst == MISSING or words not in (MISSING, UNKNOWN_ISSUER):
                worst = words
        is_optional = any(each.allow_missing is not None for each in requirements)
        return None if is_optional and worst == MISSING else worst


class _Provider:
    """An issuer: where its tokens are looked for, with which keys they are checked, and what becomes of them."""

    __slots__ = ("_audiences", "_keys", "_plan")

    def __init__(self, plan: JwtProvider) -> None:
        self._plan = plan
        self._keys = KeySet((plan.local_jwks.inline_string or "") if plan.local_jwks is not None else "")
        self._audiences = frozenset(map(_bare_audience, plan.audiences))

    def remove_what_clients_may_not_say(self, headers: list[Header]) -> None:
        """The headers that only we fill."""
        ours = {each.header_name.lower().encode() for each in self._plan.claim_to_headers}
        if self._plan.forward_payload_header:
            ours.add(self._plan.forward_payload_header.lower().encode())
        if any(name in ours for name, _ in headers):
            headers[:] = [header for header in headers if header[0] not in ours]

    def verify(self, stream: HttpStream) -> str | None:
        """Words against the first bad token, ``None`` where all are good."""
        places = list(self._tokens(stream))
        for _, text in reversed(places):
            try:
                token = self._checked(text)
            except TokenRefused as refused:
                return str(refused)
            self._take_over(token, stream)
        if not places:
            return MISSING
        if not self._plan.forward:
            for place, _ in places:
                place.remove(stream)
        return None

    def _checked(self, text: str) -> Token:
        token = read_token(text)
        if self._plan.issuer and token.issuer != self._plan.issuer:
            raise TokenRefused(UNKNOWN_ISSUER)
        token.check_times(time.time())
        if self._audiences and self._audiences.isdisjoint(map(_bare_audience, token.audiences)):
            raise TokenRefused(WRONG_AUDIENCE)
        self._keys.verify(token)
        return token

    def _tokens(self, stream: HttpStream) -> Iterator[tuple[_Place, str]]:
        plan = self._plan
        are_usual = not (plan.from_headers or plan.from_params or plan.from_cookies)
        places = (
            [("authorization", "Bearer ")] if are_usual else [(at.name, at.value_prefix) for at in plan.from_headers]
        )
        for name, prefix in places:
            value = (header_value(stream.headers, name.lower().encode()) or b"").decode("latin-1")
            start = value.find(prefix)
            if value and start >= 0:
                yield _Place("header", name.lower()), _from_token(value[start + len(prefix) :])
        parameters = dict(_parameters(stream.info.path or b""))
        for name in ("access_token",) if are_usual else plan.from_params:
            if name in parameters:
                yield _Place("parameter", name), parameters[name]
        cookies = dict(_cookies(stream.headers))
        for name in plan.from_cookies:
            if name in cookies:
                yield _Place("cookie", name), cookies[name]

    def _take_over(self, token: Token, stream: HttpStream) -> None:
        plan = self._plan
        if plan.forward_payload_header:
            set_header(stream.headers, plan.forward_payload_header.lower().encode(), token.payload_text.encode())
        for each in plan.claim_to_headers:
            value = _as_header(_claim(token.payload, each.claim_name))
            if value is not None:
                set_header(stream.headers, each.header_name.lower().encode(), value.encode())
        if plan.payload_in_metadata:
            if stream.info.dynamic_metadata is None:
                stream.info.dynamic_metadata = {}
            payload = self._normalized(token.payload)
            stream.info.dynamic_metadata.setdefault(filter_names.JWT_AUTHN, {})[plan.payload_in_metadata] = payload

    def _normalized(self, payload: Mapping[str, object]) -> dict[str, object]:
        normalize = self._plan.normalize_payload_in_metadata
        lists = normalize.space_delimited_claims if normalize is not None else ()
        return {
            name: value.split() if name in lists and isinstance(value, str) else value
            for name, value in payload.items()
        }


class _Place:
    """Where a token was, to take it away."""

    __slots__ = ("_kind", "_name")

    def __init__(self, kind: str, name: str) -> None:
        self._kind = kind
        self._name = name

    def remove(self, stream: HttpStream) -> None:
        """Cookies stay, as in Envoy."""
        if self._kind == "header":
            name = self._name.encode()
            stream.headers[:] = [header for header in stream.headers if header[0] != name]
        elif self._kind == "parameter" and stream.info.path is not None:
            bare, _, query = stream.info.path.partition(b"?")
            start = f"{self._name}=".encode()
            kept = [part for part in query.split(b"&") if not part.startswith(start)]
            stream.info.path = bare + (b"?" + b"&".join(kept) if kept else b"")


def _denial(words: str, request: RequestFacts) -> Denial:
    authority, path = request.authority or b"", request.path or b""
    realm = request.scheme + b"://" + authority + path[:_MOST_OF_PATH]
    error = b"" if words == MISSING else b', error="invalid_token"'
    return Denial(
        status=403 if words == WRONG_AUDIENCE else 401,
        body=words.encode(),
        details=f"jwt_authn_access_denied{{{words.replace(' ', '_')}}}",
        headers=((b"www-authenticate", b'Bearer realm="%b"%b' % (realm, error)),),
    )


def _is_preflight(request: RequestFacts) -> bool:
    return (
        request.method == b"OPTIONS"
        and bool(request.header(b"origin"))
        and bool(request.header(b"access-control-request-method"))
    )


def _from_token(text: str) -> str:
    """From the first character that a token may have."""
    start = next((place for place, letter in enumerate(text) if letter in _TOKEN_CHARACTERS), 0)
    return text[start:]


def _bare_audience(audience: str) -> str:
    return audience.removeprefix("http://").removeprefix("https://").removesuffix("/")


def _parameters(path: bytes) -> Iterator[tuple[str, str]]:
    query = path.partition(b"?")[2].partition(b"#")[0].decode("latin-1")
    for part in reversed(query.split("&")):
        name, _, value = part.partition("=")
        yield name, value


def _cookies(headers: list[Header]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        for part in value.decode("latin-1").split(";") if name == b"cookie" else ():
            key, _, text = part.strip().partition("=")
            yield key, text.strip('"')


def _claim(payload: Mapping[str, object], name: str) -> object:
    value: object = payload
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _as_header(value: object) -> str | None:
    """Words as they are, ``true``, whole numbers, others with six decimals; structures as JSON in base64."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6f}"
    if isinstance(value, list | dict):
        return base64.b64encode(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()).decode()
    return value if isinstance(value, str) else None
