"""What Envoy refuses of what istiod sends: a resource that breaks one of Envoy's own rules is never in force.

istiod does not know these rules. Envoy answers such an update with a NACK and works on without the resource: a refused
cluster is unknown to the routes that name it, a refused listener is not opened, and under a refused route configuration
no request finds a route.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from ipaddress import ip_network
from itertools import product
from typing import Literal, TypeVar

from sandbox.frozen_dataclass import dataclass
from sandbox.plan import NodePlan
from sandbox.plan.base import CidrRange
from sandbox.plan.because import Because
from sandbox.plan.cluster import Cluster, DynamicForwardProxyClusterConfig, HttpProtocolOptions
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import FilterChain, FilterChainMatch, Listener
from sandbox.plan.route import Route, RouteAction, RouteConfiguration
from sandbox.plan.tracing import ZipkinConfig

Kind = Literal["cluster", "listener", "route configuration"]

_Resource = TypeVar("_Resource", Cluster, Listener, RouteConfiguration)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One resource that Envoy does not take, and why."""

    kind: Kind
    name: str
    reason: str
    because: tuple[Because, ...] = ()

    def __str__(self) -> str:
        return f"Envoy refuses the {self.kind} {self.name}: {self.reason}"


def refusals(plan: NodePlan) -> tuple[Refusal, ...]:
    """All that Envoy refuses, in the order in which it is sent: clusters, listeners, routes."""
    clusters = tuple(_refusals("cluster", plan.clusters.values(), _fault_of_cluster))
    refused = {refusal.name for refusal in clusters}
    known = plan.clusters.keys() - refused if refused else plan.clusters.keys()
    taken: dict[object, str] = {}
    listeners = _refusals(
        "listener",
        plan.listeners,
        lambda listener: _fault_of_listener(listener, known) or _fault_of_address(listener, taken),
    )
    routes = _refusals("route configuration", plan.route_configurations.values(), _fault_of_routes)
    return (*clusters, *listeners, *routes)


def in_force(plan: NodePlan) -> NodePlan:
    """The plan without what Envoy refuses; the very same plan where it takes everything."""
    names: dict[str, dict[str, Refusal]] = {}
    for refusal in refusals(plan):
        names.setdefault(refusal.kind, {})[refusal.name] = refusal
    if not names:
        return plan
    clusters, listeners = names.get("cluster", {}), names.get("listener", {})
    return dataclasses.replace(
        plan,
        clusters={name: cluster for name, cluster in plan.clusters.items() if name not in clusters},
        listeners=tuple(listener for listener in plan.listeners if listener.name not in listeners),
        route_configurations=_without_routes(plan.route_configurations, names.get("route configuration", {})),
    )


def _without_routes(
    configurations: Mapping[str, RouteConfiguration], refused: Mapping[str, Refusal]
) -> dict[str, RouteConfiguration]:
    """A refused route configuration stays known by name, and is empty."""
    return {
        name: RouteConfiguration(name=name, because=refused[name].because) if name in refused else configuration
        for name, configuration in configurations.items()
    }


def _refusals(
    kind: Kind, resources: Iterable[_Resource], fault_of: Callable[[_Resource], str | None]
) -> Iterator[Refusal]:
    for resource in resources:
        if reason := fault_of(resource):
            yield Refusal(kind=kind, name=resource.name, reason=reason, because=resource.because)


def _fault_of_cluster(cluster: Cluster) -> str | None:
    if cluster.type == "LOGICAL_DNS" and (counts := _endpoint_counts(cluster)) != [1]:
        places = f" in {len(counts)} localities" if len(counts) > 1 else ""
        return f"DNS_ROUND_ROBIN takes exactly one endpoint, and there are {sum(counts)}{places}"
    if cluster.cluster_type is not None and not _guards_its_names(cluster, cluster.cluster_type.typed_config):
        return "a dynamic forward proxy that says how to speak HTTP must check names (auto_sni, auto_san_validation)"
    return None


def _endpoint_counts(cluster: Cluster) -> list[int]:
    """How many endpoints there are in each locality."""
    assignment = cluster.load_assignment
    return [len(locality.lb_endpoints) for locality in assignment.endpoints] if assignment else []


def _guards_its_names(cluster: Cluster, typed_config: object) -> bool:
    if not isinstance(typed_config, DynamicForwardProxyClusterConfig) or typed_config.allow_insecure_cluster_options:
        return True
    for options in (cluster.typed_extension_protocol_options or {}).values():
        if isinstance(options, HttpProtocolOptions):
            names = options.upstream_http_protocol_options
            return names is not None and names.auto_sni and names.auto_san_validation
    return True


def _fault_of_listener(listener: Listener, known: Container[str]) -> str | None:
    seen: set[tuple[int | str | None, ...]] = set()
    for chain in listener.filter_chains:
        if name := _partial_wildcard(chain):
            return f"a server name may be a wildcard only as a whole first label: {name}"
        for criteria in _criteria(chain.filter_chain_match or FilterChainMatch()):
            if criteria in seen:
                return f"two filter chains match the same connections: {_described(criteria)}"
            seen.add(criteria)
    for collector in _zipkin_collectors(listener):
        if collector not in known:
            return f"the cluster of its tracer is unknown: {collector}"
    return None


def _fault_of_address(listener: Listener, taken: dict[object, str]) -> str | None:
    """The first listener of an address has it, even if no socket is bound to it."""
    first = taken.setdefault(listener.address, listener.name)
    if first == listener.name or listener.address is None:
        return None
    return f"the listener {first} has its address already"


def _partial_wildcard(chain: FilterChain) -> str | None:
    names = chain.filter_chain_match.server_names if chain.filter_chain_match else ()
    return next((name for name in names if "*" in name.removeprefix("*.")), None)


def _criteria(match: FilterChainMatch) -> Iterator[tuple[int | str | None, ...]]:
    """Every combination that a chain matches; no two chains of a listener may share one."""
    return product(
        (match.destination_port,),
        [_network(prefix) for prefix in match.prefix_ranges] or (None,),
        [name.lower().removeprefix("*") for name in match.server_names] or ("",),
        (match.transport_protocol,),
        match.application_protocols or ("",),
    )


def _network(prefix: CidrRange) -> str:
    return str(ip_network((prefix.address_prefix, prefix.prefix_len or 0), strict=False))


def _described(criteria: tuple[int | str | None, ...]) -> str:
    words = ("port", "to", "server name", "transport", "protocol")
    said = (f"{word} {value}" for word, value in zip(words, criteria, strict=True) if value)
    return ", ".join(said) or "all of them"


def _zipkin_collectors(listener: Listener) -> Iterator[str]:
    for manager in (each.typed_config for chain in listener.all_chains for each in chain.filters):
        provider = manager.tracing.provider if isinstance(manager, HttpConnectionManager) and manager.tracing else None
        config = provider.typed_config if provider else None
        if isinstance(config, ZipkinConfig) and config.collector_service and config.collector_service.http_uri:
            yield config.collector_service.http_uri.cluster


def _fault_of_routes(configuration: RouteConfiguration) -> str | None:
    domains: set[str] = set()
    for host in configuration.virtual_hosts:
        for domain in host.domains:
            if domain.lower() in domains:
                return f"two virtual hosts have the domain {domain}"
            domains.add(domain.lower())
        for route in host.routes:
            if fault := _fault_of_route(route):
                return f"{fault} (virtual host {host.name})"
    return None


def _fault_of_route(route: Route) -> str | None:
    if route.action is None:
        return f"the route {route.name} does nothing" if route.name else "a route does nothing"
    weighted = route.action.weighted_clusters if isinstance(route.action, RouteAction) else None
    if weighted is not None and not sum(cluster.weight or 0 for cluster in weighted.clusters):
        return "the weights of a route are all 0"
    return None
