"""The network filters of a chain, put together once: what decides first, and who takes the connection."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import SniCluster, TcpProxy
from sandbox.proxy.http_terminal import HttpTerminal
from sandbox.proxy.tcp_proxy import TcpProxyRuntime

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.plan.listener import FilterChain
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.proxy.listener import NetworkFilter
    from sandbox.proxy.snapshot import NodeRuntime

    Step = Callable[[DownstreamConnection], bool]
    """Looks at a connection before the terminal filter; False: it has closed it."""

log = logging.getLogger("sandbox.proxy")


def filters_of_chain(chain: FilterChain, node: NodeRuntime) -> NetworkFilter:
    """The chain's filters as one thing that takes connections."""
    steps: list[Step] = []
    terminal: NetworkFilter = Closing()
    for each in chain.filters:
        config = each.typed_config
        if isinstance(config, TcpProxy):
            terminal = TcpProxyRuntime(config, node)
        elif isinstance(config, HttpConnectionManager):
            terminal = HttpTerminal(config, chain, node)
        elif isinstance(config, SniCluster):
            steps.append(_use_server_name_as_cluster)
    return Stepwise(tuple(steps), terminal) if steps else terminal


class Closing:
    """A chain without a terminal filter: nothing can be done with the connection."""

    def take(self, connection: DownstreamConnection) -> None:
        """Closes it."""
        connection.socket.close()
        connection.finished()


class Stepwise:
    """Filters that look first, and the one that takes the connection."""

    __slots__ = ("_steps", "_terminal")

    def __init__(self, steps: tuple[Step, ...], terminal: NetworkFilter) -> None:
        self._steps = steps
        self._terminal = terminal

    def take(self, connection: DownstreamConnection) -> None:
        """Passes it on unless a step has closed it."""
        for step in self._steps:
            if not step(connection):
                return
        self._terminal.take(connection)


def _use_server_name_as_cluster(connection: DownstreamConnection) -> bool:
    if connection.requested_server_name:
        connection.upstream_cluster = connection.requested_server_name
    return True
