"""A sidecar's outbound listeners: which addresses and ports, and the chains on each.

Source: Istio pilot/pkg/networking/core/listener.go (``buildSidecarOutboundListeners``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from sandbox.compiler import http_connection_manager
from sandbox.compiler.filter_chains import ChainOptions, TcpChainRequest, build_tcp_chains
from sandbox.compiler.http_connection_manager import ManagerOptions, sidecar_base
from sandbox.compiler.listener_builder import ListenerBuilder, new_listener_builder
from sandbox.compiler.listener_conflicts import (
    Conflict,
    ListenerEntry,
    conflict_with,
    is_kept_apart,
    listener_name,
    merge_chains,
    protocol_class,
    report_untold,
)
from sandbox.compiler.listener_messages import finish_listener
from sandbox.compiler.names import UNIX_PREFIX, UNSPECIFIED_IP
from sandbox.compiler.outbound_policy import because_of_egress
from sandbox.compiler.protocols import Protocol, parse_protocol
from sandbox.compiler.proxy import is_ip_address
from sandbox.compiler.services import Registry, Resolution, ServicePort
from sandbox.compiler.virtual_outbound import catch_all_filters, http_proxy_listener, virtual_outbound_listener
from sandbox.compiler.virtual_services_by_host import VirtualServicesByHost
from sandbox.frozen_dataclass import dataclass
from sandbox.plan.because import Because
from sandbox.plan.listener import Filter, Listener

if TYPE_CHECKING:
    from sandbox.compiler.plan_parts import PlanParts
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.services import Service
    from sandbox.compiler.sidecar_scope import EgressListener, SidecarScope

_PRIVILEGED_PORTS: Final = range(1, 1024)
_RAW_BUFFER: Final = "raw_buffer"

ListenerKey = tuple[str, int]


def build_sidecar_listeners(
    push: PushContext, proxy: Proxy, scope: SidecarScope, parts: PlanParts
) -> tuple[Listener, ...]:
    """Outbound listeners, the HTTP proxy's, and the one that captured connections arrive at, in istiod's order."""
    if not push.mesh.proxy_listen_port:
        return ()
    builder = new_listener_builder(push, proxy, scope)
    builder = replace(
        builder,
        access_logs=parts.settled("access logs", builder.access_logs),
        tracing=parts.settled("tracing", builder.tracing),
    )
    outbound = _OutboundListeners(builder, parts)
    for egress in scope.egress_listeners:
        outbound.add_egress_listener(egress)
    fallback = parts.part("fallback", (), lambda: catch_all_filters(builder))
    for entry in outbound.entries.values():
        report_untold(entry, push.problems)
    return (
        *(_finished(builder, parts, entry, fallback) for entry in outbound.entries.values()),
        *http_proxy_listener(builder),
        *virtual_outbound_listener(builder),
    )


def _finished(
    builder: ListenerBuilder, parts: PlanParts, entry: ListenerEntry, fallback: tuple[Filter, ...]
) -> Listener:
    """The listener of an entry; the same chains of the same port make the same one."""
    key = ("listener", entry.binds, entry.bind_to_port, entry.port.number)
    return parts.part(key, (entry.port, *entry.chains), lambda: finish_listener(builder, entry, fallback))


class _Request(NamedTuple):
    """One service port that wants a listener."""

    service: Service
    port: ServicePort
    binds: tuple[str, ...]
    """Empty while the service's address decides."""
    bind_to_port: bool
    virtual_services: VirtualServicesByHost
    because: tuple[Because, ...]
    cidrs: tuple[str, ...] = ()
    pod_cidrs: bool = False

    @property
    def bind(self) -> str:
        return self.binds[0] if self.binds else ""


@dataclass(slots=True, eq=False)
class _OutboundListeners:
    """The listeners found so far, by address and port."""

    builder: ListenerBuilder
    parts: PlanParts
    entries: dict[ListenerKey, ListenerEntry] = field(default_factory=dict)

    @property
    def wildcard(self) -> str:
        """The address that stands for all of the proxy's main family."""
        return self.builder.proxy.wildcards[0]

    def add_egress_listener(self, egress: EgressListener) -> None:
        """The listeners of one egress listener of the Sidecar, or of the built-in one."""
        port = egress.listener.port if egress.listener is not None else None
        if port is None:
            for entry in self.entries.values():
                entry.locked = True
            requests = self._catch_all_requests(egress)
        else:
            number = ServicePort(
                number=port.number, name=port.name, protocol=parse_protocol(port.protocol), origin=port.origin
            )
            requests = self._port_requests(egress, number)
        for request in requests:
            self._add(request)

    def _template(self, egress: EgressListener, service: Service, port: ServicePort) -> _Request:
        listener = egress.listener
        bind_to_port = self.builder.proxy.metadata.interception_mode == "NONE"
        binds: tuple[str, ...] = ()
        if listener is not None:
            binds = (listener.bind,) if listener.bind else ()
            bind_to_port = bind_to_port or listener.capture_mode == "NONE" or listener.bind.startswith(UNIX_PREFIX)
        if not binds and bind_to_port:
            binds = self.builder.proxy.loopbacks
        return _Request(
            service=service,
            port=port,
            binds=binds,
            bind_to_port=bind_to_port,
            virtual_services=VirtualServicesByHost.with_l4_rules(egress, self.builder.scope),
            because=(because_of_egress(egress, self.builder.scope),),
        )

    def _port_requests(self, egress: EgressListener, port: ServicePort) -> Iterator[_Request]:
        for service in egress.services:
            template = self._template(egress, service, port)
            if not self._can_bind(template):
                return
            yield template

    def _catch_all_requests(self, egress: EgressListener) -> Iterator[_Request]:
        if not egress.services:
            return
        template = self._template(egress, egress.services[0], ServicePort(number=0))
        for service in egress.services:
            for port in service.ports:
                request = template._replace(service=service, port=port)
                if self._can_bind(request):
                    yield from self._by_endpoint(request)

    def _by_endpoint(self, request: _Request) -> Iterator[_Request]:
        """A headless service's TCP ports get a listener for each endpoint."""
        service, port, proxy = request.service, request.port, self.builder.proxy
        headless = (
            not request.binds
            and service.resolution is Resolution.PASSTHROUGH
            and (port.protocol.is_tcp or port.protocol.is_unsupported)
            and service.address_for(proxy) == UNSPECIFIED_IP
        )
        if not headless:
            yield request
            return
        endpoints = self.builder.push.endpoints_of(service, port.number)
        if not endpoints and not service.is_kubernetes and not service.label_selectors:
            yield request
            return
        one_listener = self.builder.push.features.enable_headless_filter_chain_listener and port.protocol.is_tcp
        for endpoint in endpoints:
            addresses = endpoint.addresses
            if not all(map(is_ip_address, addresses)) or addresses[:1] == proxy.ip_addresses[:1]:
                continue
            if one_listener:
                yield request._replace(binds=proxy.wildcards, cidrs=addresses, pod_cidrs=True)
            else:
                yield request._replace(binds=addresses)

    def _can_bind(self, request: _Request) -> bool:
        """Whether the port is free for services; what is not so is told."""
        metadata, mesh, number = self.builder.proxy.metadata, self.builder.push.mesh, request.port.number
        where = request.port.origin or request.service.origin
        if request.bind_to_port and metadata.unprivileged and number in _PRIVILEGED_PORTS:
            message = f"the proxy cannot bind port {number}: {request.service.host} has no listener there"
            self.builder.push.problems.report("SBX0504", message, where, hint="ports below 1024 need privileges")
            return False
        on_wildcard = request.bind == self.wildcard if request.binds else request.port.protocol.is_http
        reserved = (
            mesh.proxy_listen_port,
            mesh.proxy_inbound_listen_port,
            metadata.envoy_status_port,
            metadata.envoy_prometheus_port,
        )
        if not on_wildcard or number not in reserved:
            return True
        message = f"port {number} is the proxy's own: {request.service.host} has no listener there"
        self.builder.push.problems.report("SBX0502", message, where)
        return False

    def _add(self, request: _Request) -> None:
        kind = protocol_class(request.port.protocol)
        if not kind or request.service.resolution is Resolution.ALIAS:
            return
        request = self._with_address(request, kind)
        key = (request.bind, request.port.number)
        existing = self.entries.get(key)
        if existing is not None and existing.locked:
            return
        conflict = conflict_with(existing, request.port.protocol)
        if conflict is Conflict.IGNORED:
            return
        if existing is not None and is_kept_apart(existing, request.port.protocol, conflict):
            self._report_kept_apart(request, existing)
            return
        chains = self._known_chains(request, kind, conflict)
        if existing is None or conflict in (Conflict.NONE, Conflict.AUTO_OVER_HTTP):
            self.entries[key] = self._new_entry(request, kind, chains)
        else:
            merge_chains(existing, chains, conflict, request.service, self.builder.push.problems)

    def _report_kept_apart(self, request: _Request, existing: ListenerEntry) -> None:
        self.builder.push.problems.report(
            "SBX0503",
            f"{request.service.host} ({request.port.protocol.value}) cannot share {existing.name}"
            f" with {existing.protocol.value}: it has no listener there",
            request.port.origin or request.service.origin,
            hint="Mongo and MySQL wait for the server to speak first; give the service its own address",
        )

    def _new_entry(self, request: _Request, kind: str, chains: tuple[ChainOptions, ...]) -> ListenerEntry:
        """HTTP on the wildcard address has to be detected, as unknown TCP traffic passes there as well."""
        protocol = request.port.protocol
        detected = kind == "HTTP" and protocol is not Protocol.HTTP_PROXY and request.bind == self.wildcard
        line = request.port.origin or request.service.origin
        return ListenerEntry(
            port=request.port,
            binds=request.binds,
            bind_to_port=request.bind_to_port,
            protocol=Protocol.UNSUPPORTED if detected else protocol,
            chains=list(chains),
            because=(*((Because("service port", line),) if line is not None else ()), *request.because),
        )

    def _with_address(self, request: _Request, kind: str) -> _Request:
        """Without an explicit bind: the wildcard for HTTP, the service's address for everything else."""
        if request.binds:
            return request
        if kind == "HTTP":
            return request._replace(binds=self.builder.proxy.wildcards)
        service, proxy = request.service, self.builder.proxy
        address = service.address_for(proxy)
        extra = service.extra_addresses_for(proxy)
        if address == UNSPECIFIED_IP and service.registry is Registry.EXTERNAL:
            address, extra = proxy.wildcards[0], (*extra, *proxy.wildcards[1:])
        if "/" in address:
            return request._replace(binds=proxy.wildcards, cidrs=(address, *extra))
        return request._replace(binds=(address, *extra))

    def _known_chains(self, request: _Request, kind: str, conflict: Conflict) -> tuple[ChainOptions, ...]:
        """Chains that nothing but the service decides are made once."""
        service, port = request.service, request.port
        if request.virtual_services.find(service.host):
            return self._chains(request, kind, conflict)
        key = (id(service), id(port), request.binds, request.cidrs, request.pod_cidrs, conflict.value)
        return self.parts.part(key, (service, port), lambda: self._chains(request, kind, conflict))

    def _chains(self, request: _Request, kind: str, conflict: Conflict) -> tuple[ChainOptions, ...]:
        if kind == "HTTP":
            detect = request.bind == self.wildcard and request.port.protocol is not Protocol.HTTP_PROXY
            return (self._http_chain(request, str(request.port.number), detect=detect),)
        tcp = build_tcp_chains(
            TcpChainRequest(
                builder=self.builder,
                service=request.service,
                port=request.port,
                bind=request.bind,
                cidrs=request.cidrs,
                virtual_services=request.virtual_services.find(request.service.host),
                pod_cidrs=request.pod_cidrs,
            )
        )
        if kind == "TCP" or conflict is Conflict.AUTO_OVER_AUTO:
            return tcp
        alone = request.bind != self.wildcard
        routes = f"{request.service.host}:{request.port.number}" if alone else str(request.port.number)
        return (*tcp, self._http_chain(request, routes, detect=True))

    def _http_chain(self, request: _Request, routes: str, *, detect: bool) -> ChainOptions:
        """To a connection manager; only for what is HTTP, where it has to be detected."""
        line = request.port.origin or request.service.origin
        because = (Because("service port", line),) if line is not None else ()
        options = ManagerOptions(
            stat_prefix=f"outbound_{listener_name(request.bind, request.port.number)};",
            routes=routes if request.port.number else request.bind,
            protocol=request.port.protocol,
            base=sidecar_base(self.builder),
            policy_service=request.service,
            because=because,
        )
        return ChainOptions(
            application_protocols=self.builder.plaintext_protocols if detect else (),
            transport_protocol=_RAW_BUFFER if detect else "",
            filters=(http_connection_manager.build(self.builder, options),),
            is_http=True,
            because=(*because, *request.because),
        )
