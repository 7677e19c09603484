"""Routes of a gateway to hosts of resolution NONE: only the caller knows where they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sandbox.explain.cluster_steps import endpoints_of
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
        for host in configuration.virtual_hosts:
            for route in host.routes:
                if isinstance(route.action, RouteAction):
                    weighted = route.action.weighted_clusters
                    parts = [part.name for part in weighted.clusters] if weighted is not None else []
                    for name in (route.action.cluster or "", *parts):
                        yield name, route.because
    for listener in plan.listeners:
        for chain in listener.filter_chains:
            for each in chain.filters:
                if isinstance(each.typed_config, TcpProxy):
                    yield each.typed_config.cluster or "", (*chain.because, *each.typed_config.because)
