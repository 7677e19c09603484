"""The route configurations of a sidecar: for each port, Unix socket or detected service.

Source: Istio pilot/pkg/networking/core/httproute.go and route/route.go (``BuildSidecarVirtualHostWrapper``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final

from sandbox.compiler.destination_checks import check_destinations
from sandbox.compiler.host_names import is_wildcard, matches
from sandbox.compiler.host_table import HostTable
from sandbox.compiler.names import MESH_GATEWAY, UNIX_PREFIX
from sandbox.compiler.outbound_policy import because_of_egress
from sandbox.compiler.protocols import Protocol, parse_protocol
from sandbox.compiler.proxy_headers import HeaderSettings, header_settings
from sandbox.compiler.retries import RetryDefaults, retry_defaults
from sandbox.compiler.routes import DefaultRoutes, RouteContext, build_http_routes
from sandbox.compiler.services import Resolution
from sandbox.compiler.sidecar_imports import destinations
from sandbox.compiler.virtual_hosts import (
    DomainRegister,
    HostsByDomain,
    catch_all_virtual_host,
    own_domain,
    route_configuration,
    service_domains,
    with_port,
)
from sandbox.compiler.virtual_services_by_host import VirtualServicesByHost
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import VirtualService
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import Listener
from sandbox.plan.route import Route, RouteConfiguration, VirtualHost
from sandbox.yaml_source.span import Origin

if TYPE_CHECKING:
    from sandbox.compiler.plan_parts import PlanParts
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.services import Service, ServicePort
    from sandbox.compiler.sidecar_scope import EgressListener, SidecarScope

HTTP_PORT: Final = 80
"""The port on which VirtualServices work for hosts that are no services."""
_MESH: Final = frozenset({MESH_GATEWAY})
_BY_PORT: Final = Because("route configuration", IstioDefault("all HTTP services of a port share one"))

VirtualServiceResource = Resource[VirtualService]


def build_sidecar_routes(
    push: PushContext, proxy: Proxy, scope: SidecarScope, listeners: Iterable[Listener], parts: PlanParts
) -> Mapping[str, RouteConfiguration]:
    """The route configurations that the listeners name."""
    builder = _RouteConfigurations(
        push=push,
        proxy=proxy,
        scope=scope,
        parts=parts,
        headers=header_settings(proxy.metadata.proxy_config, sidecar_outbound=True),
        retries=retry_defaults(push.mesh),
    )
    for egress in scope.egress_listeners:
        check_destinations(push, proxy, scope, egress.virtual_services)
    return {name: builder.build(name) for name in sorted(set(route_names(listeners)))}


def route_names(listeners: Iterable[Listener]) -> Iterator[str]:
    """The route configurations that listeners refer to."""
    for listener in listeners:
        for manager in (item.typed_config for chain in listener.all_chains for item in chain.filters):
            if isinstance(manager, HttpConnectionManager) and manager.rds is not None:
                yield manager.rds.route_config_name


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """Routes, and the hosts they are for (Istio's ``VirtualHostWrapper``)."""

    port: int
    services: tuple[Service, ...]
    hosts: tuple[str, ...]
    routes: tuple[Route, ...]
    virtual_service: VirtualServiceResource | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class _RouteConfigurations:
    push: PushContext
    proxy: Proxy
    scope: SidecarScope
    parts: PlanParts
    headers: HeaderSettings
    retries: RetryDefaults
    _by_port: dict[int, HostsByDomain] = field(default_factory=dict)
    _ports: dict[int, dict[int, list[tuple[Service, ServicePort]]]] = field(default_factory=dict)

    def build(self, name: str) -> RouteConfiguration:
        """One configuration; tables of a detected service have no catch-all."""
        unix = name.startswith(UNIX_PREFIX)
        host, colon, port_text = name.rpartition(":")
        detected = bool(colon) and not unix
        port = int(port_text) if port_text.isdigit() and not unix else 0
        egress = self.scope.egress_listener_for_routes(port, name)
        seen = (because_of_egress(egress, self.scope),) if egress is not None else ()
        if not detected:
            hosts = sorted(self._virtual_hosts(name, port), key=lambda item: item.name)
            catch_all = catch_all_virtual_host(self.proxy, self.scope, self.headers)
            return route_configuration(name, (*hosts, catch_all), (_BY_PORT, *seen))
        if port not in self._by_port:
            self._by_port[port] = HostsByDomain(self._virtual_hosts(name, port))
        own = self._by_port[port].of_detected(name)
        if len(own) == 1:
            own = [replace(own[0], domains=("*",))]
        because = Because("route configuration", IstioDefault(f"{host} has a listener of its own"))
        return route_configuration(name, tuple(sorted(own, key=lambda item: item.name)), (because, *seen))

    def _virtual_hosts(self, name: str, port: int) -> list[VirtualHost]:
        egress = self.scope.egress_listener_for_routes(port, name)
        if egress is None:
            return []
        written = egress.listener.port if egress.listener is not None else None
        if written is not None and parse_protocol(written.protocol) is Protocol.HTTP_PROXY:
            port = 0
        registry = self._registry(egress, port)
        selected = egress.virtual_services
        if port != HTTP_PORT:
            selected = VirtualServicesByHost.with_any_rules(egress, self.scope).find_any(registry)
        wrappers = [*self._routed(egress, selected, registry, port)]
        for wrapper in wrappers:
            for service in wrapper.services:
                registry.pop(service.host, None)
        wrappers += self._unrouted(registry.values())
        return self._hosts(wrappers, port)

    # --- which services and VirtualServices take part ---

    def _registry(self, egress: EgressListener, port: int) -> dict[str, Service]:
        """Services by host, each reduced to the port; all of them where there is no port."""
        if port == 0:
            return {service.host: service for service in egress.services}
        registry: dict[str, Service] = {}
        for service, service_port in self._services_by_port(egress).get(port, ()):
            registry[service.host.lower()] = self._reduced(service, service_port)
        return registry

    def _services_by_port(self, egress: EgressListener) -> dict[int, list[tuple[Service, ServicePort]]]:
        index = self._ports.get(id(egress))
        if index is None:
            index = {}
            for service in egress.services:
                for number in dict.fromkeys(port.number for port in service.ports):
                    first = service.port(number)
                    assert first is not None
                    index.setdefault(number, []).append((service, first))
            self._ports[id(egress)] = index
        return index

    def _reduced(self, service: Service, port: ServicePort) -> Service:
        host, address = service.host.lower(), service.address_for(self.proxy)
        if len(service.ports) == 1 and host == service.host and address == service.default_address:
            return service
        return self.parts.part(
            ("reduced", id(service), port.number),
            (service, port),
            lambda: replace(
                service,
                host=host,
                ports=(port,),
                default_address=address,
                auto_allocated_ipv4="",
                auto_allocated_ipv6="",
            ),
        )

    # --- routes ---

    def _routed(
        self,
        egress: EgressListener,
        virtual_services: Sequence[VirtualServiceResource],
        registry: Mapping[str, Service],
        port: int,
    ) -> Iterator[_Wrapper]:
        context = RouteContext(
            push=self.push,
            proxy=self.proxy,
            scope=self.scope,
            listen_port=port,
            gateway_names=_MESH,
            lookup_service=registry.get,
            retries=self.retries,
            headers=self.headers,
        )
        table = HostTable(registry)
        for virtual_service in virtual_services:
            routes = self._known_routes(virtual_service, context)
            if not routes:
                continue
            hosts, services = _split_hosts(virtual_service, registry, table, egress.most_specific_virtual_services)
            by_port: dict[int, list[Service]] = {}
            for service in services:
                for service_port in service.ports:
                    if service_port.protocol.is_http or service_port.protocol.is_unsupported:
                        by_port.setdefault(service_port.number, []).append(service)
            if not by_port and port == HTTP_PORT:
                by_port[HTTP_PORT] = []
            for number, found in by_port.items():
                yield _Wrapper(number, tuple(found), hosts, routes, virtual_service)

    def _known_routes(self, virtual_service: VirtualServiceResource, context: RouteContext) -> tuple[Route, ...]:
        """The routes of a VirtualService; made of it, and of the services it sends to."""
        hosts = dict.fromkeys(item.host for item in destinations(virtual_service.spec, ""))
        services = [service for host in hosts for service in (context.lookup_service(host), self.scope.service(host))]
        key = (id(virtual_service), context.listen_port)
        return self.parts.part(key, (virtual_service, *services), lambda: build_http_routes(virtual_service, context))

    def _unrouted(self, services: Iterable[Service]) -> Iterator[_Wrapper]:
        defaults = DefaultRoutes(self.scope, self.proxy, self.retries)
        for service in services:
            if service.resolution is Resolution.ALIAS:
                continue
            for port in service.ports:
                if port.protocol.is_http or port.protocol.is_unsupported:
                    yield _Wrapper(port.number, (service,), (), (defaults.route(service, port),))

    # --- virtual hosts ---

    def _hosts(self, wrappers: Sequence[_Wrapper], listen_port: int) -> list[VirtualHost]:
        known = {
            form
            for wrapper in wrappers
            for service in wrapper.services
            for form in (service.host, with_port(service.host, wrapper.port))
        }
        register = DomainRegister(known)
        found: list[VirtualHost] = []
        for wrapper in wrappers:
            made = [
                host
                for host in self._wrapper_hosts(wrapper, listen_port, register)
                if listen_port == 0 or wrapper.port == listen_port
            ]
            found += made if listen_port or wrapper.port == HTTP_PORT else _with_ports_only(made)
        return found

    def _wrapper_hosts(self, wrapper: _Wrapper, listen_port: int, register: DomainRegister) -> Iterator[VirtualHost]:
        hosts = [(host.lower(), own_domain(host.lower()), None) for host in wrapper.hosts]
        with_form = wrapper.port if listen_port == 0 else 0
        of_services = (
            (service.host, service_domains(self.push, self.proxy, service, with_form), service)
            for service in wrapper.services
        )
        for host, wanted, service in (*hosts, *of_services):
            name = with_port(host, wrapper.port)
            domains = register.take_domains(wanted) if register.take_name(name) else ()
            if not domains:
                self._report_taken(wrapper, host)
                continue
            yield VirtualHost(
                name=name,
                domains=domains,
                routes=wrapper.routes,
                include_request_attempt_count=self.headers.include_request_attempt_count,
                because=_because(wrapper, host, service),
            )

    def _report_taken(self, wrapper: _Wrapper, host: str) -> None:
        if wrapper.virtual_service is None:
            return
        self.push.problems.report(
            "SBX0522",
            f"an older VirtualService already routes {host} for sidecars: this one is ignored for the host",
            _host_line(wrapper.virtual_service, host),
            hint="sidecars do not merge VirtualServices of one host: write the routes into one object",
        )


def _with_ports_only(hosts: Iterable[VirtualHost]) -> list[VirtualHost]:
    """Where all ports share a table, a name without port means port 80."""
    reduced = (replace(host, domains=tuple(domain for domain in host.domains if ":" in domain)) for host in hosts)
    return [host for host in reduced if host.domains]


def _because(wrapper: _Wrapper, host: str, service: Service | None) -> tuple[Because, ...]:
    reasons: list[Because] = []
    if wrapper.virtual_service is not None:
        reasons.append(Because("virtual service", _host_line(wrapper.virtual_service, host)))
    if service is not None:
        port = service.port(wrapper.port)
        line = (port.origin if port is not None else None) or service.origin
        if line is not None:
            reasons.append(Because("service port", line))
    return tuple(reasons) or (_BY_PORT,)


def _host_line(virtual_service: VirtualServiceResource, host: str) -> Origin:
    spec = virtual_service.spec
    fitting = (index for index, pattern in enumerate(spec.hosts) if matches(pattern.lower(), host))
    index = next(fitting, None)
    return spec.origin_of("hosts") if index is None else spec.origin_of("hosts", index)


def _split_hosts(
    virtual_service: VirtualServiceResource,
    registry: Mapping[str, Service],
    table: HostTable,
    most_specific: Mapping[str, tuple[str, str]],
) -> tuple[tuple[str, ...], tuple[Service, ...]]:
    """Hosts that are no services, and services; a pattern gets those for which no other host is more specific."""
    hosts: list[str] = []
    services: dict[str, Service] = {}
    patterns: list[str] = []
    for host in dict.fromkeys(written.lower() for written in virtual_service.spec.hosts):
        if is_wildcard(host):
            patterns.append(host)
        elif host in registry:
            services[host] = registry[host]
        else:
            hosts.append(host)
    own = (virtual_service.namespace, virtual_service.name)
    for pattern in patterns:
        covered = table.fitting(pattern)
        services |= {name: registry[name] for name in covered if most_specific.get(name) == own}
        if not covered:
            hosts.append(pattern)
    return tuple(hosts), tuple(services.values())
