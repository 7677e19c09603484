"""TCP and TLS chains of a gateway: from ``tcp`` routes, from ``tls`` routes, or from every service's SNI name.

Source: Istio pilot/pkg/networking/core/gateway.go (``createGatewayTCPFilterChainOpts``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from typing import Final

from sandbox.compiler import network_filters
from sandbox.compiler.gateway_tls import build_transport_socket
from sandbox.compiler.gateways import GatewayServer
from sandbox.compiler.host_names import matches, subset_of
from sandbox.compiler.listener_builder import ListenerBuilder
from sandbox.compiler.names import outbound_sni
from sandbox.compiler.network_filters import ClusterTarget
from sandbox.compiler.protocols import Protocol
from sandbox.compiler.services import Service, ServicePort
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import (
    L4MatchAttributes,
    RouteDestination,
    TCPRoute,
    TLSMatchAttributes,
    VirtualService,
)
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.listener import Filter
from sandbox.plan.tls import TransportSocket

MESH_ALPNS: Final = ("istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2")
"""What Istio's mutual TLS announces: AUTO_PASSTHROUGH lets nothing else through."""

_AUTO: Final = Because("automatic passthrough", IstioDefault("each service port is reachable by its SNI name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayChain:
    """One filter chain of a gateway before it is one."""

    sni_hosts: tuple[str, ...] = ()
    application_protocols: tuple[str, ...] = ()
    transport_socket: TransportSocket | None = None
    filters: tuple[Filter, ...]
    because: tuple[Because, ...] = ()


@dataclass(slots=True)
class SniHosts:
    """Server names that chains of one port match already, with the bind address of the chain."""

    binds: dict[str, str] = field(default_factory=dict)

    def claim(self, hosts: Sequence[str], bind: str) -> bool:
        """Take the names, unless one of them is taken on the same bind address."""
        if any(self.binds.get(host) == bind for host in hosts):
            return False
        self.binds.update(dict.fromkeys(hosts, bind))
        return True


@dataclass(frozen=True, slots=True)
class GatewayTcpChains:
    """Makes the chains of servers that are not HTTP."""

    builder: ListenerBuilder
    authorization: tuple[Filter, ...]

    def chains(self, entry: GatewayServer, known: SniHosts) -> Iterator[GatewayChain]:
        """The chains of one server, none if no VirtualService routes it."""
        if entry.server.tls is not None and entry.server.tls.mode == "AUTO_PASSTHROUGH":
            yield from self._auto_passthrough(entry)
        elif entry.is_passthrough:
            yield from self._passthrough(entry, known)
        else:
            yield from self._terminated(entry)

    def _terminated(self, entry: GatewayServer) -> Iterator[GatewayChain]:
        """Plain TCP, or TLS that ends here: the first ``tcp`` route that fits takes everything."""
        for service in self._virtual_services(entry):
            route = next((route for route in service.spec.tcp if route.route and _fits(route, entry)), None)
            if route is not None:
                yield GatewayChain(
                    sni_hosts=entry.sni_hosts if entry.server.tls is not None else (),
                    transport_socket=build_transport_socket(entry, self.builder.push),
                    filters=self._routed(route.route, entry, service),
                    because=(_of_server(entry), Because("tcp route", route.origin)),
                )
                return
        self._report_unrouted("tcp", entry)

    def _passthrough(self, entry: GatewayServer, known: SniHosts) -> Iterator[GatewayChain]:
        """A chain for each fitting match of ``tls`` routes; its names are taken as written."""
        is_routed = False
        for service in self._virtual_services(entry):
            for route in service.spec.tls:
                for match in route.match if route.route else ():
                    if not _fits_one(match, entry):
                        continue
                    is_routed = True
                    if not known.claim(match.sni_hosts, entry.server.bind):
                        self._report_taken(match)
                        continue
                    yield GatewayChain(
                        sni_hosts=match.sni_hosts,
                        filters=self._routed(route.route, entry, service),
                        because=(_of_server(entry), Because("tls match", match.origin)),
                    )
        if not is_routed:
            self._report_unrouted("tls", entry)

    def _report_unrouted(self, kind: str, entry: GatewayServer) -> None:
        self.builder.push.problems.report(
            "SBX0542",
            f"no {kind} route of a VirtualService leads on from this server of gateway {entry.gateway_name}",
            entry.server.origin,
            hint=f"bind a VirtualService with a {kind} route to the gateway, for one of the server's hosts",
        )

    def _report_taken(self, match: TLSMatchAttributes) -> None:
        self.builder.push.problems.report(
            "SBX0543",
            f"a chain of this port matches one of {', '.join(match.sni_hosts)} already: the match is ignored",
            match.origin_of("sni_hosts"),
        )

    def _routed(
        self, routes: Sequence[RouteDestination], entry: GatewayServer, virtual_service: Resource[VirtualService]
    ) -> tuple[Filter, ...]:
        port = ServicePort(number=entry.number, protocol=entry.protocol)
        return network_filters.build_routed(self.builder, routes, port, virtual_service, self.authorization)

    def _virtual_services(self, entry: GatewayServer) -> Iterable[Resource[VirtualService]]:
        """Those bound to the gateway that have a host in common with the server."""
        namespace = self.builder.proxy.namespace
        for virtual_service in self.builder.push.virtual_services_for_gateway(namespace, entry.gateway_name):
            if any(_meets(host, virtual_service) for host in entry.hosts):
                yield virtual_service

    def _auto_passthrough(self, entry: GatewayServer) -> Iterator[GatewayChain]:
        """A chain for each port and subset of each service of the mesh, to the cluster that its SNI names."""
        for service in self.builder.scope.services:
            if service.mesh_external or not any(subset_of(service.host, host) for host in entry.sni_hosts):
                continue
            rule = self.builder.scope.destination_rule(self.builder.proxy, service.host)
            subsets = ("", *(subset.name for subset in rule.spec.subsets)) if rule is not None else ("",)
            for port in service.ports:
                if port.protocol is not Protocol.UDP:
                    for subset in subsets:
                        yield self._by_sni(entry, service, port, subset)

    def _by_sni(self, entry: GatewayServer, service: Service, port: ServicePort, subset: str) -> GatewayChain:
        cluster = outbound_sni(service.host, port.number, subset)
        rule = self.builder.scope.destination_rule(self.builder.proxy, service.host)
        spec = rule.spec if rule is not None else None
        because = (_of_server(entry), *service.because, _AUTO)
        target = ClusterTarget(cluster=cluster, subset=subset, rule=spec, tunnel=False, because=because)
        return GatewayChain(
            sni_hosts=(cluster,),
            application_protocols=MESH_ALPNS,
            filters=network_filters.build_single(self.builder, target, port),
            because=because,
        )


def _of_server(entry: GatewayServer) -> Because:
    return Because("gateway server", entry.server.origin)


def _meets(host: str, virtual_service: Resource[VirtualService]) -> bool:
    """Whether a server's host (``ns/host`` or ``host``) is comparable with one of the VirtualService."""
    namespace, slash, name = host.rpartition("/")
    if slash and namespace != virtual_service.namespace:
        return False
    return any(matches(name, other) for other in virtual_service.spec.hosts)


def _fits(route: TCPRoute, entry: GatewayServer) -> bool:
    return not route.match or any(_fits_one(match, entry) for match in route.match)


def _fits_one(match: L4MatchAttributes | TLSMatchAttributes, entry: GatewayServer) -> bool:
    """Port as the server declares it, and gateway; subnets and sources do not count at gateways."""
    return match.port in (0, entry.number) and (not match.gateways or entry.gateway_name in match.gateways)
