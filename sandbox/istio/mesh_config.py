"""MeshConfig: settings of the whole mesh."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.client_tls import ClientTLSSettings
from sandbox.istio.connection_pool import ConnectionPoolSettings, OutlierDetection, TcpKeepalive
from sandbox.istio.extension_provider import ExtensionProvider
from sandbox.istio.http_actions import HTTPRetry
from sandbox.istio.load_balancing import LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting
from sandbox.istio.mesh_service_settings import (
    LabelSelector,
    ServiceEntryVisibility,
    ServiceScopeConfigs,
    ServiceSettings,
)
from sandbox.istio.mesh_traffic_policy import InboundTrafficPolicy, OutboundTrafficPolicy
from sandbox.istio.message import Message
from sandbox.istio.proxy_config import ProxyConfig
from sandbox.istio.scalars import Int32


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate(Message):
    """``istio.mesh.v1alpha1.Certificate``: a certificate that istiod makes for DNS names."""

    secret_name: str = ""
    dns_names: tuple[str, ...] = ()


Resource = Literal["SERVICE_REGISTRY"]
"""``istio.mesh.v1alpha1.Resource``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSource(Message):
    """``istio.mesh.v1alpha1.ConfigSource``: where istiod reads configuration."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    subscribed_resources: tuple[Resource, ...] = ()


AccessLogEncoding = Literal["TEXT", "JSON"]
"""``istio.mesh.v1alpha1.MeshConfig.AccessLogEncoding``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CA(Message):
    """``istio.mesh.v1alpha1.MeshConfig.CA``: an external certificate authority."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    request_timeout: timedelta | None = None
    istiod_side: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateData(Message):
    """``istio.mesh.v1alpha1.MeshConfig.CertificateData``: a trusted certificate, as text or by address."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("pem", "spiffe_bundle_url"),)

    pem: str | None = None
    spiffe_bundle_url: str | None = None
    cert_signers: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultProviders(Message):
    """``istio.mesh.v1alpha1.MeshConfig.DefaultProviders``: the providers Telemetry uses where it names none."""

    tracing: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    access_logging: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultTrafficPolicy(Message):
    """``istio.mesh.v1alpha1.MeshConfig.DefaultTrafficPolicy``: limits where no DestinationRule sets them."""

    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None


H2UpgradePolicy = Literal["DO_NOT_UPGRADE", "UPGRADE"]
"""``istio.mesh.v1alpha1.MeshConfig.H2UpgradePolicy``."""

IngressControllerMode = Literal["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"]
"""``istio.mesh.v1alpha1.MeshConfig.IngressControllerMode``."""

NormalizationType = Literal["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"]
"""``istio.mesh.v1alpha1.MeshConfig.ProxyPathNormalization.NormalizationType``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPathNormalization(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ProxyPathNormalization``: how request paths are cleaned before matching."""

    normalization: NormalizationType = "DEFAULT"


MeshTLSProtocol = Literal["TLS_AUTO", "TLSV1_2", "TLSV1_3"]
"""``istio.mesh.v1alpha1.MeshConfig.TLSConfig.TLSProtocol``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSConfig(Message):
    """``istio.mesh.v1alpha1.MeshConfig.TLSConfig``: versions, ciphers and curves."""

    min_protocol_version: MeshTLSProtocol = "TLS_AUTO"
    ecdh_curves: tuple[str, ...] = ()
    cipher_suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshConfig(Message):
    """``istio.mesh.v1alpha1.MeshConfig``: settings of the whole mesh."""

    proxy_listen_port: Int32 = 0
    proxy_inbound_listen_port: Int32 = 0
    proxy_http_port: Int32 = 0
    connect_timeout: timedelta | None = None
    hbone_idle_timeout: timedelta | None = None
    protocol_detection_timeout: timedelta | None = None
    tcp_keepalive: TcpKeepalive | None = None
    ingress_class: str = ""
    ingress_service: str = ""
    ingress_controller_mode: IngressControllerMode = "UNSPECIFIED"
    ingress_selector: str = ""
    enable_tracing: bool = False
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_encoding: AccessLogEncoding = "TEXT"
    enable_envoy_access_log_service: bool = False
    disable_envoy_listener_log: bool = False
    default_config: ProxyConfig | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    inbound_traffic_policy: InboundTrafficPolicy | None = None
    config_sources: tuple[ConfigSource, ...] = ()
    enable_auto_mtls: bool | None = None
    trust_domain: str = ""
    trust_domain_aliases: tuple[str, ...] = ()
    ca_certificates: tuple[CertificateData, ...] = ()
    default_service_export_to: tuple[str, ...] = ()
    default_virtual_service_export_to: tuple[str, ...] = ()
    default_destination_rule_export_to: tuple[str, ...] = ()
    root_namespace: str = ""
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    dns_refresh_rate: timedelta | None = None
    h2_upgrade_policy: H2UpgradePolicy = "DO_NOT_UPGRADE"
    inbound_cluster_stat_name: str = ""
    outbound_cluster_stat_name: str = ""
    certificates: tuple[Certificate, ...] = ()
    service_settings: tuple[ServiceSettings, ...] = ()
    service_scope_configs: tuple[ServiceScopeConfigs, ...] = ()
    enable_prometheus_merge: bool | None = None
    verify_certificate_at_client: bool | None = None
    ca: CA | None = None
    extension_providers: tuple[ExtensionProvider, ...] = ()
    default_providers: DefaultProviders | None = None
    discovery_selectors: tuple[LabelSelector, ...] = ()
    path_normalization: ProxyPathNormalization | None = None
    default_http_retry_policy: HTTPRetry | None = None
    default_inbound_http_retry_policy: HTTPRetry | None = None
    mesh_mTLS: TLSConfig | None = None
    tls_defaults: TLSConfig | None = None
    default_traffic_policy: DefaultTrafficPolicy | None = None
    service_entry_visibility: ServiceEntryVisibility | None = None


AuthPolicy = Literal["NONE", "MUTUAL_TLS"]
"""``istio.mesh.v1alpha1.MeshConfig.AuthPolicy``."""
