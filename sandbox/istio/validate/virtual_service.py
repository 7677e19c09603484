"""VirtualService: hosts, gateways, TLS and TCP rules; HTTP rules are in ``http_route``."""

from __future__ import annotations

from itertools import combinations
from typing import Final

from sandbox.istio.resource import Resource
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.headers import is_jwt_claim
from sandbox.istio.validate.http_route import check_http_route, check_weighted
from sandbox.istio.validate.primitives import (
    gateway_domain_fault,
    host_hint,
    is_ip_address,
    is_subset_of,
    matches_host,
    port_fault,
    subnet_fault,
    wildcard_domain_fault,
)
from sandbox.istio.validate.reachability import check_reachability
from sandbox.istio.validate.shared import check_export_to, check_gateway_names, check_labels
from sandbox.istio.virtual_service import (
    L4MatchAttributes,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)

_MESH: Final = "mesh"
_HEADER_FIELDS: Final = ("headers", "without_headers")
_ROUTE_SEMANTICS: Final = "internal.istio.io/route-semantics"


def validate_virtual_service(resource: Resource[VirtualService], findings: Findings) -> None:
    """Every rule about a VirtualService by itself."""
    service = resource.spec
    any_destination = resource.metadata.annotations.get(_ROUTE_SEMANTICS) == "gateway"
    for_gateway = bool(service.gateways) and _MESH not in service.gateways
    _check_delegate(service, findings)
    check_gateway_names(service.gateways, service, findings, any_name=any_destination)
    if not for_gateway:
        _check_no_claims(service, findings)
    _check_hosts(service, findings, for_gateway=for_gateway)
    if not (service.http or service.tcp or service.tls):
        findings.error("http, tcp or tls must be provided in virtual service", service)
    for route in service.http:
        check_http_route(route, findings, delegated=not service.hosts, any_destination=any_destination)
    for tls in service.tls:
        _check_tls_route(tls, service, findings, any_destination=any_destination)
    for tcp in service.tcp:
        with findings.errors_only():
            _check_tcp_route(tcp, findings, any_destination=any_destination)
    check_export_to(resource.namespace, service.export_to, service, findings)
    check_reachability(service, findings)


def _check_delegate(service: VirtualService, findings: Findings) -> None:
    if service.hosts:
        return
    for field in ("gateways", "tls", "tcp"):
        if getattr(service, field):
            hint = "a VirtualService without hosts is a delegate and holds http rules only"
            findings.error(f"delegate virtual service must have no {field}", service, field, hint=hint)


def _check_no_claims(service: VirtualService, findings: Findings) -> None:
    matches = (match for route in service.http for match in route.match)
    headers = ((match, field, name) for match in matches for field in _HEADER_FIELDS for name in getattr(match, field))
    for match, field, name in headers:
        if is_jwt_claim(name):
            message = f"JWT claim based routing (key: {name}) is only supported for gateway"
            findings.error(message, match, field, name)


def _check_hosts(service: VirtualService, findings: Findings, *, for_gateway: bool) -> None:
    sound = True
    has_sni = any(match.sni_hosts for route in service.tls for match in route.match)
    for index, host in enumerate(service.hosts):
        fault = gateway_domain_fault(host, sni=has_sni) if for_gateway else wildcard_domain_fault(host)
        if fault is None and host == "*" and not for_gateway:
            fault = "wildcard host * is not allowed for virtual services bound to the mesh gateway"
        elif fault is not None and is_ip_address(host):
            fault = None
        findings.check(fault, service, "hosts", index, hint=host_hint(host))
        sound = sound and fault is None
    pairs = combinations(enumerate(service.hosts), 2) if sound else ()
    for (_, host), (later, other) in pairs:
        if matches_host(host, other):
            findings.error(f"duplicate hosts in virtual service: {host} & {other}", service, "hosts", later)


def _check_tls_route(route: TLSRoute, service: VirtualService, findings: Findings, *, any_destination: bool) -> None:
    if not route.match:
        findings.error("TLS route must have at least one match condition", route, hint="match sniHosts")
    for match in route.match:
        _check_tls_match(match, service, findings)
    _check_destinations(route, "TLS", findings, any_destination=any_destination)


def _check_destinations(
    route: TLSRoute | TCPRoute, protocol: str, findings: Findings, *, any_destination: bool
) -> None:
    if not route.route:
        findings.error(f"{protocol} route is required", route)
    check_weighted(route.route, findings, any_destination=any_destination)


def _check_tls_match(match: TLSMatchAttributes, service: VirtualService, findings: Findings) -> None:
    if not match.sni_hosts:
        findings.error("TLS match must have at least one SNI host", match)
    for index, host in enumerate(match.sni_hosts):
        _check_sni_host(host, index, match, service, findings)
    _check_layer4(match, findings)


def _check_sni_host(
    host: str, index: int, match: TLSMatchAttributes, service: VirtualService, findings: Findings
) -> None:
    # Unlike for hosts, a VirtualService without any gateway counts as one for a gateway here.
    for_gateway = _MESH not in service.gateways
    fault = gateway_domain_fault(host, sni=True) if for_gateway else wildcard_domain_fault(host)
    if fault is not None and is_ip_address(host):
        message = f"using an IP address ({host!r}) goes against SNI spec and most clients do not support this"
        findings.warn(message, match, "sni_hosts", index)
    elif fault is not None:
        findings.error(fault, match, "sni_hosts", index)
    elif not any(is_subset_of(host, each) for each in service.hosts):
        message = f"SNI host {host!r} is not contained in the virtual service hosts: [{', '.join(service.hosts)}]"
        findings.error(message, match, "sni_hosts", index, hint="name the same host under hosts")


def _check_layer4(match: TLSMatchAttributes | L4MatchAttributes, findings: Findings) -> None:
    for index, subnet in enumerate(match.destination_subnets):
        findings.check(subnet_fault(subnet), match, "destination_subnets", index)
    if match.port:
        findings.check(port_fault(match.port), match, "port")
    check_labels(match, "source_labels", findings)
    check_gateway_names(match.gateways, match, findings)


def _check_tcp_route(route: TCPRoute, findings: Findings, *, any_destination: bool) -> None:
    for match in route.match:
        _check_layer4(match, findings)
    _check_destinations(route, "TCP", findings, any_destination=any_destination)
