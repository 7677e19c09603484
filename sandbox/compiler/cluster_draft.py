"""A cluster in the making: what istiod's steps set one after the other, and the finished plan object."""

from __future__ import annotations

from dataclasses import field
from datetime import timedelta

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.base import Metadata, Percent, TypedExtensionConfig
from sandbox.plan.because import Because
from sandbox.plan.cluster import (
    CircuitBreakers,
    Cluster,
    ClusterLoadAssignment,
    CommonLbConfig,
    CustomClusterType,
    ExplicitHttpConfig,
    HealthStatusSet,
    HttpOutlierDetection,
    HttpProtocolOptions,
    LeastRequestLbConfig,
    LocalityLbEndpoints,
    LocalityWeightedLbConfig,
    MaglevLbConfig,
    OriginalDstLbConfig,
    OutlierDetection,
    RingHashLbConfig,
    RoundRobinLbConfig,
    Thresholds,
    TransportSocketMatch,
    UpstreamConnectionOptions,
    UpstreamHttpProtocolOptions,
    UseDownstreamHttpConfig,
    ZoneAwareLbConfig,
)
from sandbox.plan.http_connection_manager import (
    HeaderKeyFormat,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    HttpProtocolOptionsCommon,
    KeepaliveSettings,
    PreserveCaseFormatterConfig,
)
from sandbox.plan.tls import TransportSocket

HTTP_OPTIONS_KEY = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_PRESERVE_CASE = Http1ProtocolOptions(
    header_key_format=HeaderKeyFormat(
        stateful_formatter=TypedExtensionConfig(name="preserve_case", typed_config=PreserveCaseFormatterConfig())
    )
)
_STATUSES_OF_SESSIONS = HealthStatusSet(statuses=("HEALTHY", "DRAINING", "UNKNOWN", "DEGRADED"))


@dataclass(slots=True)
class HttpOptionsDraft:
    """How the cluster speaks HTTP; ``version`` is empty (the default), HTTP1, HTTP2 or DOWNSTREAM."""

    version: str = ""
    preserve_case: bool = False
    common: HttpProtocolOptionsCommon | None = None
    upstream: UpstreamHttpProtocolOptions | None = None
    outlier_detection: HttpOutlierDetection | None = None
    max_concurrent_streams: int | None = None
    keepalive: KeepaliveSettings | None = None

    def build(self) -> HttpProtocolOptions | None:
        """The extension; None when nothing was set."""
        if not self.version and self.common is None and self.upstream is None and self.outlier_detection is None:
            return None
        http1 = _PRESERVE_CASE if self.preserve_case else Http1ProtocolOptions()
        explicit = downstream = None
        if self.version == "HTTP2":
            http2 = Http2ProtocolOptions(
                max_concurrent_streams=self.max_concurrent_streams, connection_keepalive=self.keepalive
            )
            explicit = ExplicitHttpConfig(http2_protocol_options=http2)
        elif self.version == "DOWNSTREAM":
            downstream = UseDownstreamHttpConfig(
                http_protocol_options=http1, http2_protocol_options=Http2ProtocolOptions()
            )
        else:
            explicit = ExplicitHttpConfig(http_protocol_options=http1)
        return HttpProtocolOptions(
            common_http_protocol_options=self.common,
            upstream_http_protocol_options=self.upstream,
            explicit_http_config=explicit,
            use_downstream_protocol_config=downstream,
            outlier_detection=self.outlier_detection,
        )


@dataclass(slots=True)
class ClusterDraft:
    """Fields as in ``plan.cluster.Cluster``; what several steps touch is kept in pieces."""

    name: str
    type: str | None = None
    cluster_type: CustomClusterType | None = None
    dynamic: bool = False
    """A dynamic forward proxy: hosts are resolved as requests name them."""
    connect_timeout: timedelta | None = None
    lb_policy: str = "ROUND_ROBIN"
    endpoints: tuple[LocalityLbEndpoints, ...] | None = None
    """None without a load assignment."""
    thresholds: Thresholds | None = None
    http: HttpOptionsDraft = field(default_factory=HttpOptionsDraft)
    dns_refresh_rate: timedelta | None = None
    dns_jitter: timedelta | None = None
    respect_dns_ttl: bool = False
    dns_lookup_family: str = "AUTO"
    typed_dns_resolver_config: TypedExtensionConfig | None = None
    outlier_detection: OutlierDetection | None = None
    has_common_lb_config: bool = False
    panic_threshold: Percent | None = None
    keeps_sessions: bool = False
    """Sessions stay with endpoints that are going away."""
    locality_weighted: bool = False
    zone_aware: ZoneAwareLbConfig | None = None
    round_robin: RoundRobinLbConfig | None = None
    least_request: LeastRequestLbConfig | None = None
    ring_hash: RingHashLbConfig | None = None
    maglev: MaglevLbConfig | None = None
    original_dst: OriginalDstLbConfig | None = None
    transport_socket: TransportSocket | None = None
    transport_socket_matches: tuple[TransportSocketMatch, ...] = ()
    connection_options: UpstreamConnectionOptions | None = None
    metadata: dict[str, object] = field(default_factory=dict)
    """The ``istio`` part of the metadata."""
    because: list[Because] = field(default_factory=list)

    def set_lb_config(
        self,
        *,
        round_robin: RoundRobinLbConfig | None = None,
        least_request: LeastRequestLbConfig | None = None,
        ring_hash: RingHashLbConfig | None = None,
        maglev: MaglevLbConfig | None = None,
    ) -> None:
        """One of the configurations of the load balancer; it replaces any other (they are a oneof)."""
        self.round_robin = round_robin
        self.least_request = least_request
        self.ring_hash = ring_hash
        self.maglev = maglev
        self.original_dst = None

    def build(self) -> Cluster:
        """The finished cluster."""
        http = self.http.build()
        return Cluster(
            name=self.name,
            type=self.type,
            cluster_type=self.cluster_type,
            connect_timeout=self.connect_timeout,
            lb_policy=self.lb_policy,
            load_assignment=None
            if self.endpoints is None
            else ClusterLoadAssignment(cluster_name=self.name, endpoints=self.endpoints),
            circuit_breakers=None if self.thresholds is None else CircuitBreakers(thresholds=(self.thresholds,)),
            typed_extension_protocol_options=None if http is None else {HTTP_OPTIONS_KEY: http},
            dns_refresh_rate=self.dns_refresh_rate,
            dns_jitter=self.dns_jitter,
            respect_dns_ttl=self.respect_dns_ttl,
            dns_lookup_family=self.dns_lookup_family,
            typed_dns_resolver_config=self.typed_dns_resolver_config,
            outlier_detection=self.outlier_detection,
            common_lb_config=self._common_lb_config(),
            round_robin_lb_config=self.round_robin,
            least_request_lb_config=self.least_request,
            ring_hash_lb_config=self.ring_hash,
            maglev_lb_config=self.maglev,
            original_dst_lb_config=self.original_dst,
            transport_socket=self.transport_socket,
            transport_socket_matches=self.transport_socket_matches,
            metadata=Metadata(filter_metadata={"istio": self.metadata}) if self.metadata else None,
            upstream_connection_options=self.connection_options,
            because=tuple(self.because),
        )

    def _common_lb_config(self) -> CommonLbConfig | None:
        if not self.has_common_lb_config:
            return None
        return CommonLbConfig(
            healthy_panic_threshold=self.panic_threshold,
            locality_weighted_lb_config=LocalityWeightedLbConfig() if self.locality_weighted else None,
            zone_aware_lb_config=self.zone_aware,
            override_host_status=_STATUSES_OF_SESSIONS if self.keeps_sessions else None,
        )
