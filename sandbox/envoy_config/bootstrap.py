"""A node's plan as a bootstrap that a real Envoy runs by itself: everything static, nothing fetched.

Route tables stand in their connection managers, endpoints in their clusters, certificates in static secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from sandbox.envoy_config.codec import Json, encode
from sandbox.plan import NodePlan
from sandbox.plan.cluster import Cluster, ClusterLoadAssignment, used_endpoints
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import Filter, FilterChain, Listener
from sandbox.plan.route import RouteConfiguration

SecretOf = Callable[[str], "dict[str, Json] | None"]
"""The static secret (without its name) that istiod's agent would hand out under a name, or ``None``."""

ISTIO_RUNTIME: Final[Mapping[str, Json]] = {
    "re2.max_program_size.error_level": "32768",
    "envoy.deprecated_features:envoy.config.listener.v3.Listener.hidden_envoy_deprecated_use_original_dst": True,
    "envoy.reloadable_features.http_reject_path_with_fragment": False,
    "envoy.reloadable_features.fixed_heap_use_allocated": True,
    "envoy.reloadable_features.coalesce_lb_rebuilds_on_batch_update": False,
}
"""The runtime that Istio starts every proxy with (``extractRuntimeFlags`` in ``pkg/bootstrap/config.go``)."""
INTERNAL_LISTENERS: Final[Mapping[str, Json]] = {
    "name": "envoy.bootstrap.internal_listener",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"},
}
"""Without which Envoy knows none (Istio's bootstrap has it always)."""


def bootstrap(plan: NodePlan, secret_of: SecretOf, *, admin_port: int | None = None) -> dict[str, Json]:
    """``envoy.config.bootstrap.v3.Bootstrap``; ``admin_port`` opens Envoy's admin interface on loopback."""
    namespace, _, name = plan.workload.rpartition("/")
    resources: dict[str, Json] = {
        "listeners": [encode(static_listener(listener, plan)) for listener in plan.listeners],
        "clusters": [_named_cluster(static_cluster(cluster)) for cluster in plan.clusters.values()],
    }
    found = {name: secret_of(name) for name in sorted(set(secret_names(resources)))}
    resources["secrets"] = [{"name": name, **secret} for name, secret in found.items() if secret is not None]
    made: dict[str, Json] = {
        "node": {
            "id": f"{plan.node_type}~~{name}.{namespace}~{namespace}.svc.cluster.local",
            "cluster": f"{name}.{namespace}",
        },
        "layered_runtime": {"layers": [{"name": "global config", "static_layer": runtime(plan.runtime)}]},
        "static_resources": resources,
    }
    if any(listener.internal_listener is not None for listener in plan.listeners):
        made["bootstrap_extensions"] = [INTERNAL_LISTENERS]
    if admin_port is not None:
        made["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin_port}}}
    return made


def runtime(values: Mapping[str, str]) -> dict[str, Json]:
    """Istio's runtime with ``ProxyConfig.runtimeValues`` over it; an empty value takes one of Istio's away."""
    made = {**ISTIO_RUNTIME, **{name: {"true": True, "false": False}.get(text, text) for name, text in values.items()}}
    return {name: value for name, value in made.items() if value != ""}


def _named_cluster(cluster: Cluster) -> Json:
    """With the name for its statistics, which ``%UPSTREAM_CLUSTER%`` prints; in istiod's it ends in a semicolon."""
    encoded = encode(cluster)
    assert isinstance(encoded, dict)
    return {**encoded, "alt_stat_name": f"{cluster.name};"}


def secret_names(message: Json) -> Iterator[str]:
    """The names of all secrets that a message refers to (``SdsSecretConfig``)."""
    if isinstance(message, dict):
        for key, value in message.items():
            if key in ("tls_certificate_sds_secret_configs", "validation_context_sds_secret_config"):
                for reference in value if isinstance(value, list) else [value]:
                    if isinstance(reference, dict):
                        yield str(reference.get("name", ""))
            else:
                yield from secret_names(value)
    elif isinstance(message, list):
        for item in message:
            yield from secret_names(item)


def static_listener(listener: Listener, plan: NodePlan) -> Listener:
    """The listener with its route tables in place of their names."""
    default = listener.default_filter_chain
    return replace(
        listener,
        filter_chains=tuple(_static_chain(chain, plan) for chain in listener.filter_chains),
        default_filter_chain=_static_chain(default, plan) if default is not None else None,
    )


def static_cluster(cluster: Cluster) -> Cluster:
    """An EDS cluster as a static one; all others are as they were."""
    if cluster.type != "EDS":
        return cluster
    name = cluster.load_assignment.cluster_name if cluster.load_assignment is not None else cluster.name
    assignment = ClusterLoadAssignment(cluster_name=name, endpoints=used_endpoints(cluster))
    return replace(cluster, type="STATIC", load_assignment=assignment)


def _static_chain(chain: FilterChain, plan: NodePlan) -> FilterChain:
    return replace(chain, filters=tuple(_static_filter(one, plan) for one in chain.filters))


def _static_filter(network_filter: Filter, plan: NodePlan) -> Filter:
    manager = network_filter.typed_config
    if not isinstance(manager, HttpConnectionManager) or manager.rds is None:
        return network_filter
    name = manager.rds.route_config_name
    # istiod answers for a table that it does not have with an empty one: everything is 404.
    routes = plan.route_configurations.get(name) or RouteConfiguration(name=name)
    return replace(network_filter, typed_config=replace(manager, rds=None, route_config=routes))
