"""WorkloadEntry and WorkloadGroup, and the endpoints of a ServiceEntry, which are WorkloadEntries."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from sandbox.istio.resource import Resource
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.primitives import (
    UNIX_PREFIX,
    fqdn_fault,
    is_ip_address,
    port_fault,
    port_name_fault,
    unix_address_fault,
)
from sandbox.istio.validate.shared import check_labels
from sandbox.istio.workload_entry import WorkloadEntry
from sandbox.istio.workload_group import HTTPHealthCheckConfig, ReadinessProbe, WorkloadGroup

_PROBE_HEADER: Final = re.compile("[-A-Za-z0-9]+")


def validate_workload_entry(resource: Resource[WorkloadEntry], findings: Findings) -> None:
    """A WorkloadEntry by itself: its address may be a name."""
    check_endpoint(resource.spec, findings, service_ports=None, names_allowed=True)


def check_endpoint(
    entry: WorkloadEntry, findings: Findings, *, service_ports: Collection[str] | None, names_allowed: bool
) -> None:
    """Address, ports and labels; ``service_ports`` are the names a ServiceEntry defines."""
    address = entry.address
    if not address:
        if not entry.network:
            findings.error("address is required", entry)
            return
        findings.warn(f"address is unset with network {entry.network!r}", entry)
    unix = address.startswith(UNIX_PREFIX)
    if unix:
        findings.check(unix_address_fault(address.removeprefix(UNIX_PREFIX)), entry, "address")
        if entry.ports:
            findings.error(f"unix endpoint {address} must not include ports", entry, "ports")
    elif address and not is_ip_address(address):
        _check_name(entry, findings, names_allowed=names_allowed)
    check_endpoint_ports(entry, service_ports, findings)
    check_labels(entry, "labels", findings)
    if unix and service_ports is not None and len(service_ports) != 1:
        findings.error("exactly 1 service port required for unix endpoints", entry, "address")


def _check_name(entry: WorkloadEntry, findings: Findings, *, names_allowed: bool) -> None:
    if not names_allowed:
        hint = "resolution STATIC takes addresses only; use DNS for names"
        findings.error(f"endpoint address {entry.address!r} is not a valid IP address", entry, "address", hint=hint)
    elif fqdn_fault(entry.address) is not None:
        findings.error(f"endpoint address {entry.address!r} is not a valid FQDN or an IP address", entry, "address")


def check_endpoint_ports(entry: WorkloadEntry, service_ports: Collection[str] | None, findings: Findings) -> None:
    """Ports by the names the ServiceEntry gave them."""
    for name, port in entry.ports.items():
        if service_ports is not None and name not in service_ports:
            hint = f"its ports are {', '.join(sorted(service_ports))}" if service_ports else "it has no ports"
            findings.error(f"endpoint port {name} is not defined by the service entry", entry, "ports", name, hint=hint)
        findings.check(port_name_fault(name), entry, "ports", name)
        findings.check(port_fault(port), entry, "ports", name)


def validate_workload_group(resource: Resource[WorkloadGroup], findings: Findings) -> None:
    """Template, labels and probe."""
    group = resource.spec
    if group.template is None:
        findings.error("template is required", group)
        return
    if group.metadata is not None:
        check_labels(group.metadata, "labels", findings)
    if group.probe is not None:
        _check_probe(group.probe, findings)


def _check_probe(probe: ReadinessProbe, findings: Findings) -> None:
    for field in (
        "period_seconds",
        "initial_delay_seconds",
        "timeout_seconds",
        "success_threshold",
        "failure_threshold",
    ):
        if getattr(probe, field) < 0:
            findings.error(f"{field} must be non-negative", probe, field)
    if probe.http_get is not None:
        _check_http_probe(probe.http_get, findings)
    elif probe.tcp_socket is not None:
        findings.check(port_fault(probe.tcp_socket.port), probe.tcp_socket, "port")
    elif probe.exec is not None:
        if not probe.exec.command:
            findings.error("exec.command is required", probe.exec)
    else:
        findings.error("the health check method is one of httpGet, tcpSocket and exec", probe)


def _check_http_probe(check: HTTPHealthCheckConfig, findings: Findings) -> None:
    findings.check(port_fault(check.port), check, "port")
    if check.scheme not in ("", "HTTP", "HTTPS"):
        findings.error("httpGet.scheme must be one of HTTPS, HTTP", check, "scheme")
    for header in check.http_headers:
        if not _PROBE_HEADER.fullmatch(header.name):
            findings.error(f"header name {header.name!r} is not a valid header name", header, "name")
