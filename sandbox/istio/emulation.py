"""Fields that are read and checked but not acted on, each with the reason; every use of one is reported once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_AMBIENT: Final = "ambient mesh is not emulated"
_CERTIFICATES: Final = "certificates are those of the local authority"
_LIMITS: Final = "buffers and connections have limits of their own here"
_INBOUND: Final = "only outbound traffic is emulated"
_MULTICLUSTER: Final = "there is one cluster and one network here"
_STATISTICS: Final = "statistics are read at the admin ports, under the names that clusters have"
_TRACING: Final = "no spans are sent"

NOT_EMULATED: Final[Mapping[str, str]] = {
    "Sidecar.ingress": _INBOUND,
    "Sidecar.inbound_connection_pool": _INBOUND,
    "MeshConfig.inbound_traffic_policy": _INBOUND,
    "MeshConfig.ca": _CERTIFICATES,
    "MeshConfig.ca_certificates": _CERTIFICATES,
    "MeshConfig.certificates": _CERTIFICATES,
    "MeshConfig.config_sources": "configuration is read from files",
    "MeshConfig.enable_envoy_access_log_service": "access logs go to files only",
    "MeshConfig.ingress_class": _INBOUND,
    "MeshConfig.ingress_controller_mode": _INBOUND,
    "MeshConfig.ingress_service": _INBOUND,
    "MeshConfig.ingress_selector": _INBOUND,
    "MeshConfig.proxy_inbound_listen_port": _INBOUND,
    "MeshConfig.inbound_cluster_stat_name": _INBOUND,
    "MeshConfig.outbound_cluster_stat_name": _STATISTICS,
    "ProxyConfig.tracing": _TRACING,
    "ProxyConfig.extra_stat_tags": _STATISTICS,
    "ProxyConfig.private_key_provider": "keys are read from files",
    "ProxyConfig.envoy_access_log_service": "access logs go to files only",
    "ProxyConfig.envoy_metrics_service": _STATISTICS,
    "ProxyConfig.ca_certificates_pem": _CERTIFICATES,
    "ProxyConfig.stats_compression": _STATISTICS,
    "ProxyConfig.runtime_values": "Envoy's runtime settings are those Istio starts it with",
    "ConnectionSettings.cluster_per_connection_buffer_limit_bytes": _LIMITS,
    "ConnectionSettings.listener_connection_limit": _LIMITS,
    "ConnectionSettings.global_downstream_connection_limit": _LIMITS,
    "JWTRule.presence": "a request without a token is treated as istiod treats OPTIONAL",
    "MeshConfig.hbone_idle_timeout": _AMBIENT,
    "MeshConfig.mesh_mTLS": _INBOUND,
    "MeshConfig.service_scope_configs": _MULTICLUSTER,
    "MeshConfig.service_settings": _MULTICLUSTER,
    "MeshConfig.verify_certificate_at_client": "upstream certificates are checked as DestinationRules say",
    "ProxyHeaders.metadata_exchange_headers": "peers exchange no metadata",
    "LoadBalancerSettings.backend_utilization": "no endpoint here reports its load",
    "MeshConfig.default_inbound_http_retry_policy": _INBOUND,
    "Telemetry.tracing": _TRACING,
    "WorkloadGroup.probe": "there is no application to probe",
    "ExtensionProvider.zipkin": _TRACING,
    "ExtensionProvider.lightstep": _TRACING,
    "ExtensionProvider.datadog": _TRACING,
    "ExtensionProvider.skywalking": _TRACING,
    "ExtensionProvider.opencensus": _TRACING,
    "ExtensionProvider.opentelemetry": _TRACING,
    "ExtensionProvider.stackdriver": "nothing is sent to a cloud",
    "ExtensionProvider.envoy_http_als": "access logs go to files only",
    "ExtensionProvider.envoy_tcp_als": "access logs go to files only",
    "ExtensionProvider.envoy_otel_als": "access logs go to files only",
    "ExtensionProvider.envoy_ext_authz_http": "external authorization is not called",
    "ExtensionProvider.envoy_ext_authz_grpc": "external authorization is not called",
}
"""Message and field, as in ``Sidecar.ingress``."""

_PROCESS: Final = "there is no agent and no Envoy process to configure"
_NO_EFFECT: Final = "Istio itself does nothing with it"

WITHOUT_EFFECT: Final[Mapping[str, str]] = {
    "ExtensionProvider.sds": "secrets come from files",
    "FaultAbort.http2_error": _NO_EFFECT,
    "FaultDelay.exponential_delay": _NO_EFFECT,
    "L4MatchAttributes.source_subnet": _NO_EFFECT,
    "MeshConfig.enable_prometheus_merge": "no application's metrics are fetched to be told on 15020",
    "OutlierDetection.consecutive_errors": _NO_EFFECT,
    "ProxyConfig.availability_zone": _PROCESS,
    "ProxyConfig.binary_path": _PROCESS,
    "ProxyConfig.config_path": _PROCESS,
    "ProxyConfig.control_plane_auth_policy": _PROCESS,
    "ProxyConfig.custom_config_file": _PROCESS,
    "ProxyConfig.discovery_address": _PROCESS,
    "ProxyConfig.discovery_refresh_delay": _PROCESS,
    "ProxyConfig.drain_duration": _PROCESS,
    "ProxyConfig.envoy_metrics_service_address": _STATISTICS,
    "ProxyConfig.file_flush_interval": _PROCESS,
    "ProxyConfig.file_flush_min_size_kb": _PROCESS,
    "ProxyConfig.hold_application_until_proxy_starts": _PROCESS,
    "ProxyConfig.mesh_id": _MULTICLUSTER,
    "ProxyConfig.proxy_admin_port": _PROCESS,
    "ProxyConfig.proxy_bootstrap_template_path": _PROCESS,
    "ProxyConfig.readiness_probe": _PROCESS,
    "ProxyConfig.sds": _PROCESS,
    "ProxyConfig.stat_name_length": _STATISTICS,
    "ProxyConfig.statsd_udp_address": _STATISTICS,
    "ProxyConfig.termination_drain_duration": _PROCESS,
    "ProxyConfig.zipkin_address": _TRACING,
    "ProxyImage.image_type": _PROCESS,
    "Server.default_endpoint": _NO_EFFECT,
}
"""Fields that have nothing to act on here, or nowhere; mentioned once, as a note."""

KINDS_NOT_EMULATED: Final[Mapping[str, str]] = {
    "EnvoyFilter": "of patches only those are applied that add clusters or internal listeners at gateways, or change"
    " their TCP proxy",
    "WasmPlugin": "WebAssembly is not run",
    "TrafficExtension": "WebAssembly and Lua are not run",
}
HINTS: Final[Mapping[str, str]] = {
    "EnvoyFilter": "for wildcard hosts by a gateway, docs/istio-tasks.md has what works",
}
"""What to do instead, where a kind that is not emulated is needed for something that is."""
