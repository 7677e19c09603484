"""Virtual hosts: their domains, the catch-all, and the route configuration around them.

Source: Istio pilot/pkg/networking/core/httproute.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import TYPE_CHECKING, Final

from sandbox.compiler.alternative_names import alternative_names, bracketed, forms, with_port
from sandbox.compiler.names import ALLOW_ANY_DYNAMIC_DNS_CLUSTER, PASSTHROUGH_CLUSTER, UNSPECIFIED_IP
from sandbox.compiler.outbound_policy import (
    because_of_policy,
    egress_proxy_cluster,
    is_allow_any,
    is_allow_any_dynamic_dns,
)
from sandbox.compiler.proxy_headers import HeaderSettings
from sandbox.compiler.route_actions import NO_TIMEOUT
from sandbox.compiler.route_matches import MATCH_ALL
from sandbox.compiler.services import Resolution
from sandbox.frozen_dataclass import dataclass
from sandbox.plan.because import Because
from sandbox.plan.route import DirectResponseAction, Route, RouteAction, RouteConfiguration, VirtualHost

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.services import Service
    from sandbox.compiler.sidecar_scope import SidecarScope

ALLOW_ANY: Final = "allow_any"
BLOCK_ALL: Final = "block_all"
ALLOW_ANY_DYNAMIC_DNS: Final = "allow_any_dynamic_dns"
_MAX_DIRECT_RESPONSE: Final = 1024 * 1024
_BLOCKED: Final = 502


def route_configuration(
    name: str, virtual_hosts: tuple[VirtualHost, ...], because: tuple[Because, ...]
) -> RouteConfiguration:
    """The frame of every outbound route configuration."""
    return RouteConfiguration(
        name=name,
        virtual_hosts=virtual_hosts,
        validate_clusters=False,
        max_direct_response_body_size_bytes=_MAX_DIRECT_RESPONSE,
        ignore_port_in_host_matching=True,
        because=because,
    )


def catch_all_virtual_host(proxy: Proxy, scope: SidecarScope, headers: HeaderSettings) -> VirtualHost:
    """Hosts that no other virtual host knows: resolved, passed through, or answered with 502."""
    action: RouteAction | DirectResponseAction
    if is_allow_any_dynamic_dns(proxy, scope):
        name, action = ALLOW_ANY_DYNAMIC_DNS, _to_cluster(ALLOW_ANY_DYNAMIC_DNS_CLUSTER, headers)
    elif is_allow_any(scope):
        name, action = ALLOW_ANY, _to_cluster(egress_proxy_cluster(scope) or PASSTHROUGH_CLUSTER, headers)
    else:
        name, action = BLOCK_ALL, DirectResponseAction(status=_BLOCKED)
    because = (because_of_policy(scope),)
    return VirtualHost(
        name=name,
        domains=("*",),
        routes=(Route(name=name, match=MATCH_ALL, action=action, because=because),),
        include_request_attempt_count=headers.include_request_attempt_count,
        because=because,
    )


def _to_cluster(cluster: str, headers: HeaderSettings) -> RouteAction:
    return RouteAction(
        cluster=cluster,
        timeout=NO_TIMEOUT,
        max_grpc_timeout=NO_TIMEOUT,
        append_x_forwarded_host=headers.x_forwarded_host,
    )


@dataclass(frozen=True, slots=True)
class HostDomains:
    """The domains of one service, and which of them are only expansions of its name."""

    domains: tuple[str, ...]
    expanded: frozenset[str]


def service_domains(push: PushContext, proxy: Proxy, service: Service, port: int) -> HostDomains:
    """Name, aliases, alternative names and addresses; ``port`` 0 leaves the forms with a port out."""
    domains: list[str] = []
    expanded: list[str] = []
    for host in (service.host, *(alias.host for alias in service.aliases)):
        alternatives = alternative_names(push, host, port, proxy.dns_domain)
        domains += (*forms(host, port), *alternatives)
        expanded += alternatives
    if service.is_kubernetes and service.resolution is Resolution.PASSTHROUGH:
        domains += [f"*.{domain}" for domain in domains]
    for address in service.all_addresses_for(proxy):
        if address and address != UNSPECIFIED_IP:
            domains += forms(address, port)
    return HostDomains(tuple(domains), frozenset(expanded))


@dataclass(slots=True)
class DomainRegister:
    """Which names and domains of a route configuration are taken; the first virtual host keeps them."""

    known_hosts: set[str]
    """Full names of services: no expansion of another name may take them."""
    _names: set[str] = field(default_factory=set)
    _domains: set[str] = field(default_factory=set)

    def take_name(self, name: str) -> bool:
        """Whether the name was free."""
        if name in self._names:
            return False
        self._names.add(name)
        return True

    def take_domains(self, wanted: HostDomains) -> tuple[str, ...]:
        """Those that were free, in any case of letters."""
        free: list[str] = []
        for domain in wanted.domains:
            folded = domain.lower()
            if folded in self._domains or (domain in wanted.expanded and domain in self.known_hosts):
                continue
            self._domains.add(folded)
            free.append(domain)
        return tuple(free)


def own_domain(host: str) -> HostDomains:
    """The domain of a VirtualService's host that is no known service."""
    return HostDomains((bracketed(host),), frozenset())


class HostsByDomain:
    """The virtual hosts of a port, for listeners that detect HTTP for one service only."""

    __slots__ = ("_by_domain",)

    def __init__(self, virtual_hosts: Iterable[VirtualHost]) -> None:
        self._by_domain: dict[str, list[VirtualHost]] = {}
        for virtual_host in virtual_hosts:
            for domain in virtual_host.domains:
                self._by_domain.setdefault(domain, []).append(virtual_host)

    def of_detected(self, route_name: str) -> list[VirtualHost]:
        """Those with the service's name as a domain; ``route_name`` is ``host:port``."""
        host = route_name.rpartition(":")[0].strip("[]")
        found = (*self._by_domain.get(route_name, ()), *self._by_domain.get(host, ()))
        return list({id(virtual_host): virtual_host for virtual_host in found}.values())


__all__ = [
    "DomainRegister",
    "HostDomains",
    "HostsByDomain",
    "catch_all_virtual_host",
    "own_domain",
    "route_configuration",
    "service_domains",
    "with_port",
]
