"""Routes of a gateway to hosts of resolution NONE: only the caller knows where they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sandbox.explain.endpoint_steps import endpoints_of
from sandbox.frozen_dataclass import dataclass
from sandbox.plan import NodePlan
from sandbox.plan.because import Because
from sandbox.plan.listener import TcpProxy
from sandbox.plan.route import RouteAction


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadEnd:
    """A route, or a TCP chain, whose cluster has no endpoint and never will."""

    host: str
    because: tuple[Because, ...]

    def __str__(self) -> str:
        return (
            f"{self.host} has resolution NONE, the address that the caller meant: a gateway is called by its own, so it"
            " knows none (503 UH)"
        )


def find_dead_ends(plan: NodePlan, unresolved: Collection[str]) -> Iterator[DeadEnd]:
    """``unresolved``: the hosts of ServiceEntries with resolution NONE."""
    for name, because in _ways(plan):
        cluster = plan.clusters.get(name)
        host = name.rpartition("|")[2]
        if cluster is not None and host in unresolved and cluster.type == "EDS" and not endpoints_of(cluster):
            yield DeadEnd(host=host, because=because)


def _ways(plan: NodePlan) -> Iterator[tuple[str, tuple[Because, ...]]]:
    for configuration in plan.route_configurations.values():
        for _, route in configuration.routes():
            if isinstance(route.action, RouteAction):
                yield from ((name, route.because) for name in route.action.cluster_names)
    for chain in (chain for listener in plan.listeners for chain in listener.all_chains):
        for proxy in (each.typed_config for each in chain.filters):
            if isinstance(proxy, TcpProxy):
                yield from ((name, (*chain.because, *proxy.because)) for name in proxy.cluster_names)
