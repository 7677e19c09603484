"""istiod's feature flags, as IstioOperator ``spec.values.pilot.env`` sets them (Istio pilot/pkg/features)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from datetime import timedelta
from typing import Any

from sandbox.frozen_dataclass import dataclass
from sandbox.istio import go_booleans
from sandbox.istio.durations import parse_duration


def _flag(name: str, default: bool) -> Any:
    return field(default=default, metadata={"env": name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The flags that change what a proxy is told about outbound traffic, with istiod's defaults."""

    http10: bool = _flag("PILOT_HTTP10", False)
    sidecar_use_remote_address: bool = _flag("PILOT_SIDECAR_USE_REMOTE_ADDRESS", False)
    enable_100_continue_headers: bool = _flag("ENABLE_100_CONTINUE_HEADERS", True)
    disable_shadow_host_suffix: bool = _flag("DISABLE_SHADOW_HOST_SUFFIX", True)
    dual_stack: bool = _flag("ISTIO_DUAL_STACK", False)
    enable_ip_autoallocate: bool = _flag("PILOT_ENABLE_IP_AUTOALLOCATE", True)
    enable_absolute_fqdn_vhost_domain: bool = _flag("PILOT_ENABLE_ABSOLUTE_FQDN_VHOST_DOMAIN", True)
    enable_route_collapse: bool = _flag("PILOT_ENABLE_ROUTE_COLLAPSE_OPTIMIZATION", True)
    enable_mongo_filter: bool = _flag("PILOT_ENABLE_MONGO_FILTER", True)
    enable_mysql_filter: bool = _flag("PILOT_ENABLE_MYSQL_FILTER", False)
    enable_redis_filter: bool = _flag("PILOT_ENABLE_REDIS_FILTER", False)
    enable_headless_filter_chain_listener: bool = _flag("PILOT_ENABLE_HEADLESS_FILTER_CHAIN_LISTENER", False)
    enable_eds_for_headless: bool = _flag("PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES", False)
    enable_locality_weighted_lb: bool = _flag("ENABLE_LOCALITY_WEIGHTED_LB_CONFIG", False)
    prefer_destination_rule_tls_for_external: bool = _flag("PREFER_DESTINATIONRULE_TLS_FOR_EXTERNAL_SERVICES", True)
    enable_enhanced_destination_rule_merge: bool = _flag("ENABLE_ENHANCED_DESTINATIONRULE_MERGE", True)
    unified_sidecar_scoping: bool = _flag("PILOT_UNIFIED_SIDECAR_SCOPE", True)
    sidecar_pick_best_service_namespace: bool = _flag("PILOT_SIDECAR_PICK_BEST_SERVICE_NAMESPACE", True)
    scope_gateway_to_namespace: bool = _flag("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", False)
    filter_gateway_cluster_config: bool = _flag("PILOT_FILTER_GATEWAY_CLUSTER_CONFIG", False)
    send_unhealthy_endpoints: bool = _flag("PILOT_SEND_UNHEALTHY_ENDPOINTS", False)
    auto_send_unhealthy_endpoints: bool = _flag("PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS", True)
    enable_service_entry_select_pods: bool = _flag("PILOT_ENABLE_SERVICEENTRY_SELECT_PODS", True)
    enable_k8s_select_workload_entries: bool = _flag("PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES", True)
    metadata_exchange: bool = _flag("PILOT_ENABLE_METADATA_EXCHANGE", True)
    workload_entry_health_checks: bool = _flag("PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS", True)
    disable_mx_alpn: bool = _flag("PILOT_DISABLE_MX_ALPN", False)
    texts: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Flags that are no booleans, by their environment variable."""

    @property
    def offers_peer_exchange(self) -> bool:
        """Whether peers of the mesh offer each other to exchange metadata, as a protocol of TLS."""
        return self.metadata_exchange and not self.disable_mx_alpn

    @property
    def dns_jitter(self) -> timedelta:
        """By how much refreshes of DNS answers are scattered."""
        return self._duration("PILOT_DNS_JITTER_DURATION", timedelta(milliseconds=100))

    @property
    def dns_udp_max_queries(self) -> int:
        """How many DNS queries one socket sends."""
        text = self.texts.get("PILOT_DNS_CARES_UDP_MAX_QUERIES", "")
        return int(text) if text.isdecimal() else 100

    @property
    def transport_socket_connect_timeout(self) -> timedelta | None:
        """How long a TLS handshake may take; ``None`` for any time."""
        return self._duration("PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT", timedelta(seconds=15)) or None

    def _duration(self, name: str, default: timedelta) -> timedelta:
        try:
            return parse_duration(self.texts[name])
        except (KeyError, ValueError):
            return default


def features_of(environment: Mapping[str, str]) -> Features:
    """The flags that the environment sets; a value that is no boolean leaves the default, as in Istio."""
    given: dict[str, bool] = {}
    for flag in fields(Features):
        value = environment.get(flag.metadata.get("env", ""), "")
        if value in go_booleans.TRUE | go_booleans.FALSE:
            given[flag.name] = value in go_booleans.TRUE
    return Features(**given, texts=environment)
