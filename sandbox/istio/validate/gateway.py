"""Gateway: servers, ports, TLS."""

from __future__ import annotations

from typing import Final

from sandbox.istio.gateway import Gateway, Port, Server, ServerTLSSettings
from sandbox.istio.resource import Resource
from sandbox.istio.validate import protocols
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.primitives import (
    UNIX_PREFIX,
    ip_address_fault,
    is_ip_address,
    is_label,
    partial_wildcard_fault,
    port_fault,
    unix_address_fault,
    wildcard_domain_fault,
)
from sandbox.istio.validate.server_tls import check_server_tls

_GATEWAY_SEMANTICS: Final = "internal.istio.io/gateway-semantics"


def validate_gateway(resource: Resource[Gateway], findings: Findings) -> None:
    """Every rule about a Gateway by itself."""
    gateway = resource.spec
    generated = resource.metadata.annotations.get(_GATEWAY_SEMANTICS) == "gateway"
    if not is_label(resource.name) and not generated:
        hint = "the name of a Gateway has no dots and at most 63 characters"
        findings.error(f"invalid gateway name: {resource.name!r}", resource.metadata, "name", hint=hint)
    if not gateway.servers:
        findings.error("gateway must have at least one server", gateway)
    for server in gateway.servers:
        _check_server(server, findings, generated=generated)
    names: set[str] = set()
    for port in (server.port for server in gateway.servers if server.port is not None):
        if port.name in names:
            findings.error(f"port names in servers must be unique: duplicate name {port.name}", port, "name")
        names.add(port.name)
    for server in gateway.servers:
        redirects = server.tls is not None and server.tls.https_redirect
        if redirects and server.port is not None and not protocols.is_http(server.port.protocol):
            findings.warn("tls.httpsRedirect should only be used with http servers", server, "tls")


def _check_server(server: Server, findings: Findings, *, generated: bool) -> None:
    if not server.hosts:
        findings.error("server config must contain at least one host", server)
    for index, host in enumerate(server.hosts):
        for fault in gateway_host_faults(host, generated=generated):
            findings.error(fault, server, "hosts", index)
    sound = _check_port(server.port, server, findings)
    _check_bind(server, findings)
    check_server_tls(server.tls, findings)
    if sound and server.port is not None:
        _check_protocol(server, server.port, findings)


def _check_port(port: Port | None, server: Server, findings: Findings) -> bool:
    if port is None:
        findings.error("port is required", server)
        return False
    before = len(findings.problems)
    if not protocols.is_known(port.protocol):
        hint = protocols.protocol_hint(port.protocol)
        findings.error(f"invalid protocol {port.protocol!r}", port, "protocol", hint=hint)
    if port.number > 0 or not server.bind.startswith(UNIX_PREFIX):
        findings.check(port_fault(port.number), port, "number")
    if port.target_port > 0:
        findings.error("targetPort has no impact on Gateways", port, "target_port")
    if not port.name:
        findings.error("port name must be set", port)
    return len(findings.problems) == before


def _check_bind(server: Server, findings: Findings) -> None:
    if server.bind.startswith(UNIX_PREFIX):
        findings.check(unix_address_fault(server.bind.removeprefix(UNIX_PREFIX)), server, "bind")
        if server.port is not None and server.port.number != 0:
            findings.error("port number must be 0 for unix domain socket", server.port, "number")
    elif server.bind:
        findings.check(ip_address_fault(server.bind), server, "bind")


def _check_protocol(server: Server, port: Port, findings: Findings) -> None:
    tls = server.tls
    if protocols.is_tls(port.protocol):
        if tls is None:
            message = "server must have TLS settings for HTTPS/TLS protocols"
            findings.error(message, server, hint="set tls.mode; PASSTHROUGH needs no certificate")
    elif tls is not None and not protocols.is_http(port.protocol):
        findings.error("server cannot have TLS settings for non HTTPS/TLS ports", server, "tls")
    elif tls is not None and not _only_redirects(tls):
        findings.error("server cannot have TLS settings for plain text HTTP ports", server, "tls")


def _only_redirects(tls: ServerTLSSettings) -> bool:
    """A block without certificates, which on a plain-text port can only hold ``httpsRedirect``."""
    certificates = tls.ca_certificates or tls.private_key or tls.server_certificate
    return tls.mode in ("PASSTHROUGH", "AUTO_PASSTHROUGH") and not certificates


def gateway_host_faults(written: str, *, generated: bool = False) -> list[str]:
    """A host of a server, with or without ``namespace/`` before it."""
    namespace, slash, host = written.partition("/")
    if not slash:
        return host_part_faults(written, address_allowed=True)
    faults = []
    if not namespace or not host:
        faults.append("config namespace and dnsName in host entry cannot be empty")
    allowed = ("*", ".", "~") if generated else ("*", ".")
    if namespace not in allowed and not is_label(namespace):
        faults.append(f"invalid namespace value {namespace!r} in gateway")
    return faults + host_part_faults(host, address_allowed=True)


def host_part_faults(host: str, *, address_allowed: bool) -> list[str]:
    """The DNS name of a gateway host or a sidecar host: full, with ``*`` for whole labels only."""
    faults = []
    if host != "*" and "." not in host:
        faults.append("short names (non FQDN) are not allowed")
    domain = wildcard_domain_fault(host)
    if domain is not None and not (address_allowed and is_ip_address(host)):
        faults.append(domain)
    partial = partial_wildcard_fault(host)
    return [*faults, partial] if partial is not None else faults
