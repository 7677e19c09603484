"""Which route of a virtual host takes a request: its matches compiled, tried in order."""

from __future__ import annotations

from sandbox.match.facts import RequestFacts
from sandbox.match.route_index import RouteIndex
from sandbox.match.route_match import compile_others, compile_route_match
from sandbox.match.string_match import RequestPredicate
from sandbox.plan.route import Route, RouteMatch, VirtualHost

_FEW = 12
"""Up to so many routes trying one after the other is cheaper than the index."""


class RouteTable:
    """The routes of one virtual host. Raises RegexRefused for a pattern that RE2 refuses (Envoy refuses it too)."""

    __slots__ = ("_entries", "_index", "catch_all")

    def __init__(self, virtual_host: VirtualHost) -> None:
        routes = virtual_host.routes
        first = routes[0] if routes else None
        self.catch_all = first if first is not None and _takes_every_path(first.match) else None
        """The first route, where it takes every path and so leaves nothing to the others."""
        self._index = RouteIndex(routes) if len(routes) > _FEW else None
        self._entries = tuple(_entry(route) for route in routes) if self._index is None else ()

    def find(self, facts: RequestFacts) -> Route | None:
        """The first route that matches; ``None`` is 404, flag NR. A request without a path (CONNECT) matches none."""
        path = facts.path
        if path is None:
            return None
        if self.catch_all is not None and path[:1] == b"/":
            return self.catch_all
        if self._index is not None:
            return self._index.find(facts)
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
    others = compile_others(match)
    return prefix.encode(), others, route


def _is_prefix_only(match: RouteMatch) -> bool:
    return match.safe_regex is None and match.path is None and match.path_separated_prefix is None


def _takes_every_path(match: RouteMatch | None) -> bool:
    if match is None or match.prefix != "/":
        return False
    return not (match.headers or match.query_parameters or match.dynamic_metadata)
