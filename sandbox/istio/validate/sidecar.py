"""Sidecar: listeners, visible hosts, outbound policy."""

from __future__ import annotations

from typing import Final

from sandbox.istio.resource import Resource
from sandbox.istio.sidecar import (
    IstioEgressListener,
    IstioIngressListener,
    OutboundTrafficPolicy,
    Sidecar,
    SidecarPort,
)
from sandbox.istio.validate import protocols
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.gateway import host_part_faults
from sandbox.istio.validate.http_route import check_destination
from sandbox.istio.validate.primitives import (
    UNIX_PREFIX,
    fqdn_fault,
    ip_address_fault,
    is_label,
    port_fault,
    port_name_fault,
    unix_address_fault,
)
from sandbox.istio.validate.server_tls import check_server_tls
from sandbox.istio.validate.shared import check_selector
from sandbox.istio.validate.traffic_policy import check_connection_pool

_LOCAL: Final = ("", "127.0.0.1", "0.0.0.0", "::1", "::")
_DYNAMIC_DNS_NUMBER: Final = 3
_NOT_UNIQUE: Final = "sidecar: ports on IP bound listeners must be unique"


def validate_sidecar(resource: Resource[Sidecar], findings: Findings) -> None:
    """Every rule about a Sidecar by itself."""
    sidecar = resource.spec
    sound, labelled = check_selector(sidecar.workload_selector, findings)
    if not sound:
        return
    if not labelled and sidecar.workload_selector is not None:
        message = "sidecar: workload selector specified without labels, will be applied to all services in namespace"
        findings.warn(message, sidecar.workload_selector)
    blocks = (sidecar.outbound_traffic_policy, sidecar.inbound_connection_pool)
    if not sidecar.egress and not sidecar.ingress and all(block is None for block in blocks):
        findings.error(
            "sidecar: empty configuration provided", sidecar, hint="list egress hosts, as in ./* and istio-system/*"
        )
        return
    _check_ingress(sidecar, findings)
    check_connection_pool(sidecar.inbound_connection_pool, findings)
    _check_egress(resource, findings)
    if sidecar.outbound_traffic_policy is not None:
        _check_outbound_policy(sidecar.outbound_traffic_policy, findings)


def _check_port(port: SidecarPort, findings: Findings) -> None:
    if port.name:
        findings.check(port_name_fault(port.name), port, "name")
    fault = protocols.protocol_fault(port.protocol)
    findings.check(fault, port, "protocol", hint=protocols.protocol_hint(port.protocol))
    if port.target_port > 0:
        findings.error("targetPort has no impact on Sidecars", port, "target_port")


def _check_ingress(sidecar: Sidecar, findings: Findings) -> None:
    numbers: set[int] = set()
    for listener in sidecar.ingress:
        port = listener.port
        if port is None:
            findings.error("sidecar: port is required for ingress listeners", listener)
            continue
        _check_port(port, findings)
        findings.check(port_fault(port.number), port, "number")
        if listener.bind:
            findings.check(ip_address_fault(listener.bind), listener, "bind")
        if port.number in numbers:
            findings.error(_NOT_UNIQUE, port, "number")
        numbers.add(port.number)
        _check_default_endpoint(listener, findings)
        _check_ingress_tls(listener, port, findings)
        check_connection_pool(listener.connection_pool, findings)
        pool = listener.connection_pool
        if pool is not None and pool.http is not None and not protocols.is_http(port.protocol):
            message = f"sidecar: HTTP connection pool settings for port {port.number} whose protocol is not HTTP"
            findings.warn(message, listener, "connection_pool", hint="only TCP settings will apply")


def _check_default_endpoint(listener: IstioIngressListener, findings: Findings) -> None:
    endpoint = listener.default_endpoint
    if not endpoint:
        return
    if endpoint.startswith(UNIX_PREFIX):
        findings.check(unix_address_fault(endpoint.removeprefix(UNIX_PREFIX)), listener, "default_endpoint")
        return
    host, port = split_host_port(endpoint)
    if host not in _LOCAL:
        message = "sidecar: defaultEndpoint must be 127.0.0.1:port, 0.0.0.0:port, [::1]:port, [::]:port or unix://path"
        findings.error(message, listener, "default_endpoint")
    if not port.isascii() or not port.isdecimal():
        findings.error(f"sidecar: defaultEndpoint port {port!r} is not a number", listener, "default_endpoint")
    else:
        findings.check(port_fault(int(port)), listener, "default_endpoint")


def split_host_port(text: str) -> tuple[str, str]:
    """``host:port`` or ``[v6]:port``; two empty texts for anything else."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    return ("", "") if not colon or ":" in host or "[" in text or "]" in text else (host, port)


def _check_ingress_tls(listener: IstioIngressListener, port: SidecarPort, findings: Findings) -> None:
    tls = listener.tls
    if tls is None:
        return
    for field in ("subject_alt_names", "https_redirect", "credential_name", "credential_names", "tls_certificates"):
        if getattr(tls, field):
            findings.error(f"sidecar: {tls.place.key(field)} is not supported in ingress tls", tls, field)
    if tls.mode in ("ISTIO_MUTUAL", "AUTO_PASSTHROUGH"):
        findings.error(f"sidecar: cannot set mode to {tls.mode} in ingress tls", tls, "mode")
    if not protocols.is_tls(port.protocol):
        findings.error("server cannot have TLS settings for non HTTPS/TLS ports", listener, "tls")
    check_server_tls(tls, findings)


def _check_egress(resource: Resource[Sidecar], findings: Findings) -> None:
    listeners = resource.spec.egress
    taken: set[int | str] = set()
    for listener in listeners:
        port = listener.port
        if port is not None:
            _check_egress_port(port, listener, findings)
            _check_unique(port, listener, taken, findings)
        elif listener is not listeners[-1]:
            message = "sidecar: the egress listener with empty port should be the last listener in the list"
            findings.error(message, listener)
        _check_egress_hosts(listener, resource.namespace, findings)


def _check_unique(port: SidecarPort, listener: IstioEgressListener, taken: set[int | str], findings: Findings) -> None:
    """A port by its number, a socket by its path."""
    key: int | str = port.number or listener.bind
    if key in taken:
        unix = "sidecar: unix domain socket values for listeners must be unique"
        findings.error(_NOT_UNIQUE if port.number else unix, port)
    taken.add(key)


def _check_egress_port(port: SidecarPort, listener: IstioEgressListener, findings: Findings) -> None:
    _check_port(port, findings)
    if port.number:
        findings.check(port_fault(port.number), port, "number")
        if listener.bind:
            findings.check(ip_address_fault(listener.bind), listener, "bind")
        return
    if not listener.bind.startswith(UNIX_PREFIX):
        findings.error("sidecar: ports with 0 value must have a unix domain socket bind address", port, "number")
    else:
        findings.check(unix_address_fault(listener.bind.removeprefix(UNIX_PREFIX)), listener, "bind")
    if listener.capture_mode not in ("DEFAULT", "NONE"):
        message = "sidecar: captureMode must be DEFAULT/NONE for unix domain socket listeners"
        findings.error(message, listener, "capture_mode")


def _check_egress_hosts(listener: IstioEgressListener, own_namespace: str, findings: Findings) -> None:
    if not listener.hosts:
        findings.error("sidecar: egress listener must contain at least one host", listener)
    by_namespace: dict[str, set[str]] = {}
    for index, written in enumerate(listener.hosts):
        namespace, slash, host = written.partition("/")
        if slash and not namespace.startswith("~"):
            known = by_namespace.setdefault(own_namespace if namespace == "." else namespace, set())
            if host in known or "*" in known or (host == "*" and known):
                findings.warn(f"duplicated egress host: {written}", listener, "hosts", index)
            known.add(host)
        for fault in _host_faults(written):
            findings.error(fault, listener, "hosts", index)
    if "*" in by_namespace.get("*", ()) and len(by_namespace) > 1:
        findings.warn("*/* selects all hosts, no other hosts can be added", listener, "hosts")


def _host_faults(written: str) -> list[str]:
    namespace, slash, host = written.partition("/")
    if not slash:
        return [f"host must be of form namespace/dnsName, as in ./{written} or */{written}"]
    faults = []
    if not namespace or not host:
        faults.append("config namespace and dnsName in host entry cannot be empty")
    plain = namespace.removeprefix("~")
    if plain not in ("", "*", ".") and not is_label(plain):
        faults.append(f"invalid namespace value {namespace!r} in sidecar")
    return faults + host_part_faults(host, address_allowed=False)


def _check_outbound_policy(policy: OutboundTrafficPolicy, findings: Findings) -> None:
    if policy.place.value("mode") == _DYNAMIC_DNS_NUMBER:
        findings.error("sidecar: ALLOW_ANY_DYNAMIC_DNS is for the mesh configuration only", policy, "mode")
        return
    proxy = policy.egress_proxy
    if proxy is None:
        return
    if policy.mode != "ALLOW_ANY":
        message = "sidecar: egressProxy must be set only with ALLOW_ANY outboundTrafficPolicy mode"
        findings.error(message, policy, "egress_proxy")
        return
    findings.check(fqdn_fault(proxy.host), proxy, "host")
    if proxy.port is None:
        findings.error("sidecar: egressProxy port must be set", proxy)
        return
    check_destination(proxy, findings)
