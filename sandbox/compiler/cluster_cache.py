"""Clusters that were made already: for another proxy, or from objects that have not changed since."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from sandbox.compiler.destination_rules import ConsolidatedRule
from sandbox.compiler.features import Features
from sandbox.compiler.identity import same_mesh, same_objects
from sandbox.compiler.services import Service, ServiceEndpoint
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.load import Configuration
from sandbox.plan.cluster import Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOrder:
    """What the clusters of a service depend on; objects count by identity."""

    service: Service
    rule: ConsolidatedRule | None
    proxy: Hashable
    """Everything of the proxy that matters."""
    endpoints: Sequence[ServiceEndpoint]
    service_accounts: tuple[str, ...]

    @property
    def key(self) -> Hashable:
        """Equal for orders that can have the same clusters."""
        return self.service, tuple(map(id, self.rule.merged_from)) if self.rule is not None else None, self.proxy


@dataclass(frozen=True, slots=True)
class _Made:
    order: ClusterOrder
    clusters: tuple[Cluster, ...]
    reported: bool
    """Something was reported meanwhile, which has to be reported again."""


class ClusterCache:
    """Clusters by order; of the configuration before, if mesh settings and policies are the same, as a reserve."""

    def __init__(self, configuration: Configuration, features: Features, previous: ClusterCache | None) -> None:
        policies = configuration.resources("PeerAuthentication")
        self._circumstances = configuration.mesh, features, policies
        self._made: dict[Hashable, _Made] = {}
        reserve = previous is not None and previous._alike(configuration, features)
        self._reserve: dict[Hashable, _Made] = previous._made if previous is not None and reserve else {}

    def _alike(self, configuration: Configuration, features: Features) -> bool:
        mesh, known_features, known = self._circumstances
        policies = configuration.resources("PeerAuthentication")
        return same_objects(known, policies) and same_mesh(mesh, configuration.mesh) and known_features == features

    def get(self, order: ClusterOrder) -> tuple[Cluster, ...] | None:
        """The clusters of an order; None when they have to be made."""
        key = order.key
        made = self._made.get(key)
        if made is None:
            made = self._reserve.get(key)
            if made is None or made.reported or not _same(made.order, order):
                return None
            self._made[key] = made
        return made.clusters

    def put(self, order: ClusterOrder, clusters: tuple[Cluster, ...], *, reported: bool) -> None:
        """Keep what was made."""
        self._made[order.key] = _Made(order, clusters, reported)


def _same(one: ClusterOrder, other: ClusterOrder) -> bool:
    return one.service_accounts == other.service_accounts and list(one.endpoints) == list(other.endpoints)
