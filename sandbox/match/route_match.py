"""Compiles what a route asks of a request: its path, and its headers, query parameters and metadata."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.match.facts import RequestFacts
from sandbox.match.metadata_match import compile_metadata_matcher
from sandbox.match.string_match import RequestPredicate, compile_header_matcher, compile_string_matcher
from sandbox.plan.rbac import MetadataMatcher
from sandbox.plan.route import QueryParameterMatcher, RouteMatch


def compile_route_match(match: RouteMatch) -> RequestPredicate:
    """Whether a request fulfils a route's match; all its parts must hold."""
    on_path = compile_path(match)
    others = compile_others(match)
    if others is None:
        return on_path
    return lambda facts: on_path(facts) and others(facts)


def compile_others(match: RouteMatch) -> RequestPredicate | None:
    """Headers, query parameters and metadata; ``None`` where there are none."""
    parts = [compile_header_matcher(header) for header in match.headers]
    parts += [_compile_query_parameter(parameter) for parameter in match.query_parameters]
    parts += [_compile_metadata(matcher) for matcher in match.dynamic_metadata]
    if len(parts) <= 1:
        return parts[0] if parts else None
    several = tuple(parts)

    def predicate(facts: RequestFacts) -> bool:
        for part in several:  # noqa: SIM110 (a generator costs more than the whole match)
            if not part(facts):
                return False
        return True

    return predicate


def _compile_metadata(matcher: MetadataMatcher) -> RequestPredicate:
    matches = compile_metadata_matcher(matcher)
    return lambda facts: matches(facts.metadata)


def compile_path(match: RouteMatch) -> RequestPredicate:
    """Whether a path (its query apart) is one of the route's."""
    fold = match.case_sensitive is False
    if match.safe_regex is not None:
        from sandbox.match.regex import compile_full_match

        matches = compile_full_match(match.safe_regex.regex)
        return lambda facts: matches(facts.bare_path)
    if match.path is not None:
        exact = match.path.encode()
        if fold:
            folded = exact.lower()
            return lambda facts: facts.bare_path.lower() == folded
        return lambda facts: facts.bare_path == exact
    if match.path_separated_prefix is not None:
        return _compile_separated_prefix(match.path_separated_prefix.encode(), fold=fold)
    if match.prefix is not None:
        prefix = match.prefix.encode()
        if fold:
            folded = prefix.lower()
            return lambda facts: facts.bare_path.lower().startswith(folded)
        return lambda facts: facts.bare_path.startswith(prefix)
    return _never


def _compile_separated_prefix(prefix: bytes, *, fold: bool) -> RequestPredicate:
    size = len(prefix)
    if fold:
        prefix = prefix.lower()

    def predicate(facts: RequestFacts) -> bool:
        path = facts.bare_path.lower() if fold else facts.bare_path
        return path.startswith(prefix) and (len(path) == size or path[size : size + 1] == b"/")

    return predicate


def _compile_query_parameter(matcher: QueryParameterMatcher) -> RequestPredicate:
    """Only the first value of a parameter counts."""
    name = matcher.name.encode()
    if matcher.present_match is not None:
        wanted = matcher.present_match
        return lambda facts: (name in facts.query) is wanted
    if matcher.string_match is None:
        return lambda facts: name in facts.query
    matches: Callable[[bytes], bool] = compile_string_matcher(matcher.string_match)

    def predicate(facts: RequestFacts) -> bool:
        value = facts.query.get(name)
        return value is not None and matches(value)

    return predicate


def _never(_facts: RequestFacts) -> bool:
    return False
