"""What istiod assumes where the mesh configuration says nothing (Istio's ``pkg/config/mesh/mesh.go``)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sandbox.istio.extension_provider import ExtensionProvider, PrometheusMetricsProvider
from sandbox.istio.load_balancing import LocalityLoadBalancerSetting
from sandbox.istio.log_providers import EnvoyFileAccessLogProvider
from sandbox.istio.mesh_config import DefaultProviders, MeshConfig
from sandbox.istio.mesh_traffic_policy import InboundTrafficPolicy, OutboundTrafficPolicy
from sandbox.istio.proxy_config import ProxyConfig
from sandbox.istio.tracing_providers import StackdriverProvider

DEFAULT_PROXY_CONFIG: Final = ProxyConfig(
    config_path="./etc/istio/proxy",
    service_cluster="istio-proxy",
    drain_duration=timedelta(seconds=45),
    termination_drain_duration=timedelta(seconds=5),
    proxy_admin_port=15000,
    control_plane_auth_policy="MUTUAL_TLS",
    discovery_address="istiod.istio-system.svc:15012",
    binary_path="/usr/local/bin/envoy",
    stat_name_length=189,
    status_port=15020,
)

DEFAULT_MESH_CONFIG: Final = MeshConfig(
    enable_tracing=True,
    protocol_detection_timeout=timedelta(0),
    ingress_service="istio-ingressgateway",
    ingress_controller_mode="STRICT",
    ingress_class="istio",
    trust_domain="cluster.local",
    enable_auto_mtls=True,
    outbound_traffic_policy=OutboundTrafficPolicy(mode="ALLOW_ANY"),
    inbound_traffic_policy=InboundTrafficPolicy(mode="PASSTHROUGH"),
    locality_lb_setting=LocalityLoadBalancerSetting(enabled=True),
    default_config=DEFAULT_PROXY_CONFIG,
    root_namespace="istio-system",
    proxy_listen_port=15001,
    proxy_inbound_listen_port=15006,
    connect_timeout=timedelta(seconds=10),
    default_service_export_to=("*",),
    default_virtual_service_export_to=("*",),
    default_destination_rule_export_to=("*",),
    dns_refresh_rate=timedelta(seconds=60),
    enable_prometheus_merge=True,
    default_providers=DefaultProviders(),
    extension_providers=(
        ExtensionProvider(name="prometheus", prometheus=PrometheusMetricsProvider()),
        ExtensionProvider(name="stackdriver", stackdriver=StackdriverProvider()),
        ExtensionProvider(name="envoy", envoy_file_access_log=EnvoyFileAccessLogProvider(path="/dev/stdout")),
    ),
)
