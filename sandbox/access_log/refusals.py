"""Access logs of a plan that Envoy would refuse, found when the configuration is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sandbox.access_log.command import FormatRefused
from sandbox.access_log.format import compile_access_log
from sandbox.plan.access_log import AccessLog
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import FilterChain, Listener, TcpProxy


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


def _access_logs(listeners: Iterable[Listener]) -> Iterator[AccessLog]:
    for listener in listeners:
        yield from listener.access_log
        for chain in listener.filter_chains:
            yield from _logs_of_chain(chain)
        if listener.default_filter_chain is not None:
            yield from _logs_of_chain(listener.default_filter_chain)


def _logs_of_chain(chain: FilterChain) -> Iterator[AccessLog]:
    for each in chain.filters:
        if isinstance(each.typed_config, (HttpConnectionManager, TcpProxy)):
            yield from each.typed_config.access_log
