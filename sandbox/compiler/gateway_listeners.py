"""Listeners of a gateway: one for each port and bind address, with a chain for each server or route.

Source: Istio pilot/pkg/networking/core/gateway.go (``buildGatewayListeners``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sandbox.compiler import http_connection_manager
from sandbox.compiler.authorization import AuthorizationFilters, build_authorization
from sandbox.compiler.gateway_chains import GatewayChain, GatewayTcpChains, SniHosts
from sandbox.compiler.gateway_ports import can_bind, merged_gateways
from sandbox.compiler.gateway_tls import build_transport_socket
from sandbox.compiler.gateways import GatewayServer, PortServers, ServerPort
from sandbox.compiler.http_connection_manager import ManagerOptions
from sandbox.compiler.listener_builder import ListenerBuilder, new_listener_builder
from sandbox.compiler.listener_messages import TLS_INSPECTOR, address_of
from sandbox.compiler.protocols import Protocol, parse_protocol
from sandbox.compiler.request_authentication import build_request_authentication
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.proxy_config import Topology
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.http_connection_manager import (
    Http1ProtocolOptions,
    HttpConnectionManager,
    HttpFilter,
    SetCurrentClientCertDetails,
)
from sandbox.plan.listener import (
    AdditionalAddress,
    Filter,
    FilterChain,
    FilterChainMatch,
    Listener,
    ListenerFilter,
    ProxyProtocol,
)
from sandbox.plan.tls import DownstreamTlsContext

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

PROXY_PROTOCOL: Final = ListenerFilter(name="envoy.filters.listener.proxy_protocol", typed_config=ProxyProtocol())
_CERT_DETAILS: Final = SetCurrentClientCertDetails(subject=True, cert=True, dns=True, uri=True)
_SHOWS_CERTIFICATE: Final = frozenset({"APPEND_FORWARD", "SANITIZE_SET"})
_NO_TOPOLOGY: Final = Topology()


def build_gateway_listeners(push: PushContext, proxy: Proxy) -> tuple[Listener, ...]:
    """The listeners of a gateway workload, in the order of its ports."""
    builder = new_listener_builder(push, proxy, push.sidecar_scope(proxy))
    authorization = build_authorization(push, proxy)
    chains = _Chains(
        builder=builder,
        authorization=authorization,
        http_filters=(
            *authorization.custom_http,
            *build_request_authentication(push, proxy),
            *authorization.http,
        ),
        tcp=GatewayTcpChains(builder, (*authorization.custom_tcp, *authorization.tcp)),
        base=_connection_manager(builder),
    )
    by_name: dict[str, _ListenerChains] = {}
    sni_hosts: dict[int, SniHosts] = {}
    for port, group in merged_gateways(push, proxy).ports.items():
        if not can_bind(proxy, port.number):
            _report_privileged(push, group, port)
            continue
        bind = port.bind or _wildcard(proxy)
        extra = proxy.wildcards[1:] if proxy.dual_stack and not port.bind else ()
        listener = by_name.setdefault(f"{bind}_{port.number}", _ListenerChains(bind, extra, port, [], []))
        known = sni_hosts.setdefault(port.number, SniHosts())
        listener.chains.extend(chains.of_port(port, group, f"{bind}_{port.number}", known))
        listener.servers.extend(group.servers)
    listeners = [_listener(builder, name, found) for name, found in by_name.items() if found.chains]
    return tuple(listeners)


def _wildcard(proxy: Proxy) -> str:
    """The address that stands for all, of the proxy's first family."""
    return "0.0.0.0" if proxy.supports_ipv4 or not proxy.supports_ipv6 else "::"


@dataclass(slots=True)
class _ListenerChains:
    """What gathers under one listener's name."""

    bind: str
    extra_binds: tuple[str, ...]
    port: ServerPort
    chains: list[GatewayChain]
    servers: list[GatewayServer]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chains:
    """Makes the chains of the servers of one gateway workload."""

    builder: ListenerBuilder
    authorization: AuthorizationFilters
    http_filters: tuple[HttpFilter, ...]
    tcp: GatewayTcpChains
    base: HttpConnectionManager

    def of_port(
        self, port: ServerPort, group: PortServers, listener_name: str, known: SniHosts
    ) -> Iterable[GatewayChain]:
        """The chains of one group of servers; plain HTTP servers share one."""
        protocol = parse_protocol(port.protocol)
        if protocol.is_http:
            manager = self._manager(group.servers, group.route_name, protocol, f"outbound_{listener_name};")
            reasons = tuple(Because("gateway server", entry.server.origin) for entry in group.servers)
            yield GatewayChain(filters=(manager,), because=reasons)
            return
        for entry in group.servers:
            if entry.terminates_https:
                yield self._https(entry, listener_name)
            else:
                yield from self.tcp.chains(entry, known)

    def _https(self, entry: GatewayServer, listener_name: str) -> GatewayChain:
        prefix = entry.server.name or f"outbound_{listener_name};"
        return GatewayChain(
            sni_hosts=entry.sni_hosts,
            transport_socket=build_transport_socket(entry, self.builder.push),
            filters=(self._manager([entry], entry.route_name, entry.protocol, prefix),),
            because=(Because("gateway server", entry.server.origin),),
        )

    def _manager(self, servers: list[GatewayServer], route_name: str, protocol: Protocol, stat_prefix: str) -> Filter:
        options = ManagerOptions(
            stat_prefix=stat_prefix,
            routes=route_name,
            protocol=protocol,
            base=self.base,
            before_cors=self.http_filters,
            because=(
                *(Because("gateway server", entry.server.origin) for entry in servers),
                *self.authorization.because,
            ),
        )
        return http_connection_manager.build(self.builder, options)


def _connection_manager(builder: ListenerBuilder) -> HttpConnectionManager:
    """What a gateway's connection managers start from: the edge trusts addresses, not headers."""
    topology = builder.proxy.metadata.proxy_config.gateway_topology or _NO_TOPOLOGY
    details = topology.forward_client_cert_details
    details = "SANITIZE_SET" if details == "UNDEFINED" else details
    return HttpConnectionManager(
        xff_num_trusted_hops=topology.num_trusted_proxies,
        forward_client_cert_details=details,
        set_current_client_cert_details=_CERT_DETAILS if details in _SHOWS_CERTIFICATE else None,
        server_name=builder.headers.server_name,
        server_header_transformation=builder.headers.server_header_transformation,
        generate_request_id=builder.headers.generate_request_id,
        http_protocol_options=Http1ProtocolOptions(accept_http_10=True) if builder.accept_http_10 else None,
        use_remote_address=True,
    )


def _listener(builder: ListenerBuilder, name: str, found: _ListenerChains) -> Listener:
    settings = builder.connection_settings
    limit = settings.listener_per_connection_buffer_limit_bytes if settings is not None else None
    handshake = builder.push.features.transport_socket_connect_timeout
    return Listener(
        name=name,
        address=address_of(found.bind, found.port.number),
        additional_addresses=tuple(
            AdditionalAddress(address=address_of(bind, found.port.number)) for bind in found.extra_binds
        ),
        filter_chains=tuple(_filter_chain(chain, handshake) for chain in found.chains),
        listener_filters=_listener_filters(builder, found.chains),
        traffic_direction="OUTBOUND",
        access_log=builder.access_logs.listener,
        per_connection_buffer_limit_bytes=limit if limit is not None and limit >= 0 else None,
        because=tuple(Because("gateway server", entry.server.origin) for entry in found.servers),
    )


def _listener_filters(builder: ListenerBuilder, chains: list[GatewayChain]) -> tuple[ListenerFilter, ...]:
    topology = builder.proxy.metadata.proxy_config.gateway_topology or _NO_TOPOLOGY
    filters = (PROXY_PROTOCOL,) if topology.proxy_protocol is not None else ()
    return (*filters, TLS_INSPECTOR) if any(chain.sni_hosts or _has_alpn(chain) for chain in chains) else filters


def _has_alpn(chain: GatewayChain) -> bool:
    context = chain.transport_socket.typed_config if chain.transport_socket is not None else None
    if not isinstance(context, DownstreamTlsContext) or context.common_tls_context is None:
        return False
    return bool(context.common_tls_context.alpn_protocols)


def _filter_chain(chain: GatewayChain, handshake: timedelta | None) -> FilterChain:
    names = () if "*" in chain.sni_hosts else tuple(sorted(chain.sni_hosts))
    match = FilterChainMatch(server_names=names, application_protocols=chain.application_protocols)
    return FilterChain(
        filter_chain_match=match if match != FilterChainMatch() else None,
        filters=chain.filters,
        transport_socket=chain.transport_socket,
        transport_socket_connect_timeout=handshake,
        because=chain.because or (Because("filter chain", IstioDefault("a gateway's server has a filter chain")),),
    )


def _report_privileged(push: PushContext, group: PortServers, port: ServerPort) -> None:
    for entry in group.servers:
        push.problems.report(
            "SBX0504",
            f"port {port.number} is below 1024, which an unprivileged gateway cannot bind: the server is ignored",
            entry.server.origin_of("port"),
            hint="let a Service with this port and a higher targetPort select the gateway's pods",
        )
