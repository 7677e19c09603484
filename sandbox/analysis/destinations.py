"""Where VirtualServices send to: hosts, ports and subsets that exist (istioctl's ``virtualservice`` analyzers)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sandbox.analysis import messages
from sandbox.analysis.mesh_index import KnownHost, MeshIndex, service_key
from sandbox.istio.destination import Destination
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import VirtualService
from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.span import Origin


class Sent(NamedTuple):
    """One destination in a VirtualService, and where it is written; a route may have forgotten it."""

    destination: Destination
    is_mirror: bool
    origin: Origin


def analyze_destinations(index: MeshIndex, problems: Problems) -> None:
    """IST0101 for unknown hosts, ports and subsets; IST0112 for a missing port; IST0140 for a subset in vain."""
    subsets = {
        (service_key(rule.spec.host, rule.namespace), subset.name)
        for rule in index.each("DestinationRule")
        for subset in rule.spec.subsets
    }
    for virtual_service in index.each("VirtualService"):
        for sent in destinations_of(virtual_service.spec):
            _check_host(virtual_service, sent, index, problems)
            _check_subset(virtual_service, sent, subsets, problems)
    _analyze_subsets_in_vain(index, problems)


def destinations_of(spec: VirtualService) -> Iterator[Sent]:
    """All of them, mirrors last."""
    for rules in (spec.tcp, spec.tls, spec.http):
        for rule in rules:
            for route in rule.route:
                if route.destination is None:
                    yield Sent(Destination(), False, route.origin)
                else:
                    yield Sent(route.destination, False, route.destination.origin_of("host"))
    for http in spec.http:
        mirrors = [http.mirror, *(mirror.destination for mirror in http.mirrors)]
        yield from (Sent(mirror, True, mirror.origin_of("host")) for mirror in mirrors if mirror is not None)


def _check_host(virtual_service: Resource[VirtualService], sent: Sent, index: MeshIndex, problems: Problems) -> None:
    host = sent.destination.host
    known = index.destination(virtual_service.namespace, virtual_service.spec.export_to, host)
    if known is None:
        messages.NOT_FOUND.report(problems, sent.origin, "mirror host" if sent.is_mirror else "host", host)
    else:
        _check_port(sent, known, problems)


def _check_port(sent: Sent, known: KnownHost, problems: Problems) -> None:
    host, port = sent.destination.host, sent.destination.port
    if port is None:
        if len(known.ports) > 1:
            ports = " ".join(map(str, known.ports))
            messages.PORT_REQUIRED.report(problems, sent.origin, host, f"[{ports}]")
    elif port.number not in known.ports:
        messages.NOT_FOUND.report(problems, sent.origin, "host:port", f"{host}:{port.number}")


def _check_subset(
    virtual_service: Resource[VirtualService], sent: Sent, subsets: set[tuple[tuple[str, str], str]], problems: Problems
) -> None:
    destination = sent.destination
    if not destination.subset:
        return
    if (service_key(destination.host, virtual_service.namespace), destination.subset) not in subsets:
        what = "mirror+subset in destinationrule" if sent.is_mirror else "host+subset in destinationrule"
        origin = destination.origin_of("subset")
        messages.NOT_FOUND.report(problems, origin, what, f"{destination.host}+{destination.subset}")


def _analyze_subsets_in_vain(index: MeshIndex, problems: Problems) -> None:
    """A gateway's VirtualService sends to a host for which another one chooses subsets."""
    sent = list(_sent_by_http(index))
    choosing = [
        (other, destination.host)
        for other, destination in sent
        if destination.subset and destination.host in other.spec.hosts
    ]
    for virtual_service, destination in sent:
        if not virtual_service.spec.gateways or destination.subset:
            continue
        for other in (other for other, host in choosing if host == destination.host):
            names = (f"{other.namespace}/{other.name}", f"{virtual_service.namespace}/{virtual_service.name}")
            messages.SUBSET_WITHOUT_EFFECT.report(problems, destination.origin_of("host"), *names)


def _sent_by_http(index: MeshIndex) -> Iterator[tuple[Resource[VirtualService], Destination]]:
    for virtual_service in index.each("VirtualService"):
        for rule in virtual_service.spec.http:
            for route in rule.route:
                if route.destination is not None:
                    yield virtual_service, route.destination
