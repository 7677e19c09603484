"""Network filters of TCP and TLS chains: tcp_proxy to one or several clusters, tunnels, Mongo, dynamic DNS.

Source: Istio pilot/pkg/networking/core/networkfilter.go and tunnelingconfig/apply.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from sandbox.compiler.authorization import build_authorization
from sandbox.compiler.dynamic_dns import is_dynamic_wildcard, service_cache
from sandbox.compiler.listener_builder import ListenerBuilder
from sandbox.compiler.protocols import Protocol
from sandbox.compiler.route_actions import destination_cluster
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination_rule import DestinationRule
from sandbox.istio.resource import Resource
from sandbox.istio.traffic_policy import TrafficPolicy
from sandbox.istio.virtual_service import RouteDestination, VirtualService
from sandbox.plan.because import Because
from sandbox.plan.listener import (
    Filter,
    MongoProxy,
    SniDynamicForwardProxy,
    TcpClusterWeight,
    TcpHashPolicy,
    TcpHashPolicySourceIp,
    TcpProxy,
    TcpWeightedClusters,
    TunnelingConfig,
)

if TYPE_CHECKING:
    from sandbox.compiler.services import Service, ServicePort

TCP_PROXY: Final = "envoy.filters.network.tcp_proxy"
MONGO_PROXY: Final = "envoy.filters.network.mongo_proxy"
SNI_DYNAMIC_FORWARD_PROXY: Final = "envoy.extensions.filters.network.sni_dynamic_forward_proxy"
_SOURCE_IP: Final = (TcpHashPolicy(source_ip=TcpHashPolicySourceIp()),)
_NO_POLICY: Final = TrafficPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTarget:
    """A chain's only destination."""

    cluster: str
    subset: str = ""
    rule: DestinationRule | None = None
    dynamic_service: Service | None = None
    """Given for services whose name is resolved from each connection's SNI."""
    tunnel: bool = True
    """Whether the rule's ``tunnel`` applies; it does not where the SNI itself names the cluster."""
    because: tuple[Because, ...] = ()


def build_single(
    builder: ListenerBuilder, target: ClusterTarget, port: ServicePort, before: Iterable[Filter] = ()
) -> tuple[Filter, ...]:
    """The filters of a chain with one destination; ``before`` are a gateway's authorization filters."""
    proxy = TcpProxy(
        **_settings(builder, target.rule, target.subset, tunnel=target.tunnel),
        stat_prefix=target.cluster,
        cluster=target.cluster,
        because=(*target.because, *_because(target.rule)),
    )
    filters = [*before]
    service = target.dynamic_service
    if service is not None and builder.proxy.is_sidecar and is_dynamic_wildcard(service):
        policies = build_authorization(builder.push, builder.proxy)  # Istio's only policies on a sidecar's way out
        filters += (*policies.custom_tcp, *policies.tcp)
        cache = service_cache(builder.push, builder.proxy, service)
        config = SniDynamicForwardProxy(dns_cache_config=cache, port_value=port.number)
        filters.append(Filter(name=SNI_DYNAMIC_FORWARD_PROXY, typed_config=config))
    return (*filters, *_terminal(builder, proxy, port.protocol))


def build_routed(
    builder: ListenerBuilder,
    routes: Sequence[RouteDestination],
    port: ServicePort,
    virtual_service: Resource[VirtualService],
    before: Iterable[Filter] = (),
) -> tuple[Filter, ...]:
    """The filters of a ``tls`` or ``tcp`` route: one cluster, or several by weight (those of weight 0 are left out)."""
    services = [_service(builder, route) for route in routes]
    rule = None
    if services[0] is not None:
        consolidated = builder.scope.destination_rule(builder.proxy, services[0].host)
        rule = consolidated.spec if consolidated is not None else None
    because = tuple(Because("destination", route.origin) for route in routes)
    if len(routes) == 1:
        cluster = destination_cluster(routes[0].destination, services[0], port.number)
        subset = routes[0].destination.subset if routes[0].destination is not None else ""
        target = ClusterTarget(cluster=cluster, subset=subset, rule=rule, because=because)
        return build_single(builder, target, port, before)
    weights = tuple(
        TcpClusterWeight(name=destination_cluster(route.destination, service, port.number), weight=route.weight)
        for route, service in zip(routes, services, strict=True)
        if route.weight > 0
    )
    proxy = TcpProxy(
        **_settings(builder, rule, ""),
        stat_prefix=f"{virtual_service.name}.{virtual_service.namespace}",
        weighted_clusters=TcpWeightedClusters(clusters=weights),
        because=(*because, *_because(rule)),
    )
    return (*before, *_terminal(builder, proxy, port.protocol))


def _service(builder: ListenerBuilder, route: RouteDestination) -> Service | None:
    return builder.scope.service(route.destination.host) if route.destination is not None else None


def _terminal(builder: ListenerBuilder, proxy: TcpProxy, protocol: Protocol) -> tuple[Filter, ...]:
    terminal = Filter(name=TCP_PROXY, typed_config=proxy)
    features = builder.push.features
    if protocol is Protocol.MONGO and features.enable_mongo_filter:
        return Filter(name=MONGO_PROXY, typed_config=MongoProxy(stat_prefix=proxy.stat_prefix)), terminal
    not_emulated = {Protocol.REDIS: features.enable_redis_filter, Protocol.MYSQL: features.enable_mysql_filter}
    if not_emulated.get(protocol):
        message = f"istiod's {protocol.value} filter is switched on but not emulated: bytes are passed on as they are"
        builder.push.problems.report("SBX0201", message, None)
    return (terminal,)


def _settings(
    builder: ListenerBuilder, rule: DestinationRule | None, subset: str, *, tunnel: bool = True
) -> dict[str, Any]:
    """Timeouts, hash and tunnel; the timeouts are read from the rule's top-level policy only."""
    common = {"idle_timeout": builder.proxy.metadata.idle_timeout, "access_log": builder.access_logs.tcp}
    if rule is None:
        return common
    policy = rule.traffic_policy or _NO_POLICY
    tcp = policy.connection_pool.tcp if policy.connection_pool is not None else None
    if tcp is not None and tcp.idle_timeout is not None:
        common["idle_timeout"] = tcp.idle_timeout
    return {
        **common,
        "max_downstream_connection_duration": tcp.max_connection_duration if tcp is not None else None,
        "hash_policy": _SOURCE_IP if _hashes_source(rule, subset) else (),
        "tunneling_config": _tunnel(rule, subset) if tunnel else None,
    }


def _policies(rule: DestinationRule, subset: str) -> tuple[TrafficPolicy, TrafficPolicy | None]:
    """The top policy, and that of the subset if there is one of this name."""
    found = next((item for item in rule.subsets if item.name == subset), None)
    return rule.traffic_policy or _NO_POLICY, found.traffic_policy if found is not None else None


def _hashes_source(rule: DestinationRule, subset: str) -> bool:
    top, inner = _policies(rule, subset)
    balancer = top.load_balancer
    if inner is not None and inner.load_balancer is not None:
        balancer = inner.load_balancer
    return (
        balancer is not None and balancer.consistent_hash is not None and bool(balancer.consistent_hash.use_source_ip)
    )


def _tunnel(rule: DestinationRule, subset: str) -> TunnelingConfig | None:
    top, inner = _policies(rule, subset)
    policy = inner if subset else top
    settings = policy.tunnel if policy is not None else None
    if settings is None:
        return None
    host = f"[{settings.target_host}]" if ":" in settings.target_host else settings.target_host
    return TunnelingConfig(hostname=f"{host}:{settings.target_port}", use_post=settings.protocol == "POST")


def _because(rule: DestinationRule | None) -> tuple[Because, ...]:
    if rule is None:
        return ()
    policy = rule.traffic_policy
    return (Because("traffic policy", policy.origin if policy is not None else rule.origin),)
