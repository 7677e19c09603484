"""Gateways: pods, service ports, secrets and other gateways (istioctl's ``gateway`` analyzers)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime

from sandbox.analysis import messages
from sandbox.analysis.certificates import certificate_validity
from sandbox.analysis.mesh_index import MeshIndex, PodView, selector_text
from sandbox.istio.gateway import Gateway, Server, ServerTLSSettings
from sandbox.istio.kubernetes import Secret
from sandbox.istio.resource import Resource
from sandbox.yaml_source.problems import Problems

_CERTIFICATE_KEYS = (("tls.crt", "tls.key"), ("cert", "key"))
GatewayResource = Resource[Gateway]


def analyze_gateways(index: MeshIndex, problems: Problems) -> None:
    """Each gateway against pods, services, secrets and the other gateways."""
    for gateway in index.each("Gateway"):
        pods = tuple(index.selected(gateway.spec.selector))
        if not pods:
            origin = gateway.spec.origin_of("selector")
            messages.NOT_FOUND.report(problems, origin, "selector", selector_text(gateway.spec.selector))
        else:
            _analyze_ports(gateway, pods, index, problems)
            _analyze_secrets(gateway, pods[0].namespace, index, problems)
        _analyze_conflicts(gateway, index, problems)
        _analyze_certificates(gateway, index, problems)


def _analyze_ports(gateway: GatewayResource, pods: tuple[PodView, ...], index: MeshIndex, problems: Problems) -> None:
    """IST0162: a server's port that no Service of the gateway's pods has, as port or as target port."""
    known = set(_ports_of(pods, index))
    for server in gateway.spec.servers:
        if server.port is not None and server.port.number not in known:
            origin = server.port.origin_of("number")
            values = (server.port.number, selector_text(gateway.spec.selector))
            messages.PORT_NOT_ON_SERVICE.report(problems, origin, *values)


def _ports_of(pods: tuple[PodView, ...], index: MeshIndex) -> Iterator[int]:
    """Ports, and target ports, of the Services that select these pods."""
    services = [
        service
        for pod in pods
        for service in index.each("Service")
        if service.namespace == pod.namespace and service.spec.selector.items() <= pod.labels.items()
    ]
    for port in (port for service in services for port in service.spec.ports if port.protocol == "TCP"):
        yield port.port
        if isinstance(port.target_port, int):
            yield port.target_port


def _analyze_secrets(gateway: GatewayResource, namespace: str, index: MeshIndex, problems: Problems) -> None:
    """IST0101 and IST0161: ``credentialName`` names a Secret beside the gateway's pods, with a certificate in it."""
    for server in gateway.spec.servers:
        name = server.tls.credential_name if server.tls is not None else ""
        if server.tls is None or not name:
            continue
        wanted = tuple(name.split("/", 1)) if "/" in name else (namespace, name)
        secret = next((entry for entry in index.each("Secret") if (entry.namespace, entry.name) == wanted), None)
        origin = server.tls.origin_of("credential_name")
        if secret is None:
            messages.NOT_FOUND.report(problems, origin, "credentialName", name)
        elif not _has_certificate(secret.spec, index.now):
            messages.INVALID_CREDENTIAL.report(problems, origin, gateway.name, namespace)


def _has_certificate(secret: Secret, now: datetime | None) -> bool:
    for chain, key in _CERTIFICATE_KEYS:
        if _value(secret, chain) and _value(secret, key):
            validity = certificate_validity(_value(secret, chain))
            return validity is not None and (now is None or validity.covers(now))
    return False


def _value(secret: Secret, key: str) -> bytes:
    if key in secret.string_data:
        return secret.string_data[key].encode()
    try:
        return base64.b64decode(secret.data.get(key, ""), validate=False)
    except binascii.Error:
        return b""


def _analyze_conflicts(gateway: GatewayResource, index: MeshIndex, problems: Problems) -> None:
    """IST0145: another gateway of the same pods has one of the hosts on the same port and bind address."""
    others = [
        other
        for other in index.each("Gateway")
        if (other.namespace, other.name) != (gateway.namespace, gateway.name) and _same_pods(gateway, other, index)
    ]
    for server in gateway.spec.servers:
        names = sorted({f"{other.namespace}/{other.name}" for other in others if _conflicts(server, other)})
        if names:
            number = server.port.number if server.port is not None else 0
            values = (",".join(names), selector_text(gateway.spec.selector), number, ",".join(server.hosts))
            messages.CONFLICTING_GATEWAYS.report(problems, server.origin, *values)


def _same_pods(gateway: GatewayResource, other: GatewayResource, index: MeshIndex) -> bool:
    mine, theirs = gateway.spec.selector, other.spec.selector
    if mine == theirs:
        return True
    nested = mine.items() <= theirs.items() or theirs.items() <= mine.items()
    return nested and any(True for _ in index.selected({**mine, **theirs}))


def _conflicts(server: Server, other: GatewayResource) -> bool:
    number = server.port.number if server.port is not None else 0
    binds: dict[str, str] = {}
    for candidate in other.spec.servers:
        if candidate.port is not None and candidate.port.number == number:
            binds = dict.fromkeys(candidate.hosts, candidate.bind)
    return any(binds.get(host) == server.bind for host in server.hosts)


def _analyze_certificates(gateway: GatewayResource, index: MeshIndex, problems: Problems) -> None:
    """IST0138: another gateway, of these pods or some of them, shows the same certificate."""
    mine: Mapping[str, str] = gateway.spec.selector
    own = f"{gateway.namespace}/{gateway.name}"
    for other in index.each("Gateway"):
        name = f"{other.namespace}/{other.name}"
        if name == own or not mine.items() <= other.spec.selector.items():
            continue
        for server in gateway.spec.servers:
            for candidate in other.spec.servers:
                if server.tls is not None and candidate.tls is not None and _same(server.tls, candidate.tls):
                    origin = gateway.metadata.origin_of("name")
                    messages.DUPLICATE_CERTIFICATE.report(problems, origin, f"[{own} {name}]")


def _same(mine: ServerTLSSettings, theirs: ServerTLSSettings) -> bool:
    if mine.credential_name or theirs.credential_name:
        return mine.credential_name == theirs.credential_name
    pair = (mine.server_certificate, mine.private_key)
    return all(pair) and pair == (theirs.server_certificate, theirs.private_key)
