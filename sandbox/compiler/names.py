"""istiod's names of clusters and of the constants that stand for them (Istio pilot/pkg/model/service.go)."""

from __future__ import annotations

from typing import Final, NamedTuple

PASSTHROUGH_CLUSTER: Final = "PassthroughCluster"
BLACK_HOLE_CLUSTER: Final = "BlackHoleCluster"
ALLOW_ANY_DYNAMIC_DNS_CLUSTER: Final = "AllowAnyDynamicDNSCluster"
PASSTHROUGH_FILTER_CHAIN: Final = "PassthroughFilterChain"
VIRTUAL_OUTBOUND_LISTENER: Final = "virtualOutbound"
UNSPECIFIED_IP: Final = "0.0.0.0"
"""The address of a service without one (Istio's ``constants.UnspecifiedIP``)."""
UNSPECIFIED_IPV6: Final = "::"
UNIX_PREFIX: Final = "unix://"
"""Before the path of a Unix socket, where an address or a bind is written."""
CONFIG_MAP: Final = "configmap://"
"""Before a ``credentialName`` that is a ConfigMap's."""
EXTERNAL_SDS: Final = "sds://"
"""Before a ``credentialName`` that another server of secrets knows."""
MESH_GATEWAY: Final = "mesh"
"""The reserved gateway name: all sidecars."""


def outbound_cluster(host: str, port: int, subset: str = "") -> str:
    """``outbound|443||a.example.com``."""
    return f"outbound|{port}|{subset}|{host}"


def outbound_sni(host: str, port: int, subset: str = "") -> str:
    """``outbound_.443_._.a.example.com``: the SNI of mutual TLS inside the mesh."""
    return f"outbound_.{port}_.{subset}_.{host}"


def dns_cache_name(host: str) -> str:
    """The DNS cache of a dynamic DNS host."""
    return f"{host}_dfp_dns_cache"


class SubsetKey(NamedTuple):
    """The parts of a cluster's name."""

    direction: str
    port: int
    subset: str
    host: str


def parse_subset_key(name: str) -> SubsetKey | None:
    """The parts of ``outbound|80|v1|host`` or ``outbound_.80_.v1_.host``; None for other names."""
    separator = "_." if name.startswith(("outbound_.", "inbound_.")) else "|"
    parts = name.split(separator, 3)
    if len(parts) != len(SubsetKey._fields) or not parts[1].isdigit():
        return None
    return SubsetKey(parts[0], int(parts[1]), parts[2], parts[3])
