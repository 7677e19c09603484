"""Access logs and header values of a plan that Envoy would refuse, found when the configuration is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sandbox.access_log.command import Command, FormatRefused, parse_format
from sandbox.access_log.format import compile_access_log
from sandbox.access_log.operators import LogEnvironment, compile_operator
from sandbox.plan.access_log import AccessLog
from sandbox.plan.base import HeaderValueOption
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import FilterChain, Listener, TcpProxy
from sandbox.plan.route import Route, RouteAction, RouteConfiguration


def refused_access_logs(listeners: Iterable[Listener]) -> Iterator[tuple[AccessLog, str]]:
    """Each log once, with Envoy's words against its format or its filter."""
    seen: set[int] = set()
    for log in _access_logs(listeners):
        if id(log) in seen:
            continue
        seen.add(id(log))
        try:
            compile_access_log(log)
        except FormatRefused as refused:
            yield log, str(refused)


def refused_header_values(configurations: Iterable[RouteConfiguration]) -> Iterator[tuple[Route, str, str]]:
    """The route, the header whose value is no format that Envoy takes, and Envoy's words."""
    for configuration in configurations:
        for _, route in configuration.routes():
            for option in _added_headers(route):
                header = option.header
                words = _refusal(header.value) if header is not None and "%" in header.value else None
                if header is not None and words is not None:
                    yield route, header.key, words


def _added_headers(route: Route) -> Iterator[HeaderValueOption]:
    yield from route.request_headers_to_add
    yield from route.response_headers_to_add
    if isinstance(route.action, RouteAction) and route.action.weighted_clusters is not None:
        for cluster in route.action.weighted_clusters.clusters:
            yield from cluster.request_headers_to_add
            yield from cluster.response_headers_to_add


def _refusal(text: str) -> str | None:
    try:
        for part in parse_format(text):
            if isinstance(part, Command):
                compile_operator(part, LogEnvironment())
    except FormatRefused as refused:
        return str(refused)
    return None


def _access_logs(listeners: Iterable[Listener]) -> Iterator[AccessLog]:
    for listener in listeners:
        yield from listener.access_log
        for chain in listener.all_chains:
            yield from _logs_of_chain(chain)


def _logs_of_chain(chain: FilterChain) -> Iterator[AccessLog]:
    for each in chain.filters:
        if isinstance(each.typed_config, (HttpConnectionManager, TcpProxy)):
            yield from each.typed_config.access_log
