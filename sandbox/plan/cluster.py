"""Clusters and endpoints (``envoy.config.cluster.v3``, ``envoy.config.endpoint.v3``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.base import (
    Address,
    Extension,
    HeaderMatcher,
    Locality,
    Metadata,
    Percent,
    RuntimeDouble,
    TypedExtensionConfig,
)
from sandbox.plan.because import Because, because_field
from sandbox.plan.http_connection_manager import Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptionsCommon
from sandbox.plan.listener import DnsCacheConfig
from sandbox.plan.tls import TransportSocket


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """``envoy.config.endpoint.v3.Endpoint``."""

    address: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LbEndpoint:
    """``LbEndpoint``; ``health_status`` is UNKNOWN, HEALTHY, UNHEALTHY, DRAINING …"""

    endpoint: Endpoint | None = None
    health_status: str = "UNKNOWN"
    metadata: Metadata | None = None
    load_balancing_weight: int | None = None
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityLbEndpoints:
    """``LocalityLbEndpoints``."""

    locality: Locality | None = None
    lb_endpoints: tuple[LbEndpoint, ...] = ()
    load_balancing_weight: int | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterLoadAssignment:
    """``ClusterLoadAssignment``."""

    cluster_name: str = ""
    endpoints: tuple[LocalityLbEndpoints, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """``CircuitBreakers.Thresholds.RetryBudget``."""

    budget_percent: Percent | None = None
    min_retry_concurrency: int | None = None
    budget_interval: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """``CircuitBreakers.Thresholds``."""

    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_requests: int | None = None
    max_retries: int | None = None
    retry_budget: RetryBudget | None = None
    track_remaining: bool = False
    max_connection_pools: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakers:
    """``CircuitBreakers``."""

    thresholds: tuple[Thresholds, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection:
    """``envoy.config.cluster.v3.OutlierDetection``."""

    consecutive_5xx: int | None = None
    interval: timedelta | None = None
    base_ejection_time: timedelta | None = None
    max_ejection_percent: int | None = None
    enforcing_consecutive_5xx: int | None = None
    enforcing_success_rate: int | None = None
    consecutive_gateway_failure: int | None = None
    enforcing_consecutive_gateway_failure: int | None = None
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failure: int | None = None
    enforcing_consecutive_local_origin_failure: int | None = None
    enforcing_local_origin_success_rate: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStartConfig:
    """``SlowStartConfig``."""

    slow_start_window: timedelta | None = None
    aggression: RuntimeDouble | None = None
    min_weight_percent: Percent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRobinLbConfig:
    """``RoundRobinLbConfig``."""

    slow_start_config: SlowStartConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastRequestLbConfig:
    """``LeastRequestLbConfig``."""

    choice_count: int | None = None
    slow_start_config: SlowStartConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RingHashLbConfig:
    """``RingHashLbConfig``; sizes are UInt64Value."""

    minimum_ring_size: int | None = None
    maximum_ring_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaglevLbConfig:
    """``MaglevLbConfig``."""

    table_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalDstLbConfig:
    """``OriginalDstLbConfig``."""

    use_http_header: bool = False
    upstream_port_override: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityWeightedLbConfig:
    """``CommonLbConfig.LocalityWeightedLbConfig``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAwareLbConfig:
    """``CommonLbConfig.ZoneAwareLbConfig``."""

    min_cluster_size: int | None = None
    routing_enabled: Percent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthStatusSet:
    """``envoy.config.core.v3.HealthStatusSet``."""

    statuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonLbConfig:
    """``CommonLbConfig``."""

    healthy_panic_threshold: Percent | None = None
    locality_weighted_lb_config: LocalityWeightedLbConfig | None = None
    zone_aware_lb_config: ZoneAwareLbConfig | None = None
    override_host_status: HealthStatusSet | None = None
    """Which endpoints a session may stick to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpKeepalive:
    """``envoy.config.core.v3.TcpKeepalive``; times in seconds."""

    keepalive_probes: int | None = None
    keepalive_time: int | None = None
    keepalive_interval: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamConnectionOptions:
    """``UpstreamConnectionOptions``."""

    tcp_keepalive: TcpKeepalive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSocketMatch:
    """``Cluster.TransportSocketMatch``: the first whose ``match`` an endpoint's metadata fulfils."""

    name: str = ""
    match: Mapping[str, object] | None = None
    transport_socket: TransportSocket | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicForwardProxyClusterConfig(Extension):
    """``envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig``."""

    TYPE: ClassVar[str] = "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig"

    dns_cache_config: DnsCacheConfig | None = None
    allow_insecure_cluster_options: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplicitHttpConfig:
    """``HttpProtocolOptions.ExplicitHttpConfig``: one of the two."""

    http_protocol_options: Http1ProtocolOptions | None = None
    http2_protocol_options: Http2ProtocolOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UseDownstreamHttpConfig:
    """``HttpProtocolOptions.UseDownstreamHttpConfig``."""

    http_protocol_options: Http1ProtocolOptions | None = None
    http2_protocol_options: Http2ProtocolOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoHttpConfig:
    """``HttpProtocolOptions.AutoHttpConfig``: ALPN decides."""

    http_protocol_options: Http1ProtocolOptions | None = None
    http2_protocol_options: Http2ProtocolOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamHttpProtocolOptions:
    """``envoy.config.core.v3.UpstreamHttpProtocolOptions``."""

    auto_sni: bool = False
    auto_san_validation: bool = False
    override_auto_sni_header: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpHeadersMatch:
    """``envoy.config.common.matcher.v3.HttpHeadersMatch``."""

    headers: tuple[HeaderMatcher, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchSet:
    """``MatchPredicate.MatchSet``."""

    rules: tuple[MatchPredicate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchPredicate:
    """``envoy.config.common.matcher.v3.MatchPredicate``: exactly one is set."""

    or_match: MatchSet | None = None
    http_response_headers_match: HttpHeadersMatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOutlierDetection:
    """``HttpProtocolOptions.OutlierDetection``: which answers count as errors."""

    error_matcher: MatchPredicate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProtocolOptions(Extension):
    """``envoy.extensions.upstreams.http.v3.HttpProtocolOptions``: how a cluster speaks HTTP."""

    TYPE: ClassVar[str] = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

    common_http_protocol_options: HttpProtocolOptionsCommon | None = None
    upstream_http_protocol_options: UpstreamHttpProtocolOptions | None = None
    explicit_http_config: ExplicitHttpConfig | None = None
    use_downstream_protocol_config: UseDownstreamHttpConfig | None = None
    auto_config: AutoHttpConfig | None = None
    outlier_detection: HttpOutlierDetection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomClusterType:
    """``Cluster.CustomClusterType``."""

    name: str = ""
    typed_config: Extension | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """``Cluster``: ``type`` is STATIC, STRICT_DNS, LOGICAL_DNS, EDS or ORIGINAL_DST, or there is a ``cluster_type``.

    Of an EDS cluster the plan holds the endpoints in ``load_assignment`` too.
    """

    name: str = ""
    type: str | None = None
    cluster_type: CustomClusterType | None = None
    connect_timeout: timedelta | None = None
    per_connection_buffer_limit_bytes: int | None = None
    lb_policy: str = "ROUND_ROBIN"
    load_assignment: ClusterLoadAssignment | None = None
    circuit_breakers: CircuitBreakers | None = None
    typed_extension_protocol_options: Mapping[str, Extension] | None = None
    dns_refresh_rate: timedelta | None = None
    dns_jitter: timedelta | None = None
    respect_dns_ttl: bool = False
    dns_lookup_family: str = "AUTO"
    outlier_detection: OutlierDetection | None = None
    cleanup_interval: timedelta | None = None
    ring_hash_lb_config: RingHashLbConfig | None = None
    maglev_lb_config: MaglevLbConfig | None = None
    round_robin_lb_config: RoundRobinLbConfig | None = None
    least_request_lb_config: LeastRequestLbConfig | None = None
    original_dst_lb_config: OriginalDstLbConfig | None = None
    common_lb_config: CommonLbConfig | None = None
    transport_socket: TransportSocket | None = None
    transport_socket_matches: tuple[TransportSocketMatch, ...] = ()
    metadata: Metadata | None = None
    upstream_connection_options: UpstreamConnectionOptions | None = None
    typed_dns_resolver_config: TypedExtensionConfig | None = None
    because: tuple[Because, ...] = because_field()


def used_endpoints(cluster: Cluster) -> tuple[LocalityLbEndpoints, ...]:
    """What Envoy makes hosts of: of an EDS cluster's endpoints with one address only the first (``eds.cc``)."""
    groups = cluster.load_assignment.endpoints if cluster.load_assignment is not None else ()
    if cluster.type != "EDS":
        return groups
    known: set[Address] = set()
    return tuple(replace(group, lb_endpoints=_not_known(group.lb_endpoints, known)) for group in groups)


def _not_known(endpoints: tuple[LbEndpoint, ...], known: set[Address]) -> tuple[LbEndpoint, ...]:
    """The first of each address that is not ``known`` yet; it is afterwards."""
    found = []
    for each in endpoints:
        address = each.endpoint.address if each.endpoint is not None else None
        if address is None or address not in known:
            found.append(each)
        if address is not None:
            known.add(address)
    return tuple(found)
