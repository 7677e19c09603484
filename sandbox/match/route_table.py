"""Which route of a virtual host takes a request: its matches compiled, tried in order."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.match.facts import RequestFacts
from sandbox.match.metadata_match import compile_metadata_matcher
from sandbox.match.string_match import RequestPredicate, compile_header_matcher, compile_string_matcher
from sandbox.plan.rbac import MetadataMatcher
from sandbox.plan.route import QueryParameterMatcher, Route, RouteMatch, VirtualHost


class RouteTable:
    """The routes of one virtual host. Raises RegexRefused for a pattern that RE2 refuses (Envoy refuses it too)."""

    __slots__ = ("_catch_all", "_entries")

    def __init__(self, virtual_host: VirtualHost) -> None:
        self._entries = tuple(_entry(route) for route in virtual_host.routes)
        first = virtual_host.routes[0] if virtual_host.routes else None
        self._catch_all = first if first is not None and _takes_every_path(first.match) else None

    def find(self, facts: RequestFacts) -> Route | None:
        """The first route that matches; ``None`` is 404, flag NR. A request without a path (CONNECT) matches none."""
        path = facts.path
        if path is None:
            return None
        if self._catch_all is not None and path[:1] == b"/":
            return self._catch_all
        for prefix, matches, route in self._entries:
            if (prefix is None or path.startswith(prefix)) and (matches is None or matches(facts)):
                return route
        return None


def _entry(route: Route) -> tuple[bytes | None, RequestPredicate | None, Route]:
    """A prefix that every path of the route has (tried first, without a call), and what else must hold."""
    match = route.match or RouteMatch()
    prefix = match.prefix
    if prefix is None or match.case_sensitive is False or "?" in prefix or "#" in prefix or not _is_prefix_only(match):
        return None, compile_route_match(match), route
    others = _compile_others(match)
    return prefix.encode(), others, route


def _is_prefix_only(match: RouteMatch) -> bool:
    return match.safe_regex is None and match.path is None and match.path_separated_prefix is None


def _takes_every_path(match: RouteMatch | None) -> bool:
    if match is None or match.prefix != "/":
        return False
    return not (match.headers or match.query_parameters or match.dynamic_metadata)


def compile_route_match(match: RouteMatch) -> RequestPredicate:
    """Whether a request fulfils a route's match; all its parts must hold."""
    on_path = _compile_path(match)
    others = _compile_others(match)
    if others is None:
        return on_path
    return lambda facts: on_path(facts) and others(facts)


def _compile_others(match: RouteMatch) -> RequestPredicate | None:
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


def _compile_path(match: RouteMatch) -> RequestPredicate:
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
