"""ProxyConfig: settings of one proxy, as in the mesh configuration and the annotation proxy.istio.io/config."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.client_tls import ClientTLSSettings
from sandbox.istio.connection_pool import TcpKeepalive
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.proxy_connections import ConnectionSettings
from sandbox.istio.proxy_headers import ForwardClientCertDetails, ProxyHeaders
from sandbox.istio.proxy_tracing import Tracing
from sandbox.istio.scalars import Int32, UInt32
from sandbox.istio.workload_group import ReadinessProbe
from sandbox.istio.workload_proxy_config import ProxyImage


@dataclass(frozen=True, slots=True, kw_only=True)
class SDS(Message):
    """``istio.mesh.v1alpha1.SDS``: paths of a server of secrets."""

    enabled: bool = False
    k8s_sa_jwt_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyProtocolConfiguration(Message):
    """``istio.mesh.v1alpha1.Topology.ProxyProtocolConfiguration``: the proxy in front sends the PROXY protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology(Message):
    """``istio.mesh.v1alpha1.Topology``: proxies in front of this one, and what is believed of them."""

    num_trusted_proxies: UInt32 = 0
    forward_client_cert_details: ForwardClientCertDetails = "UNDEFINED"
    proxy_protocol: ProxyProtocolConfiguration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CryptoMb(Message):
    """``istio.mesh.v1alpha1.PrivateKeyProvider.CryptoMb``: private keys by vector instructions."""

    poll_delay: timedelta | None = None
    fallback: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QAT(Message):
    """``istio.mesh.v1alpha1.PrivateKeyProvider.QAT``: private keys by QuickAssist."""

    poll_delay: timedelta | None = None
    fallback: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKeyProvider(Message):
    """``istio.mesh.v1alpha1.PrivateKeyProvider``: hardware that handles private keys."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("cryptomb", "qat"),)

    cryptomb: CryptoMb | None = None
    qat: QAT | None = None


AuthenticationPolicy = Literal["NONE", "MUTUAL_TLS", "INHERIT"]
"""``istio.mesh.v1alpha1.AuthenticationPolicy``."""

InboundInterceptionMode = Literal["REDIRECT", "TPROXY", "NONE"]
"""``istio.mesh.v1alpha1.ProxyConfig.InboundInterceptionMode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyStatsMatcher(Message):
    """``istio.mesh.v1alpha1.ProxyConfig.ProxyStatsMatcher``: which statistics are kept."""

    inclusion_prefixes: tuple[str, ...] = ()
    inclusion_suffixes: tuple[str, ...] = ()
    inclusion_regexps: tuple[str, ...] = ()


TracingServiceName = Literal["APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"]
"""``istio.mesh.v1alpha1.ProxyConfig.TracingServiceName``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteService(Message):
    """``istio.mesh.v1alpha1.RemoteService``: an address with its TLS and keep-alive."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    tcp_keepalive: TcpKeepalive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig(Message):
    """``istio.mesh.v1alpha1.ProxyConfig``: settings of one proxy."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("service_cluster", "tracing_service_name"),)

    config_path: str = ""
    binary_path: str = ""
    service_cluster: str | None = None
    tracing_service_name: TracingServiceName | None = None
    drain_duration: timedelta | None = None
    discovery_address: str = ""
    discovery_refresh_delay: timedelta | None = None
    zipkin_address: str = ""
    statsd_udp_address: str = ""
    envoy_metrics_service_address: str = ""
    proxy_admin_port: Int32 = 0
    availability_zone: str = ""
    control_plane_auth_policy: AuthenticationPolicy = "NONE"
    custom_config_file: str = ""
    stat_name_length: Int32 = 0
    concurrency: Int32 | None = None
    proxy_bootstrap_template_path: str = ""
    interception_mode: InboundInterceptionMode = "REDIRECT"
    tracing: Tracing | None = None
    sds: SDS | None = None
    envoy_access_log_service: RemoteService | None = None
    envoy_metrics_service: RemoteService | None = None
    proxy_metadata: Mapping[str, str] = EMPTY
    runtime_values: Mapping[str, str] = EMPTY
    status_port: Int32 = 0
    extra_stat_tags: tuple[str, ...] = ()
    gateway_topology: Topology | None = None
    termination_drain_duration: timedelta | None = None
    mesh_id: str = ""
    readiness_probe: ReadinessProbe | None = None
    proxy_stats_matcher: ProxyStatsMatcher | None = None
    hold_application_until_proxy_starts: bool | None = None
    ca_certificates_pem: tuple[str, ...] = ()
    image: ProxyImage | None = None
    private_key_provider: PrivateKeyProvider | None = None
    proxy_headers: ProxyHeaders | None = None
    file_flush_interval: timedelta | None = None
    file_flush_min_size_kb: UInt32 = 0
    stats_compression: bool | None = None
    connection_settings: ConnectionSettings | None = None
