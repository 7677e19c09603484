"""Regular expressions of routes that RE2 would refuse, found when the configuration is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sandbox.plan.base import StringMatcher
from sandbox.plan.route import Route, RouteAction, RouteConfiguration, RouteMatch


def refused_patterns(configurations: Iterable[RouteConfiguration]) -> Iterator[tuple[Route, str, str]]:
    """The route, its pattern, and RE2's words against it; RE2 is only loaded where there are patterns."""
    for configuration in configurations:
        for _, route in configuration.routes():
            for pattern in _patterns(route):
                reason = _refusal(pattern)
                if reason is not None:
                    yield route, pattern, reason


def _refusal(pattern: str) -> str | None:
    from sandbox.match.regex import refusal

    return refusal(pattern)


def _patterns(route: Route) -> Iterator[str]:
    match = route.match or RouteMatch()
    if match.safe_regex is not None:
        yield match.safe_regex.regex
    for header in match.headers:
        yield from _pattern(header.string_match)
    for parameter in match.query_parameters:
        yield from _pattern(parameter.string_match)
    action = route.action
    if (
        isinstance(action, RouteAction)
        and action.regex_rewrite is not None
        and action.regex_rewrite.pattern is not None
    ):
        yield action.regex_rewrite.pattern.regex


def _pattern(matcher: StringMatcher | None) -> Iterator[str]:
    if matcher is not None and matcher.safe_regex is not None:
        yield matcher.safe_regex.regex
