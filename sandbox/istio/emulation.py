"""Fields that are read and checked but not acted on, each with the reason; every use of one is reported once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_INBOUND: Final = "only outbound traffic is emulated"
_MULTICLUSTER: Final = "there is one cluster and one network here"
_STATISTICS: Final = "statistics have no exporter here"
_TRACING: Final = "no spans are sent"

NOT_EMULATED: Final[Mapping[str, str]] = {
    "Sidecar.ingress": _INBOUND,
    "Sidecar.inbound_connection_pool": _INBOUND,
    "MeshConfig.inbound_traffic_policy": _INBOUND,
    "MeshConfig.ca": "certificates are those of the local authority",
    "MeshConfig.ca_certificates": "certificates are those of the local authority",
    "MeshConfig.certificates": "certificates are those of the local authority",
    "MeshConfig.config_sources": "configuration is read from files",
    "MeshConfig.discovery_selectors": "every namespace in the files is discovered",
    "MeshConfig.enable_envoy_access_log_service": "access logs go to files only",
    "MeshConfig.ingress_class": _INBOUND,
    "MeshConfig.ingress_controller_mode": _INBOUND,
    "MeshConfig.ingress_service": _INBOUND,
    "MeshConfig.ingress_selector": _INBOUND,
    "MeshConfig.proxy_inbound_listen_port": _INBOUND,
    "MeshConfig.inbound_cluster_stat_name": _STATISTICS,
    "MeshConfig.outbound_cluster_stat_name": _STATISTICS,
    "MeshConfig.enable_prometheus_merge": _STATISTICS,
    "MeshConfig.enable_tracing": _TRACING,
    "ProxyConfig.tracing": _TRACING,
    "ProxyConfig.extra_stat_tags": _STATISTICS,
    "ProxyConfig.proxy_stats_matcher": _STATISTICS,
    "ProxyConfig.private_key_provider": "keys are read from files",
    "ProxyConfig.envoy_access_log_service": "access logs go to files only",
    "ProxyConfig.envoy_metrics_service": _STATISTICS,
    "ProxyConfig.custom_config_file": "there is no Envoy to start",
    "ProxyConfig.readiness_probe": "there is no application to probe",
    "ProxyConfig.ca_certificates_pem": "certificates are those of the local authority",
    "LoadBalancerSettings.backend_utilization": "no endpoint here reports its load",
    "MeshConfig.default_inbound_http_retry_policy": _INBOUND,
    "ServerTLSSettings.verify_certificate_spki": "client certificates are checked by chain and names",
    "ServerTLSSettings.verify_certificate_hash": "client certificates are checked by chain and names",
    "Telemetry.tracing": _TRACING,
    "Telemetry.metrics": _STATISTICS,
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

KINDS_NOT_EMULATED: Final[Mapping[str, str]] = {
    "EnvoyFilter": "patches of Envoy's configuration are not applied",
    "WasmPlugin": "WebAssembly is not run",
    "TrafficExtension": "WebAssembly and Lua are not run",
}
