"""The proxy a plan is made for, as istiod knows it (Istio pilot/pkg/model/context.go ``Proxy``, ``NodeMetadata``)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import timedelta
from functools import lru_cache
from typing import Literal

from sandbox.compiler.names import UNSPECIFIED_IP, UNSPECIFIED_IPV6
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
    dual_stack: bool = False
    """Whether istiod serves both families of a proxy that has both (``ISTIO_DUAL_STACK``)."""
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

    @property
    def is_dual(self) -> bool:
        """Whether the proxy has addresses of both families."""
        return self.supports_ipv4 and self.supports_ipv6

    @property
    def wildcards(self) -> tuple[str, ...]:
        """What stands for every address of its families (``getWildcardsAndLocalHost``); IPv4 is the main one."""
        if not self.supports_ipv4:
            return (UNSPECIFIED_IPV6,)
        return (UNSPECIFIED_IP, UNSPECIFIED_IPV6) if self.supports_ipv6 else (UNSPECIFIED_IP,)

    @property
    def loopbacks(self) -> tuple[str, ...]:
        """The loopback addresses of its families."""
        return tuple("127.0.0.1" if wildcard == UNSPECIFIED_IP else "::1" for wildcard in self.wildcards)

    def of_its_families(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """The addresses (or CIDR blocks) of the IP families the proxy has.

        One with both gets those of the first one's family only, unless istiod is told to serve both
        (``FilterAddressesByIPFamily``).
        """
        own = tuple(text for text in addresses if (self.supports_ipv4 if is_ipv4(text) else self.supports_ipv6))
        if self.dual_stack or not self.is_dual:
            return own
        return tuple(text for text in own if is_ipv4(text) == is_ipv4(own[0]))

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
