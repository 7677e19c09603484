"""Computes sidecar scopes: which services, VirtualServices and DestinationRules a workload sees.

Source: Istio pilot/pkg/model/sidecar.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.compiler.ages import BEFORE_ALL
from sandbox.compiler.protocols import Protocol, parse_protocol
from sandbox.compiler.services import Service, ServicePort
from sandbox.compiler.sidecar_hosts import ANY_NAMESPACE, HostImports, only_exact, read_imports
from sandbox.compiler.sidecar_scope import EgressListener, OutboundPolicy, SidecarScope
from sandbox.compiler.virtual_services import VirtualServiceResource, most_specific_virtual_services
from sandbox.istio.destination import Destination
from sandbox.istio.resource import Resource
from sandbox.istio.sidecar import IstioEgressListener, Sidecar
from sandbox.istio.virtual_service import VirtualService
from sandbox.plan.because import IstioDefault
from sandbox.yaml_source.problems import Problems

if TYPE_CHECKING:
    from sandbox.compiler.push_context import PushContext

_EVERYTHING = IstioEgressListener(hosts=("*/*",))
_DEFAULT_NAME = "default-sidecar"
ALL_PORTS = 0
"""Stands for a destination without a port: every port of the service."""


def gateway_scope(push: PushContext, namespace: str) -> SidecarScope:
    """What gateways of a namespace see: all that is exported to it, without listeners of their own."""
    merged = _MergedServices(push.problems)
    for service in push.registry.exported_to(namespace):
        merged.add(service)
    listener = EgressListener(listener=None, virtual_services=push.virtual_services.for_gateway(namespace, "mesh"))
    return _with_services(
        push, SidecarScope(name=_DEFAULT_NAME, namespace=namespace, egress_listeners=(listener,)), merged
    )


def sidecar_scope(push: PushContext, sidecar: Resource[Sidecar] | None, namespace: str) -> SidecarScope:
    """What sidecars of a namespace see through a Sidecar resource, or without one."""
    egress = sidecar.spec.egress if sidecar is not None else ()
    listeners = tuple(_egress_listener(push, listener, namespace) for listener in egress or (_EVERYTHING,))
    scope = SidecarScope(
        name=sidecar.name if sidecar is not None else _DEFAULT_NAME,
        namespace=namespace,
        sidecar=sidecar,
        egress_listeners=listeners,
        outbound_policy=_outbound_policy(push, sidecar),
    )
    merged = _MergedServices(push.problems)
    for listener in listeners:
        for service in listener.services:
            merged.add(service)
        for host, ports in _destinations_of(listener.virtual_services, namespace):
            merged.add_destination(_destination_service(push, host, namespace), ports, listener)
    return _with_services(push, scope, merged)


def _outbound_policy(push: PushContext, sidecar: Resource[Sidecar] | None) -> OutboundPolicy | None:
    own = sidecar.spec.outbound_traffic_policy if sidecar is not None else None
    if own is not None:
        return OutboundPolicy(mode=own.mode, policy=own, origin=own.origin)
    of_mesh = push.mesh.outbound_traffic_policy
    if of_mesh is None:
        return None
    default = IstioDefault("the mesh allows unknown destinations (outboundTrafficPolicy ALLOW_ANY)")
    return OutboundPolicy(mode=of_mesh.mode, origin=of_mesh.origin_of("mode") if of_mesh.place else default)


def _with_services(push: PushContext, scope: SidecarScope, merged: _MergedServices) -> SidecarScope:
    scope.services = tuple(merged.by_host.values())
    scope.services_by_host = merged.by_host
    rules = {
        service.host: tuple(push.destination_rules.rules_for(scope.namespace, service.host, service.namespace))
        for service in scope.services
    }
    scope.destination_rules = {host: found for host, found in rules.items() if found}
    return scope


# ---- egress listeners


def _egress_listener(push: PushContext, listener: IstioEgressListener, namespace: str) -> EgressListener:
    imports = read_imports(listener.hosts, namespace)
    port = listener.port
    number = port.number if port is not None and parse_protocol(port.protocol) is not Protocol.HTTP_PROXY else 0
    candidates = (
        _exact_services(push, imports, namespace) if only_exact(imports) else push.registry.exported_to(namespace)
    )
    services = _one_namespace_for_each_host(_imported(candidates, imports, number), namespace, push)
    virtual_services = push.virtual_services.select(namespace, imports)
    return EgressListener(
        listener=None if listener is _EVERYTHING else listener,
        match_port=number != 0,
        services=services,
        virtual_services=virtual_services,
        most_specific_virtual_services=most_specific_virtual_services(virtual_services, services),
    )


def _exact_services(push: PushContext, imports: Mapping[str, HostImports], namespace: str) -> Sequence[Service]:
    """Services looked up by name; of a host at several addresses only the first, as in istiod."""
    found = []
    for wanted, hosts in imports.items():
        for host in hosts.exact:
            service = push.registry.of_host(host).get(wanted)
            if service is not None and push.registry.visibility.visible(service, namespace):
                found.append(service)
    return sorted(found, key=lambda service: (service.creation_time or BEFORE_ALL, service.name, service.namespace))


def _imported(services: Iterable[Service], imports: Mapping[str, HostImports], port: int) -> Iterator[Service]:
    """The services that the hosts import, cut down to the listener's port (0: all ports) and imported aliases."""
    for service in services:
        scopes = [imports[name] for name in (service.namespace, ANY_NAMESPACE) if name in imports]
        if any(scope.excluded(service.host) for scope in scopes):
            continue
        scope = next((scope for scope in scopes if scope.matches(service.host)), None)
        cut = _with_port(service, port) if scope is not None and port else service
        if scope is not None and cut is not None:
            yield _with_aliases(cut, scope)


def _with_aliases(service: Service, scope: HostImports) -> Service:
    aliases = tuple(alias for alias in service.aliases if scope.matches(alias.host))
    return service if len(aliases) == len(service.aliases) else replace(service, aliases=aliases)


def _with_port(service: Service, number: int) -> Service | None:
    """The service with only this port; None without the port."""
    port = service.port(number)
    if port is None:
        return None
    return service if len(service.ports) == 1 else replace(service, ports=(port,))


def _one_namespace_for_each_host(services: Iterable[Service], namespace: str, push: PushContext) -> tuple[Service, ...]:
    """Of a host in several namespaces the client's own, else a Kubernetes Service's, else the first one's."""
    imported = tuple(services)
    chosen: dict[str, Service] = {}
    for service in imported:
        existing = chosen.setdefault(service.host, service)
        if existing is service:
            continue
        better = service.is_kubernetes and not existing.is_kubernetes and push.features.unified_sidecar_scoping
        if service.namespace == namespace or (better and existing.namespace != namespace):
            chosen[service.host] = service
    return tuple(service for service in imported if chosen[service.host].namespace == service.namespace)


# ---- services that VirtualServices send to


def _destinations_of(
    virtual_services: Iterable[VirtualServiceResource], namespace: str
) -> Iterator[tuple[str, frozenset[int]]]:
    for virtual_service in virtual_services:
        ports: dict[str, set[int]] = {}
        for destination in destinations(virtual_service.spec, namespace):
            number = destination.port.number if destination.port is not None else ALL_PORTS
            ports.setdefault(destination.host, set()).add(number)
        for host, numbers in ports.items():
            yield host, frozenset(numbers)


def destinations(spec: VirtualService, namespace: str) -> Iterator[Destination]:
    """Where a VirtualService may send clients of a namespace (empty: any clients) to, mirrors included."""
    for rule in spec.http:
        sources = [match.source_namespace for match in rule.match if match.source_namespace]
        if namespace and sources and namespace not in sources:
            continue
        mirrors = [mirror.destination for mirror in rule.mirrors]
        yield from filter(None, (*(route.destination for route in rule.route), rule.mirror, *mirrors))
    weighted = [route for rules in (spec.tcp, spec.tls) for rule in rules for route in rule.route]
    yield from filter(None, (route.destination for route in weighted))


def _destination_service(push: PushContext, host: str, namespace: str) -> Service | None:
    """The service of a destination: the client's namespace's, else the best one that is visible."""
    by_namespace = push.registry.of_host(host)
    if namespace in by_namespace:
        return by_namespace[namespace]
    visible = [service for service in by_namespace.values() if push.registry.visibility.visible(service, namespace)]
    if not visible:
        return None
    if not push.features.sidecar_pick_best_service_namespace:
        return min(visible, key=lambda service: service.namespace)
    kubernetes = next((service for service in visible if service.is_kubernetes), None)
    return kubernetes or min(visible, key=lambda service: (service.creation_time or BEFORE_ALL, service.namespace))


class _MergedServices:
    """One service for each host; services of the same kind add their ports (``appendSidecarServices``)."""

    def __init__(self, problems: Problems) -> None:
        self.by_host: dict[str, Service] = {}
        self._problems = problems

    def add(self, service: Service) -> None:
        existing = self.by_host.setdefault(service.host, service)
        if existing is service or (existing.is_kubernetes and not service.is_kubernetes):
            return
        if service.is_kubernetes and not existing.is_kubernetes:
            self.by_host[service.host] = service
        else:
            self._add_ports(existing, service, service.ports)

    def add_destination(self, service: Service | None, ports: frozenset[int], listener: EgressListener) -> None:
        """A service that a VirtualService sends to, with the ports it is sent to (all for ``ALL_PORTS``)."""
        if service is None:
            return
        if listener.match_port and listener.listener is not None and listener.listener.port is not None:
            wanted = tuple(port for port in service.ports if port.number == listener.listener.port.number)
        elif ALL_PORTS in ports:
            wanted = service.ports
        else:
            wanted = tuple(port for port in service.ports if port.number in ports)
        if not wanted:
            return
        existing = self.by_host.get(service.host)
        if existing is None or (service.is_kubernetes and not existing.is_kubernetes):
            self.by_host[service.host] = service if wanted == service.ports else replace(service, ports=wanted)
        elif service.is_kubernetes or not existing.is_kubernetes:
            self._add_ports(existing, service, wanted)

    def _add_ports(self, existing: Service, service: Service, ports: tuple[ServicePort, ...]) -> None:
        known = {port.number for port in existing.ports}
        added = tuple(port for port in ports if port.number not in known)
        if added and _mergeable(existing, service):
            self.by_host[existing.host] = replace(existing, ports=existing.ports + added)
        elif added:
            self._report_ignored(existing, service, added)

    def _report_ignored(self, existing: Service, service: Service, ports: tuple[ServicePort, ...]) -> None:
        numbers = ", ".join(str(port.number) for port in ports)
        older = existing.origin.resource if existing.origin is not None else f"{existing.namespace}/{existing.name}"
        self._problems.report(
            "SBX0404",
            f"{service.host} has no clusters for port {numbers}: {older} has this host, too, and comes first",
            ports[0].origin,
            hint="objects for one host add up only with the same namespace, resolution, labels and exportTo",
            severity="warning",
        )


def _mergeable(one: Service, other: Service) -> bool:
    return (
        one.namespace == other.namespace
        and one.resolution is other.resolution
        and one.registry is other.registry
        and one.labels == other.labels
        and one.label_selectors == other.label_selectors
        and one.export_to == other.export_to
    )
