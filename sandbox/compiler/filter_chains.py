"""TLS and TCP routes of VirtualServices, and services without any, as filter chains.

Source: Istio pilot/pkg/networking/core/tls.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Final

from sandbox.compiler import network_filters
from sandbox.compiler.alternative_names import alternative_names
from sandbox.compiler.dynamic_dns import is_dynamic_wildcard
from sandbox.compiler.listener_builder import ListenerBuilder
from sandbox.compiler.names import MESH_GATEWAY, outbound_cluster
from sandbox.compiler.network_filters import ClusterTarget
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import L4MatchAttributes, TCPRoute, TLSMatchAttributes, TLSRoute, VirtualService
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.listener import Filter
from sandbox.yaml_source.span import Origin

if TYPE_CHECKING:
    from sandbox.compiler.services import Service, ServicePort

VirtualServiceResource = Resource[VirtualService]
_WHOLE_SERVICE: Final = IstioDefault("connections to a service that no VirtualService routes go to its own cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOptions:
    """One filter chain before it is one: its criteria and filters (Istio's ``filterChainOpts``)."""

    sni_hosts: tuple[str, ...] = ()
    destination_cidrs: tuple[str, ...] = ()
    application_protocols: tuple[str, ...] = ()
    transport_protocol: str = ""
    filters: tuple[Filter, ...]
    is_http: bool = False
    because: tuple[Because, ...] = field(default=(), compare=False)

    @property
    def is_match_all(self) -> bool:
        """Whether every connection fits: the chain is the listener's default."""
        names = self.sni_hosts and "*" not in self.sni_hosts
        return not (names or self.application_protocols or self.transport_protocol or self.destination_cidrs)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TcpChainRequest:
    """For which service and port of a listener chains are made."""

    builder: ListenerBuilder
    service: Service
    port: ServicePort
    """The listener's port, which need not be the service's."""
    bind: str
    cidrs: tuple[str, ...]
    """The service's address, where it is a block."""
    virtual_services: Sequence[VirtualServiceResource]
    """Those with a host that fits the service."""
    pod_cidrs: bool = False
    """Whether ``cidrs`` are the addresses of one pod of a headless service."""


def build_tcp_chains(request: TcpChainRequest) -> tuple[ChainOptions, ...]:
    """TLS ports look at ``tls`` routes only, all others at ``tcp`` routes only."""
    return _tls_chains(request) if request.port.protocol.is_tls else _tcp_chains(request)


def matches_statically(
    match: TLSMatchAttributes | L4MatchAttributes, builder: ListenerBuilder, port: int, gateway: str = MESH_GATEWAY
) -> bool:
    """The conditions that are known before any connection: gateway, labels, port, namespace."""
    labels = builder.proxy.labels
    return (
        (not match.gateways or gateway in match.gateways)
        and all(labels.get(key) == value for key, value in match.source_labels.items())
        and match.port in (0, port)
        and match.source_namespace in ("", builder.proxy.namespace)
    )


def _tls_chains(request: TcpChainRequest) -> tuple[ChainOptions, ...]:
    chains: dict[tuple[tuple[str, ...], tuple[str, ...]], ChainOptions] = {}
    cidrs = request.cidrs
    for virtual_service, match, rule in _tls_matches(request):
        if match.destination_subnets and request.port.number:
            cidrs = match.destination_subnets  # stays for the matches that follow, as in Istio
        key = (match.sni_hosts, match.destination_subnets)
        if key not in chains:
            filters = network_filters.build_routed(request.builder, rule.route, request.port, virtual_service)
            because = (Because("TLS match", match.origin),)
            chains[key] = ChainOptions(
                sni_hosts=match.sni_hosts, destination_cidrs=cidrs, filters=filters, because=because
            )
    if chains:
        return tuple(chains.values())
    return (_default_chain(request, _default_sni(request)),)


def _tls_matches(request: TcpChainRequest) -> Iterator[tuple[VirtualServiceResource, TLSMatchAttributes, TLSRoute]]:
    for virtual_service in request.virtual_services:
        for rule in virtual_service.spec.tls:
            for match in rule.match if rule.route else ():
                if matches_statically(match, request.builder, request.port.number):
                    yield virtual_service, match, rule


def _default_sni(request: TcpChainRequest) -> tuple[str, ...]:
    """Names are only needed where the address does not tell the service."""
    service, proxy = request.service, request.builder.proxy
    if request.pod_cidrs:
        return ()
    wildcard = proxy.wildcards[0]
    address = service.address_for(proxy)
    shares_wildcard = request.bind == wildcard and address in (wildcard, "0.0.0.0")
    if not (request.cidrs or not address or "/" in address or shares_wildcard or is_dynamic_wildcard(service)):
        return ()
    names = [service.host]
    for alias in service.aliases:
        names += (alias.host, *alternative_names(request.builder.push, alias.host, 0, proxy.dns_domain))
    return tuple(names)


def _tcp_chains(request: TcpChainRequest) -> tuple[ChainOptions, ...]:
    chains: list[ChainOptions] = []
    default_needed = True
    for virtual_service, rule in _tcp_rules(request):
        applying = [match for match in rule.match if matches_statically(match, request.builder, request.port.number)]
        terminal = _terminal_reason(rule, applying, request.port.number)
        subnets = tuple(subnet for match in applying for subnet in match.destination_subnets)
        if terminal is None and not subnets:
            continue
        chains.append(
            ChainOptions(
                destination_cidrs=subnets if terminal is None else request.cidrs,
                filters=network_filters.build_routed(request.builder, rule.route, request.port, virtual_service),
                because=(Because("TCP match", terminal or applying[0].origin),),
            )
        )
        if terminal is not None:
            return tuple(chains)
        default_needed = default_needed and sorted(subnets) != sorted(request.cidrs)
    return (*chains, _default_chain(request)) if default_needed else tuple(chains)


def _tcp_rules(request: TcpChainRequest) -> Iterator[tuple[VirtualServiceResource, TCPRoute]]:
    for virtual_service in request.virtual_services:
        for rule in virtual_service.spec.tcp:
            if rule.route:
                yield virtual_service, rule


def _terminal_reason(rule: TCPRoute, applying: Iterable[L4MatchAttributes], port: int) -> Origin | None:
    """The line because of which the rule takes every address, so that nothing after it is reached."""
    if not rule.match:
        return rule.origin
    return next((match.origin for match in applying if not match.destination_subnets or not port), None)


def _default_chain(request: TcpChainRequest, sni_hosts: tuple[str, ...] = ()) -> ChainOptions:
    """To the service's cluster; its only port counts, else the listener's."""
    service, builder = request.service, request.builder
    number = service.ports[0].number if len(service.ports) == 1 else request.port.number
    consolidated = builder.scope.destination_rule(builder.proxy, service.host)
    line = (service.ports[0] if len(service.ports) == 1 else request.port).origin or service.origin
    because = (
        *((Because("service port", line),) if line is not None else ()),
        Because("route", _WHOLE_SERVICE),
    )
    target = ClusterTarget(
        cluster=outbound_cluster(service.host, number),
        rule=consolidated.spec if consolidated is not None else None,
        dynamic_service=service if is_dynamic_wildcard(service) else None,
        because=because,
    )
    filters = network_filters.build_single(builder, target, request.port)
    return ChainOptions(sni_hosts=sni_hosts, destination_cidrs=request.cidrs, filters=filters, because=because)
