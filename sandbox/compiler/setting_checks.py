"""Environment variables of istiod that change what proxies are told, but nothing here."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from sandbox.compiler.features import Features
from sandbox.istio.load import Configuration
from sandbox.yaml_source.problems import Problem, Problems

_OTHERS_READ: Final = frozenset(
    {
        "PILOT_IP_AUTOALLOCATE_IPV4_PREFIX",
        "PILOT_IP_AUTOALLOCATE_IPV6_PREFIX",
        "PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS",
        "PILOT_DNS_CARES_UDP_MAX_QUERIES",
        "PILOT_DNS_JITTER_DURATION",
        "PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT",
        "PILOT_TRACE_SAMPLING",
    }
)
_NOT_EMULATED: Final = {
    "ISTIO_DUAL_STACK": "listeners for two IP families at once",
    "PILOT_ENABLE_AMBIENT": "ambient meshes",
    "PILOT_ENABLE_PERSISTENT_SESSION_FILTER": "persistent sessions",
    "PILOT_ENABLE_QUIC_LISTENERS": "HTTP/3",
    "PILOT_ENABLE_GATEWAY_API": "the Kubernetes Gateway API",
    "PILOT_JWT_ENABLE_REMOTE_JWKS": "key sets that the proxy fetches itself",
    "ENABLE_HCM_INTERNAL_NETWORKS": "internal networks of meshNetworks",
    "LABEL_CANONICAL_SERVICES_FOR_MESH_EXTERNAL_SERVICE_ENTRIES": "labels of metrics",
    "ISTIO_ENABLE_IPV4_OUTBOUND_LISTENER_FOR_IPV6_CLUSTERS": "IPv4 listeners of IPv6 proxies",
    "ISTIO_MULTIROOT_MESH": "several trust anchors",
    "ISTIO_WATCH_NAMESPACE": "watching a single namespace",
    "COMPLIANCE_POLICY": "narrower versions, ciphers and curves of TLS",
    "PILOT_DRAINING_LABEL": "another label of endpoints that drain",
    "PILOT_PERSISTENT_SESSION_LABEL": "another label of services with persistent sessions",
    "PILOT_PERSISTENT_SESSION_HEADER_LABEL": "another label of services with persistent sessions",
    "PILOT_ENABLE_SENDING_HBONE": "ambient meshes",
}


def check_settings(configuration: Configuration, problems: Problems) -> None:
    """Report each variable that istiod would heed and we do not."""
    read = {flag.metadata.get("env") for flag in fields(Features)} | _OTHERS_READ
    for name in configuration.pilot_env:
        if name in _NOT_EMULATED:
            text = f"istiod's {name} is not emulated: {_NOT_EMULATED[name]}"
            problems.add(Problem(code="SBX0405", severity="warning", message=text))
        elif name not in read and name.startswith(("PILOT_", "ENABLE_")):
            text = f"istiod's {name} has no effect here"
            problems.add(Problem(code="SBX0406", severity="info", message=text))
