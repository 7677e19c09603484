"""Conditions of a VirtualService's HTTP match as Envoy's (Istio route.go ``TranslateRouteMatch``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandbox.compiler.string_matches import is_present_match, translate_string_match
from sandbox.istio.destination import StringMatch
from sandbox.istio.http_route import HTTPMatchRequest
from sandbox.plan import filter_names
from sandbox.plan.base import HeaderMatcher, RegexMatcher
from sandbox.plan.rbac import ListMatcher, MetadataMatcher, OrMatcher, PathSegment, ValueMatcher
from sandbox.plan.route import QueryParameterMatcher, RouteMatch

MATCH_ALL: Final = RouteMatch(prefix="/")
_JWT_CLAIMS: Final = "@request.auth.claims"
_JWT_PAYLOAD: Final = "payload"


def translate_match(match: HTTPMatchRequest | None) -> RouteMatch:
    """The runtime conditions; port, source and gateway conditions were decided before."""
    if match is None:
        return MATCH_ALL
    claims = [matcher for name, text in match.headers.items() if (matcher := _claim(name, text))]
    claims += [
        replace(matcher, invert=True) for name, text in match.without_headers.items() if (matcher := _claim(name, text))
    ]
    return replace(
        _path(match.uri),
        case_sensitive=not match.ignore_uri_case,
        headers=_headers(match),
        query_parameters=tuple(_query_parameter(name, text) for name, text in match.query_params.items()),
        dynamic_metadata=tuple(claims),
    )


def is_catch_all(match: RouteMatch) -> bool:
    """Whether every request matches, so that nothing after it is reached."""
    every_path = match.prefix == "/" or match.path_separated_prefix == "/"
    if match.safe_regex is not None:
        every_path = match.safe_regex.regex == ".*"
    return every_path and not (match.headers or match.query_parameters or match.dynamic_metadata)


def path_text(match: RouteMatch) -> str:
    """The path as the name of a trace's operation has it."""
    if match.prefix is not None:
        return f"{match.prefix}*"
    if match.path is not None:
        return match.path
    return match.safe_regex.regex if match.safe_regex is not None else "/*"


def _path(uri: StringMatch | None) -> RouteMatch:
    if uri is None:
        return MATCH_ALL
    if uri.exact is not None:
        return RouteMatch(path=uri.exact)
    if uri.prefix is not None:
        return RouteMatch(prefix=uri.prefix)
    return MATCH_ALL if uri.regex is None else RouteMatch(safe_regex=RegexMatcher(regex=uri.regex))


def _headers(match: HTTPMatchRequest) -> tuple[HeaderMatcher, ...]:
    """By name; the pseudo headers stand last."""
    wanted = [_header(name, text) for name, text in match.headers.items() if not _is_claim(name)]
    unwanted = [_without(name, text) for name, text in match.without_headers.items() if not _is_claim(name)]
    pseudo = ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme))
    return (
        *sorted(wanted + unwanted, key=lambda matcher: matcher.name),
        *(_header(name, text) for name, text in pseudo if text is not None),
    )


def _header(name: str, text: StringMatch) -> HeaderMatcher:
    if is_present_match(text):
        return HeaderMatcher(name=name, present_match=True)
    return HeaderMatcher(name=name, string_match=translate_string_match(text))


def _without(name: str, text: StringMatch) -> HeaderMatcher:
    """A missing header counts as an empty one, unless mere presence is asked for."""
    return replace(_header(name, text), invert_match=True, treat_missing_header_as_empty=not is_present_match(text))


def _query_parameter(name: str, text: StringMatch) -> QueryParameterMatcher:
    if is_present_match(text):
        return QueryParameterMatcher(name=name, present_match=True)
    return QueryParameterMatcher(name=name, string_match=translate_string_match(text))


def _claim_names(name: str) -> list[str]:
    """``@request.auth.claims.a.b`` and ``@request.auth.claims[a][b]`` name claims (Istio pkg/jwt/routing.go)."""
    if not name.lower().startswith(_JWT_CLAIMS):
        return []
    rest = name[len(_JWT_CLAIMS) :]
    if rest.startswith(".") and len(rest) > 1:
        return rest[1:].split(".")
    if rest.startswith("[") and rest.endswith("]") and rest != "[]":
        return rest[1:-1].split("][")
    return []


def _is_claim(name: str) -> bool:
    return bool(_claim_names(name))


def _claim(name: str, text: StringMatch) -> MetadataMatcher | None:
    """A claim of the token: one string, or a list that has it."""
    names = _claim_names(name)
    if not names:
        return None
    value = ValueMatcher(string_match=translate_string_match(text))
    either = (ValueMatcher(list_match=ListMatcher(one_of=value)), value)
    return MetadataMatcher(
        filter=filter_names.JWT_AUTHN,
        path=tuple(PathSegment(key=key) for key in (_JWT_PAYLOAD, *names)),
        value=ValueMatcher(or_match=OrMatcher(value_matchers=either)),
    )
