"""The compiler: from typed resources to what istiod would tell one proxy."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.collection_pause import collection_paused
from sandbox.compiler.clusters import ClusterBuilder
from sandbox.compiler.envoy_filters import patched_gateway
from sandbox.compiler.find_proxy import find_proxy, undescribed_proxy
from sandbox.compiler.gateway_listeners import build_gateway_listeners
from sandbox.compiler.gateway_ports import merged_gateways
from sandbox.compiler.gateway_routes import build_gateway_routes
from sandbox.compiler.gateway_services import gateway_services
from sandbox.compiler.listeners import build_sidecar_listeners
from sandbox.compiler.metrics import build_stats
from sandbox.compiler.name_tables import build_name_table
from sandbox.compiler.node_metadata import node_metadata, stats_matcher
from sandbox.compiler.outbound_policy import is_allow_any_dynamic_dns
from sandbox.compiler.proxy import Proxy
from sandbox.compiler.push_context import PushContext
from sandbox.compiler.shared_plans import cluster_facts_of, facts_of, shared
from sandbox.compiler.sidecar_routes import build_sidecar_routes
from sandbox.compiler.sidecar_scope import SidecarScope
from sandbox.compiler.special_clusters import allow_any_dynamic_dns_cluster, black_hole_cluster, passthrough_cluster
from sandbox.plan import NodePlan
from sandbox.plan.cluster import Cluster
from sandbox.plan.listener import Listener
from sandbox.plan.route import RouteConfiguration

__all__ = ["Proxy", "PushContext", "compile_node", "find_proxy", "undescribed_proxy"]


def compile_node(push: PushContext, proxy: Proxy) -> NodePlan:
    """The plan of one proxy."""
    with collection_paused():
        return _compile_sidecar(push, proxy) if proxy.is_sidecar else _compile_gateway(push, proxy)


def _compile_sidecar(push: PushContext, proxy: Proxy) -> NodePlan:
    scope = push.sidecar_scope(proxy)
    facts = facts_of(push, proxy, scope)
    listeners, routes = shared(scope, "listeners", facts, lambda: _listeners_and_routes(push, proxy, scope, facts))
    clusters = shared(
        scope,
        "clusters",
        (*facts, *cluster_facts_of(push, proxy, scope)),
        lambda: _sidecar_clusters(push, proxy, scope),
    )
    return NodePlan(
        node_type=proxy.node_type,
        workload=proxy.workload,
        listeners=listeners,
        route_configurations=routes,
        clusters=clusters,
        name_table=shared(scope, "names", facts, lambda: build_name_table(push, proxy, scope)),
        runtime=proxy.metadata.proxy_config.runtime_values,
        node_metadata=node_metadata(push, proxy),
        stats=build_stats(push, proxy),
        stats_matcher=stats_matcher(proxy),
    )


def _listeners_and_routes(
    push: PushContext, proxy: Proxy, scope: SidecarScope, facts: tuple[object, ...]
) -> tuple[tuple[Listener, ...], Mapping[str, RouteConfiguration]]:
    parts = push.plan_parts(scope, facts)
    listeners = build_sidecar_listeners(push, proxy, scope, parts)
    return listeners, build_sidecar_routes(push, proxy, scope, listeners, parts)


def _sidecar_clusters(push: PushContext, proxy: Proxy, scope: SidecarScope) -> dict[str, Cluster]:
    clusters = ClusterBuilder(push, proxy, scope).outbound(scope.services)
    special = [black_hole_cluster(push), passthrough_cluster(push, proxy)]
    if is_allow_any_dynamic_dns(proxy, scope):
        special.append(allow_any_dynamic_dns_cluster(push, proxy, scope))
    for cluster in special:
        clusters.setdefault(cluster.name, cluster)
    return clusters


def _compile_gateway(push: PushContext, proxy: Proxy) -> NodePlan:
    plan = NodePlan(
        node_type=proxy.node_type,
        workload=proxy.workload,
        listeners=build_gateway_listeners(push, proxy),
        route_configurations=build_gateway_routes(push, proxy),
        clusters=_gateway_clusters(push, proxy),
        runtime=proxy.metadata.proxy_config.runtime_values,
        node_metadata=node_metadata(push, proxy),
        stats=build_stats(push, proxy),
        stats_matcher=stats_matcher(proxy),
    )
    return patched_gateway(push, proxy, plan)


def _gateway_clusters(push: PushContext, proxy: Proxy) -> dict[str, Cluster]:
    scope = push.sidecar_scope(proxy)
    builder = ClusterBuilder(push, proxy, scope)
    clusters = builder.outbound(gateway_services(push, proxy, scope))
    black_hole = black_hole_cluster(push)
    clusters.setdefault(black_hole.name, black_hole)
    if merged_gateways(push, proxy).auto_passthrough:
        clusters.update(builder.for_auto_passthrough())
    return clusters
