"""The plan: Envoy's model as frozen data, what istiod would send to one proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.cluster import Cluster
from sandbox.plan.listener import Listener
from sandbox.plan.metrics import NodeMetadata, StatsConfig, StatsMatcher
from sandbox.plan.name_table import NameTable
from sandbox.plan.route import RouteConfiguration


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """What one proxy (a workload's sidecar, or a gateway) is told; listeners in istiod's order."""

    node_type: str
    """``sidecar`` or ``router``, Envoy's word for a gateway."""
    workload: str
    """``namespace/pod``."""
    listeners: tuple[Listener, ...] = ()
    route_configurations: Mapping[str, RouteConfiguration] = field(default_factory=dict)
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    name_table: NameTable = field(default_factory=NameTable)
    runtime: Mapping[str, str] = field(default_factory=dict)
    """Envoy's runtime: what ``ProxyConfig.runtimeValues`` puts into the bootstrap, e.g. reloadable features."""
    node_metadata: NodeMetadata = field(default_factory=NodeMetadata)
    stats: tuple[StatsConfig, ...] = ()
    """Istio's metrics filters, in every chain of the node; kept apart from the chains, as stock Envoy has none."""
    stats_matcher: StatsMatcher = field(default_factory=StatsMatcher)
