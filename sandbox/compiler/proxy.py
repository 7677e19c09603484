"""The proxy a plan is made for, as istiod knows it (Istio pilot/pkg/model/context.go ``Proxy``, ``NodeMetadata``)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import timedelta
from functools import lru_cache
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY
from sandbox.istio.proxy_config import ProxyConfig
from sandbox.yaml_source.span import Origin

NodeType = Literal["sidecar", "router"]
InterceptionMode = Literal["REDIRECT", "TPROXY", "NONE"]


def is_ipv4(address: str) -> bool:
    """Whether the text is an IPv4 address."""
    return ":" not in address and address[:1].isdigit()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyMetadata:
    """What the agent tells istiod about its proxy: from ``proxyMetadata``, annotations and the pod."""

    cluster_id: str = "Kubernetes"
    network: str = ""
    network_view: frozenset[str] = frozenset()
    """The networks whose endpoints it is told of; empty for all (``REQUESTED_NETWORK_VIEW``)."""
    dns_capture: bool = False
    dns_auto_allocate: bool = False
    http10: bool = False
    idle_timeout: timedelta | None = None
    interception_mode: InterceptionMode = "REDIRECT"
    http_proxy_port: int = 0
    unprivileged: bool = False
    """Not able to bind ports below 1024 (``UNPRIVILEGED_POD``)."""
    status_port: int = 15020
    envoy_status_port: int = 15021
    envoy_prometheus_port: int = 15090
    tls_client_cert_chain: str = ""
    tls_client_key: str = ""
    tls_client_root_cert: str = ""
    raw: Mapping[str, str] = EMPTY
    """All ``ISTIO_META_*`` values, without the prefix."""
    annotations: Mapping[str, str] = EMPTY
    proxy_config: ProxyConfig = field(default_factory=ProxyConfig)
    """The effective one: defaults, mesh, ProxyConfig resources, annotation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One Envoy: a sidecar, or a gateway (``router``)."""

    node_type: NodeType
    namespace: str
    name: str
    labels: Mapping[str, str] = EMPTY
    workload_name: str = ""
    """The Deployment (or what else owns the pod) by name, where it is known."""
    service_account: str = ""
    ip_addresses: tuple[str, ...] = ()
    dns_domain: str = ""
    """``default.svc.cluster.local``: what makes short names long."""
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    node_name: str = ""
    metadata: ProxyMetadata = field(default_factory=ProxyMetadata)
    uses_auto_allocated: bool = False
    """Whether addresses allocated by istiod are used (``nodeUsesAutoallocatedIPs``)."""
    origin: Origin | None = field(default=None, compare=False)

    @property
    def workload(self) -> str:
        """``namespace/pod``."""
        return f"{self.namespace}/{self.name}"

    @property
    def is_sidecar(self) -> bool:
        """A sidecar, not a gateway."""
        return self.node_type == "sidecar"

    @property
    def supports_ipv4(self) -> bool:
        """Whether any address of the proxy is IPv4."""
        return any(is_ipv4(address) for address in self.ip_addresses)

    @property
    def supports_ipv6(self) -> bool:
        """Whether any address of the proxy is IPv6."""
        return any(not is_ipv4(address) for address in self.ip_addresses)

    def of_its_families(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """The addresses (or CIDR blocks) of the IP families the proxy has."""
        return tuple(text for text in addresses if (self.supports_ipv4 if is_ipv4(text) else self.supports_ipv6))

    def sees_network(self, network: str) -> bool:
        """Whether the proxy wants to know endpoints of a network; those without one always (``IsVisible``)."""
        return not network or not self.metadata.network_view or network in self.metadata.network_view

    def in_network(self, network: str) -> bool:
        """Whether an endpoint of a network is in the proxy's; an unknown network is any (``InNetwork``)."""
        return not network or not self.metadata.network or network == self.metadata.network

    def owns_address(self, address: str) -> bool:
        """Whether the address is one of the proxy's own."""
        return address in self.ip_addresses


@lru_cache(maxsize=65536)
def is_ip_address(text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
