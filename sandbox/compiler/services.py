"""Services and their endpoints as istiod models them (Istio pilot/pkg/model/service.go)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import Enum
from typing import Final

from sandbox.compiler.names import UNSPECIFIED_IP
from sandbox.compiler.protocols import Protocol
from sandbox.compiler.proxy import Proxy
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY
from sandbox.plan.because import Because, because_field
from sandbox.yaml_source.span import Origin

_SESSION_LABELS: Final = ("istio.io/persistent-session", "istio.io/persistent-session-header")


class Resolution(Enum):
    """How the proxy finds the endpoints of a service."""

    CLIENT_SIDE_LB = "STATIC"
    DNS_LB = "DNS"
    PASSTHROUGH = "NONE"
    DNS_ROUND_ROBIN_LB = "DNS_ROUND_ROBIN"
    ALIAS = "ALIAS"
    DYNAMIC_DNS = "DYNAMIC_DNS"

    @property
    def is_dns(self) -> bool:
        """Whether endpoints are names that the proxy resolves (Istio's ``isDNSTypeService``)."""
        return self in (Resolution.DNS_LB, Resolution.DNS_ROUND_ROBIN_LB)


class Registry(Enum):
    """Where a service comes from."""

    KUBERNETES = "Kubernetes"
    EXTERNAL = "External"


class Health(Enum):
    """What the registry knows of an endpoint's health; the value is Envoy's word."""

    UNKNOWN = "UNKNOWN"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"
    TERMINATING = "TERMINATING"


class TrafficDistribution(Enum):
    """Which endpoints are preferred when nothing else says so."""

    ANY = "Any"
    PREFER_SAME_ZONE = "PreferSameZone"
    PREFER_SAME_NODE = "PreferSameNode"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a service."""

    number: int
    name: str = ""
    protocol: Protocol = Protocol.UNSUPPORTED
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A service that is only another name of this one (ExternalName)."""

    namespace: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Service:
    """One host at one address; a ServiceEntry makes one for each pair. Compared by identity."""

    host: str
    name: str
    """``metadata.name`` of a Kubernetes Service; the host for a ServiceEntry."""
    namespace: str
    object_name: str
    registry: Registry
    resolution: Resolution
    ports: tuple[ServicePort, ...] = ()
    default_address: str = UNSPECIFIED_IP
    """An IP address, a CIDR block, or ``0.0.0.0`` for none."""
    cluster_vips: tuple[str, ...] = ()
    """Addresses of a Kubernetes Service in the proxy's cluster."""
    auto_allocated_ipv4: str = ""
    auto_allocated_ipv6: str = ""
    mesh_external: bool = False
    creation_time: datetime | None = None
    export_to: frozenset[str] = frozenset()
    """As written; empty means the mesh's default."""
    visibility: str = "PUBLIC"
    """What ``serviceEntryVisibility`` makes of it: PUBLIC, NAMESPACE or NONE."""
    labels: Mapping[str, str] = EMPTY
    label_selectors: Mapping[str, str] = EMPTY
    service_accounts: tuple[str, ...] = ()
    """``subjectAltNames`` of a ServiceEntry, or the accounts of a Kubernetes Service."""
    aliases: tuple[Alias, ...] = ()
    passthrough_target_ports: Mapping[int, int] = EMPTY
    type: str = ""
    """Type of a Kubernetes Service."""
    external_name: str = ""
    node_local: bool = False
    publish_not_ready: bool = False
    traffic_distribution: TrafficDistribution = TrafficDistribution.ANY
    race_first_tcp_connect: bool = False
    origin: Origin | None = field(default=None, repr=False)
    """The object; lines of single decisions are in ``because``."""
    because: tuple[Because, ...] = because_field()

    def port(self, number: int) -> ServicePort | None:
        """The port with this number."""
        return next((port for port in self.ports if port.number == number), None)

    @property
    def is_kubernetes(self) -> bool:
        """Whether it is a Kubernetes Service."""
        return self.registry is Registry.KUBERNETES

    @property
    def is_wildcard(self) -> bool:
        """Whether the host is a pattern."""
        return self.host.startswith("*")

    @property
    def keeps_sessions(self) -> bool:
        """Whether sessions stay with endpoints that are going away (``SupportsDrainingEndpoints``)."""
        return any(self.labels.get(label) for label in _SESSION_LABELS)

    @property
    def supports_unhealthy_forced(self) -> bool:
        """Whether unhealthy endpoints are told whatever the rules say (location-aware traffic distribution)."""
        return self.traffic_distribution is not TrafficDistribution.ANY

    def address_for(self, proxy: Proxy) -> str:
        """The address this proxy binds and matches (``GetAddressForProxy``); ``0.0.0.0`` without one."""
        vips = proxy.of_its_families(self.cluster_vips)
        if vips:
            return vips[0]
        if proxy.uses_auto_allocated and self.default_address == UNSPECIFIED_IP:
            if proxy.supports_ipv4 and self.auto_allocated_ipv4:
                return self.auto_allocated_ipv4
            if proxy.supports_ipv6 and self.auto_allocated_ipv6:
                return self.auto_allocated_ipv6
        return self.default_address

    def all_addresses_for(self, proxy: Proxy) -> tuple[str, ...]:
        """All addresses this proxy may use (``GetAllAddressesForProxy``); often only ``0.0.0.0``."""
        addresses = self.cluster_vips
        if not addresses and proxy.uses_auto_allocated:
            addresses = tuple(text for text in (self.auto_allocated_ipv4, self.auto_allocated_ipv6) if text)
        addresses = proxy.of_its_families(addresses)
        if addresses or not self.default_address:
            return addresses
        if self.cluster_vips:
            return proxy.of_its_families((self.default_address,))
        return (self.default_address,)

    def extra_addresses_for(self, proxy: Proxy) -> tuple[str, ...]:
        """All addresses but the first."""
        return self.all_addresses_for(proxy)[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEndpoint:
    """One address of a service port (Istio's ``IstioEndpoint``)."""

    addresses: tuple[str, ...]
    """IP addresses, one host name, or the path of a Unix socket (then ``port`` is 0)."""
    port: int
    service_port_name: str = ""
    service_port: int = 0
    labels: Mapping[str, str] = EMPTY
    locality: str = ""
    """``region/zone/subzone``."""
    network: str = ""
    weight: int = 0
    tls_mode: str = "disabled"
    namespace: str = ""
    workload_name: str = ""
    service_account: str = ""
    """SPIFFE URI, or empty."""
    health: Health = Health.UNKNOWN
    host_name: str = ""
    sub_domain: str = ""
    node_name: str = ""
    because: tuple[Because, ...] = because_field()
