"""ServiceEntry, in the order of Istio's ``ValidateServiceEntry``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.istio import go_booleans
from sandbox.istio.message import EMPTY
from sandbox.istio.resource import Resource
from sandbox.istio.service_entry import ServiceEntry
from sandbox.istio.validate import protocols
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.primitives import (
    fqdn_fault,
    host_hint,
    is_ip_address,
    partial_wildcard_fault,
    port_fault,
    port_name_fault,
    subnet_fault,
    wildcard_domain_fault,
)
from sandbox.istio.validate.shared import check_export_to, check_labels, check_selector
from sandbox.istio.validate.workload_entry import check_endpoint, check_endpoint_ports

_AUTO_ALLOCATE_LABEL: Final = "networking.istio.io/enable-autoallocate-ip"
_USE_WAYPOINT_LABEL: Final = "istio.io/use-waypoint"
_DYNAMIC_PROTOCOLS: Final = frozenset({"http", "tls", "grpc", "http2"})
_RESOLUTIONS: Final = 5


def validate_service_entry(
    resource: Resource[ServiceEntry], findings: Findings, pilot_env: Mapping[str, str] = EMPTY
) -> None:
    """Every rule about a ServiceEntry by itself."""
    entry = resource.spec
    sound, labelled = check_selector(entry.workload_selector, findings)
    if not sound:
        return
    if not labelled and entry.workload_selector is not None:
        message = (
            "service entry: workload selector specified without labels, will be applied to all services in namespace"
        )
        findings.warn(message, entry.workload_selector)
    if entry.workload_selector is not None and entry.endpoints:
        findings.error("only one of WorkloadSelector or Endpoints is allowed in Service Entry", entry, "endpoints")
    _check_hosts(entry, findings)
    _check_addresses(entry, findings)
    _check_ports(entry, findings, needs_addresses=not _allocates_addresses(resource, pilot_env))
    number = entry.place.value("resolution")
    if isinstance(number, int) and not 0 <= number < _RESOLUTIONS:
        findings.error(f"unsupported resolution type {number}", entry, "resolution")
    elif entry.resolution == "NONE":
        _check_none(entry, findings)
    elif entry.resolution == "STATIC":
        names = {port.name for port in entry.ports}
        for endpoint in entry.endpoints:
            check_endpoint(endpoint, findings, service_ports=names, names_allowed=False)
    elif entry.resolution == "DYNAMIC_DNS":
        _check_dynamic_dns(resource, findings)
    else:
        _check_dns(entry, findings)
    _check_hosts_share_port(entry, findings)
    check_export_to(resource.namespace, entry.export_to, entry, findings, service_entry=True)


def _allocates_addresses(resource: Resource[ServiceEntry], pilot_env: Mapping[str, str]) -> bool:
    entry = resource.spec
    if (
        pilot_env.get("PILOT_ENABLE_IP_AUTOALLOCATE") in go_booleans.FALSE
        or entry.resolution == "NONE"
        or entry.addresses
    ):
        return False
    return resource.metadata.labels.get(_AUTO_ALLOCATE_LABEL, "").lower() != "false"


def _check_hosts(entry: ServiceEntry, findings: Findings) -> None:
    if not entry.hosts:
        findings.error("service entry must have at least one host", entry)
    for index, host in enumerate(entry.hosts):
        if host == "*":
            findings.error("invalid host *", entry, "hosts", index, hint="name a domain, as in *.example.com")
            continue
        findings.check(wildcard_domain_fault(host), entry, "hosts", index, hint=host_hint(host))
        partial = partial_wildcard_fault(host)
        if partial is not None and entry.resolution != "DYNAMIC_DNS":
            findings.warn(partial, entry, "hosts", index, hint="only DYNAMIC_DNS matches a part of a label")


def _check_addresses(entry: ServiceEntry, findings: Findings) -> None:
    for index, address in enumerate(entry.addresses):
        findings.check(subnet_fault(address), entry, "addresses", index)
    if any("/" in address for address in entry.addresses) and entry.resolution not in ("NONE", "STATIC"):
        findings.error("CIDR addresses are allowed only for NONE/STATIC resolution types", entry, "addresses")


def _check_ports(entry: ServiceEntry, findings: Findings, *, needs_addresses: bool) -> None:
    names: set[str] = set()
    numbers: set[int] = set()
    for port in entry.ports:
        if port.name in names:
            findings.error(f"service entry port name {port.name!r} already defined", port, "name")
        if port.number in numbers:
            findings.error(f"service entry port {port.number} already defined", port, "number")
        names.add(port.name)
        numbers.add(port.number)
        if port.target_port:
            findings.check(port_fault(port.target_port), port, "target_port")
        if needs_addresses and not entry.addresses and port.protocol in ("", "TCP"):
            message = (
                "addresses are required for ports serving TCP (or unset) protocol when IP Autoallocation is not enabled"
            )
            hint = "without one the port is captured for every destination"
            findings.warn(message, port, "protocol", hint=hint)
        findings.check(port_name_fault(port.name), port, "name")
        hint = protocols.protocol_hint(port.protocol)
        findings.check(protocols.protocol_fault(port.protocol), port, "protocol", hint=hint)
        findings.check(port_fault(port.number), port, "number")


def _check_none(entry: ServiceEntry, findings: Findings) -> None:
    if entry.endpoints:
        hint = "use STATIC or DNS to send to endpoints"
        findings.error("no endpoints should be provided for resolution type none", entry, "endpoints", hint=hint)
    if entry.workload_selector is not None:
        message = "workloadSelector should not be set when resolution mode is NONE"
        findings.warn(message, entry, "workload_selector")


def _check_dns(entry: ServiceEntry, findings: Findings) -> None:
    for index, host in enumerate(entry.hosts if not entry.endpoints else ()):
        fault = fqdn_fault(host)
        if fault is not None:
            message = f"hosts must be FQDN if no endpoints are provided for resolution mode {entry.resolution}: {fault}"
            hint = host_hint(host) or "give endpoints, or for a wildcard use NONE or DYNAMIC_DNS"
            findings.error(message, entry, "hosts", index, hint=hint)
            break
    if entry.resolution == "DNS_ROUND_ROBIN" and len(entry.endpoints) > 1:
        message = "there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN"
        findings.error(message, entry, "endpoints", 1)
    names = {port.name for port in entry.ports}
    for endpoint in entry.endpoints:
        if not is_ip_address(endpoint.address) and fqdn_fault(endpoint.address) is not None:
            message = f"endpoint address {endpoint.address!r} is not a valid FQDN or an IP address"
            findings.error(message, endpoint, "address")
        check_labels(endpoint, "labels", findings)
        check_endpoint_ports(endpoint, names, findings)
    tcp = next((port for port in entry.ports if protocols.is_tcp(port.protocol)), None)
    if entry.addresses and tcp is not None and len(entry.hosts) > 1:
        findings.warn(
            "service entry can not have more than one host together with address and tcp port", entry, "hosts"
        )


def _check_dynamic_dns(resource: Resource[ServiceEntry], findings: Findings) -> None:
    entry = resource.spec
    if not entry.hosts:
        findings.error("at least one wildcard host must be provided for resolution type DYNAMIC_DNS", entry)
    for index, host in enumerate(entry.hosts):
        if not host.startswith("*"):
            hint = "use DNS for a full name"
            findings.error("host must be wildcarded for resolution mode DYNAMIC_DNS", entry, "hosts", index, hint=hint)
    for field in ("addresses", "endpoints"):
        if getattr(entry, field):
            message = f"{field} cannot be set for resolution type DYNAMIC_DNS, the name that is asked for is resolved"
            findings.error(message, entry, field)
    for port in entry.ports:
        if port.protocol.lower() not in _DYNAMIC_PROTOCOLS:
            message = "only HTTP, TLS, GRPC, and HTTP2 protocols are supported for resolution type DYNAMIC_DNS"
            hint = "write TLS" if port.protocol.lower() == "https" else ""
            findings.error(message, port, "protocol", hint=hint)
    waypoint = resource.metadata.labels.get(_USE_WAYPOINT_LABEL, "")
    if entry.location == "MESH_INTERNAL" and waypoint and waypoint.lower() != "none":
        message = "location MESH_INTERNAL with resolution type DYNAMIC_DNS is not supported when using waypoints"
        findings.error(message, entry, "location")


def _check_hosts_share_port(entry: ServiceEntry, findings: Findings) -> None:
    if entry.resolution == "NONE" or len(entry.hosts) <= 1:
        return
    for port in entry.ports:
        if not protocols.is_http(port.protocol) and not protocols.is_tls(port.protocol):
            hint = "nothing in the bytes tells the hosts apart; write one ServiceEntry per host"
            findings.error("multiple hosts provided with non-HTTP, non-TLS ports", port, "protocol", hint=hint)
            break
