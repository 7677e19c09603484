"""Listeners, their filter chains and network filters (``envoy.config.listener.v3``)."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.access_log import AccessLog
from sandbox.plan.base import Address, CidrRange, Extension, Metadata, TypedExtensionConfig
from sandbox.plan.because import Because, because_field
from sandbox.plan.tls import TransportSocket


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsInspector(Extension):
    """Listener filter: reads SNI and ALPN of a ClientHello without consuming it."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpInspector(Extension):
    """Listener filter: tells HTTP/1.0, HTTP/1.1 and the HTTP/2 preface from anything else."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalDst(Extension):
    """Listener filter: restores the destination that the client meant."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.listener.original_dst.v3.OriginalDst"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyProtocol(Extension):
    """Listener filter: reads a PROXY header in front of everything else."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerFilter:
    """``envoy.config.listener.v3.ListenerFilter``."""

    name: str = ""
    typed_config: Extension | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChainMatch:
    """``envoy.config.listener.v3.FilterChainMatch``."""

    destination_port: int | None = None
    prefix_ranges: tuple[CidrRange, ...] = ()
    server_names: tuple[str, ...] = ()
    transport_protocol: str = ""
    application_protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """``envoy.config.listener.v3.Filter``: a network filter."""

    name: str = ""
    typed_config: Extension | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChain:
    """``envoy.config.listener.v3.FilterChain``."""

    filter_chain_match: FilterChainMatch | None = None
    filters: tuple[Filter, ...] = ()
    transport_socket: TransportSocket | None = None
    transport_socket_connect_timeout: timedelta | None = None
    metadata: Metadata | None = None
    name: str = ""
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditionalAddress:
    """``envoy.config.listener.v3.AdditionalAddress``."""

    address: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalListenerConfig:
    """``Listener.InternalListenerConfig``: the listener has no port; clusters of the same process connect to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """``envoy.config.listener.v3.Listener``."""

    name: str = ""
    address: Address | None = None
    additional_addresses: tuple[AdditionalAddress, ...] = ()
    filter_chains: tuple[FilterChain, ...] = ()
    default_filter_chain: FilterChain | None = None
    use_original_dst: bool | None = None
    bind_to_port: bool | None = None
    transparent: bool | None = None
    listener_filters: tuple[ListenerFilter, ...] = ()
    listener_filters_timeout: timedelta | None = None
    continue_on_listener_filters_timeout: bool = False
    traffic_direction: str = "UNSPECIFIED"
    access_log: tuple[AccessLog, ...] = ()
    per_connection_buffer_limit_bytes: int | None = None
    max_connections_to_accept_per_socket_event: int | None = None
    internal_listener: InternalListenerConfig | None = None
    metadata: Metadata | None = None
    because: tuple[Because, ...] = because_field()

    @property
    def all_chains(self) -> tuple[FilterChain, ...]:
        """The filter chains, the default one last."""
        default = self.default_filter_chain
        return self.filter_chains if default is None else (*self.filter_chains, default)


# --- network filters other than the HTTP connection manager and RBAC ---


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpClusterWeight:
    """``TcpProxy.WeightedCluster.ClusterWeight``."""

    name: str = ""
    weight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpWeightedClusters:
    """``TcpProxy.WeightedCluster``."""

    clusters: tuple[TcpClusterWeight, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpHashPolicySourceIp:
    """``envoy.type.v3.HashPolicy.SourceIp``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpHashPolicy:
    """``envoy.type.v3.HashPolicy``."""

    source_ip: TcpHashPolicySourceIp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelingConfig:
    """``TcpProxy.TunnelingConfig``: CONNECT (or POST) through the upstream."""

    hostname: str = ""
    use_post: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProxy(Extension):
    """``envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy``: ``cluster`` or ``weighted_clusters``."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"

    stat_prefix: str = ""
    cluster: str | None = None
    weighted_clusters: TcpWeightedClusters | None = None
    idle_timeout: timedelta | None = None
    access_log: tuple[AccessLog, ...] = ()
    hash_policy: tuple[TcpHashPolicy, ...] = ()
    tunneling_config: TunnelingConfig | None = None
    max_downstream_connection_duration: timedelta | None = None
    max_connect_attempts: int | None = None
    because: tuple[Because, ...] = because_field()

    @property
    def cluster_names(self) -> tuple[str, ...]:
        """The clusters that may be chosen."""
        if self.weighted_clusters is not None:
            return tuple(part.name for part in self.weighted_clusters.clusters)
        return (self.cluster,) if self.cluster else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoProxy(Extension):
    """``envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy``: statistics only."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy"

    stat_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SniCluster(Extension):
    """``envoy.extensions.filters.network.sni_cluster.v3.SniCluster``: the SNI names the cluster (AUTO_PASSTHROUGH)."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.network.sni_cluster.v3.SniCluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsCacheConfig:
    """``envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig``; ``max_hosts`` bounds the cache."""

    name: str = ""
    dns_lookup_family: str = "AUTO"
    dns_refresh_rate: timedelta | None = None
    max_hosts: int | None = None
    typed_dns_resolver_config: TypedExtensionConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SniDynamicForwardProxy(Extension):
    """``envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig``: resolves the SNI."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig"

    dns_cache_config: DnsCacheConfig | None = None
    port_value: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaresDnsResolverConfig(Extension):
    """``envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig``."""

    TYPE: ClassVar[str] = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"

    resolvers: tuple[Address, ...] = ()
    udp_max_queries: int | None = None
