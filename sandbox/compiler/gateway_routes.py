"""Route configurations of a gateway: one for each plain HTTP port, one for each terminated HTTPS server.

Source: Istio pilot/pkg/networking/core/gateway.go (``buildGatewayHTTPRouteConfig``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Final

from sandbox.compiler.gateway_ports import can_bind, merged_gateways
from sandbox.compiler.gateways import GatewayServer, MergedGateways
from sandbox.compiler.host_names import intersection, names_for_namespace, specificity
from sandbox.compiler.protocols import parse_protocol
from sandbox.compiler.proxy_headers import HeaderSettings, header_settings
from sandbox.compiler.retries import RetryDefaults, retry_defaults
from sandbox.compiler.routes import RouteContext, build_http_routes, is_catch_all
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import VirtualService
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.route import Route, RouteConfiguration, VirtualHost

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.services import Service
    from sandbox.compiler.sidecar_scope import SidecarScope

MAX_DIRECT_RESPONSE: Final = 1024 * 1024
"""Bytes of a direct response's body (Istio ``DefaultMaxDirectResponseBodySizeBytes``)."""

VirtualServiceResource = Resource[VirtualService]
RouteLists = dict[tuple[str, str, str], tuple[Route, ...]]
"""Routes by gateway, and namespace and name of the VirtualService."""


def build_gateway_routes(push: PushContext, proxy: Proxy) -> dict[str, RouteConfiguration]:
    """The route configurations of a gateway workload, by name: those its listeners refer to."""
    merged = merged_gateways(push, proxy)
    builder = _Builder(
        push=push,
        proxy=proxy,
        scope=push.sidecar_scope(proxy),
        headers=header_settings(proxy.metadata.proxy_config, sidecar_outbound=False),
        retries=retry_defaults(push.mesh),
    )
    return {name: builder.configuration(name, merged.by_route_name[name]) for name in _names(proxy, merged)}


def _names(proxy: Proxy, merged: MergedGateways) -> Iterator[str]:
    for port, group in merged.ports.items():
        if not can_bind(proxy, port.number):
            continue
        if parse_protocol(port.protocol).is_http:
            yield group.route_name
        else:
            yield from (entry.route_name for entry in group.servers if entry.terminates_https)


@dataclass(slots=True)
class _Host:
    """A virtual host being made; several VirtualServices may add to it."""

    name: str
    domains: list[str]
    routes: list[Route] = field(default_factory=list)
    require_tls: bool = False
    reasons: list[Because] = field(default_factory=list)

    def same_routes(self, other: _Host) -> bool:
        """Whether both have the very same routes, so that one virtual host can serve both."""
        return (
            self.require_tls == other.require_tls
            and len(self.routes) == len(other.routes)
            and all(mine is theirs for mine, theirs in zip(self.routes, other.routes, strict=True))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Builder:
    """Makes the route configurations of one gateway workload."""

    push: PushContext
    proxy: Proxy
    scope: SidecarScope
    headers: HeaderSettings
    retries: RetryDefaults

    def configuration(self, name: str, servers: Sequence[GatewayServer]) -> RouteConfiguration:
        hosts: dict[str, _Host] = {}
        routes: RouteLists = {}
        for entry in servers:
            for service in self.push.virtual_services_for_gateway(self.proxy.namespace, entry.gateway_name):
                self._add(entry, service, hosts, routes)
            if entry.redirects_to_https:
                _add_redirects(entry, hosts)
        kept = _collapse(hosts) if self.push.features.enable_route_collapse else hosts.values()
        virtual_hosts = [self._virtual_host(host) for host in kept]
        if not virtual_hosts:
            virtual_hosts = [_black_hole(servers[0])]
            self._report_unrouted(servers)
        return RouteConfiguration(
            name=name,
            virtual_hosts=tuple(sorted(virtual_hosts, key=lambda host: host.name)),
            validate_clusters=False,
            max_direct_response_body_size_bytes=MAX_DIRECT_RESPONSE,
            ignore_port_in_host_matching=True,
            because=tuple(Because("gateway server", entry.server.origin) for entry in servers),
        )

    def _add(
        self, entry: GatewayServer, service: VirtualServiceResource, hosts: dict[str, _Host], routes: RouteLists
    ) -> None:
        """Append a VirtualService's routes to all hosts that it and the server have in common."""
        common = intersection(names_for_namespace(entry.hosts, service.namespace), service.spec.hosts)
        if not common:
            return
        key = (entry.gateway_name, service.namespace, service.name)
        if key not in routes:
            routes[key] = build_http_routes(service, self._context(entry, service))
        if not routes[key]:
            del routes[key]
            return
        for host in (name.lower() for name in common):
            known = hosts.get(host)
            if known is None:
                known = hosts[host] = _new_host(host, entry)
            known.routes.extend(routes[key])
            known.require_tls = known.require_tls or entry.redirects_to_https
            known.reasons.append(Because("virtual service", service.origin))

    def _context(self, entry: GatewayServer, service: VirtualServiceResource) -> RouteContext:
        return RouteContext(
            push=self.push,
            proxy=self.proxy,
            scope=self.scope,
            listen_port=entry.number,
            gateway_names=frozenset({entry.gateway_name}),
            lookup_service=partial(self._lookup, service.namespace),
            retries=self.retries,
            headers=self.headers,
            is_tls=entry.server.tls is not None,
        )

    def _lookup(self, namespace: str, host: str) -> Service | None:
        """The host's service in the VirtualService's own namespace if the gateway may see it, else any it sees."""
        own = self.push.service_of(host, namespace)
        if own is not None and self.push.is_visible(own, self.proxy.namespace):
            return own
        return self.scope.service(host)

    def _report_unrouted(self, servers: Sequence[GatewayServer]) -> None:
        for entry in servers:
            self.push.problems.report(
                "SBX0547",
                f"no http rule of a VirtualService is for this server of gateway {entry.gateway_name}: it answers 404",
                entry.server.origin,
                hint="bind a VirtualService to the gateway, with a rule for one of the server's hosts whose matches, if"
                " they name gateways, name this one",
            )

    def _virtual_host(self, host: _Host) -> VirtualHost:
        return VirtualHost(
            name=host.name,
            domains=tuple(host.domains),
            routes=catch_alls_last(host.routes),
            require_tls="ALL" if host.require_tls else "NONE",
            include_request_attempt_count=self.headers.include_request_attempt_count,
            because=tuple(dict.fromkeys(host.reasons)),
        )


def _new_host(host: str, entry: GatewayServer) -> _Host:
    reasons = [Because("gateway server", entry.server.origin)]
    return _Host(name=domain_name(host, entry.number), domains=[host], reasons=reasons)


def domain_name(host: str, port: int) -> str:
    """``host:port``, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if host.count(":") > 1 else f"{host}:{port}"


def _add_redirects(entry: GatewayServer, hosts: dict[str, _Host]) -> None:
    """Every host of a server with ``httpsRedirect`` redirects, with or without routes."""
    assert entry.server.tls is not None
    line = Because("redirect to https", entry.server.tls.origin_of("https_redirect"))
    for host in (name.lower() for name in entry.hosts):
        if host not in hosts:
            hosts[host] = _new_host(host, entry)
        hosts[host].require_tls = True
        hosts[host].reasons.append(line)


def _collapse(hosts: dict[str, _Host]) -> list[_Host]:
    """Hosts with the same routes become one virtual host, called after the most specific of them."""
    kept: list[_Host] = []
    latest: dict[tuple[int, ...], _Host] = {}
    for name in sorted(hosts, key=specificity):
        host = hosts[name]
        key = tuple(map(id, host.routes))
        other = latest.get(key)
        if other is not None and host.same_routes(other):
            other.domains.extend(host.domains)
            other.reasons.extend(host.reasons)
            continue
        latest[key] = host
        kept.append(host)
    return kept


def catch_alls_last(routes: list[Route]) -> tuple[Route, ...]:
    """Stable: what takes every request comes after all else, as several VirtualServices may have added routes."""
    return tuple(sorted(routes, key=lambda route: route.match is not None and is_catch_all(route.match)))


def _black_hole(entry: GatewayServer) -> VirtualHost:
    return VirtualHost(
        name=domain_name("blackhole", entry.number),
        domains=("*",),
        because=(
            Because("no routes", IstioDefault("a gateway without matching VirtualServices answers 404")),
            Because("gateway server", entry.server.origin),
        ),
    )
