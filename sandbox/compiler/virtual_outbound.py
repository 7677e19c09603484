"""The listener that captured connections arrive at, and the one for clients that use the sidecar as an HTTP proxy.

Source: Istio pilot/pkg/networking/core/listener_builder.go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandbox.compiler import http_connection_manager
from sandbox.compiler.filter_chains import ChainOptions
from sandbox.compiler.http_connection_manager import ManagerOptions, sidecar_base
from sandbox.compiler.listener_builder import ListenerBuilder
from sandbox.compiler.listener_conflicts import ListenerEntry, listener_name
from sandbox.compiler.listener_messages import HTTP_INSPECTOR, address_of, finish_listener
from sandbox.compiler.names import BLACK_HOLE_CLUSTER, VIRTUAL_OUTBOUND_LISTENER
from sandbox.compiler.network_filters import TCP_PROXY
from sandbox.compiler.outbound_policy import because_of_policy, catch_all_cluster, is_allow_any_dynamic_dns
from sandbox.compiler.protocols import Protocol
from sandbox.compiler.provenance import written
from sandbox.compiler.services import ServicePort
from sandbox.compiler.virtual_hosts import catch_all_virtual_host, route_configuration
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.http_connection_manager import Http1ProtocolOptions
from sandbox.plan.listener import AdditionalAddress, Filter, FilterChain, FilterChainMatch, Listener, TcpProxy

HTTP_PROXY_ROUTES: Final = "http_proxy"
BLACK_HOLE_CHAIN: Final = "virtualOutbound-blackhole"
CATCH_ALL_CHAIN: Final = "virtualOutbound-catchall-tcp"
_NO_LOOPS: Final = Because(
    "filter chain", IstioDefault("connections to the capture port itself are closed, so that nothing loops")
)
_CAPTURED: Final = Because("listener", IstioDefault("captured connections that no other listener takes"))


def catch_all_filters(builder: ListenerBuilder) -> tuple[Filter, ...]:
    """Unknown connections: to where they wanted, to the Sidecar's egress proxy, or nowhere."""
    cluster = catch_all_cluster(builder.proxy, builder.scope)
    proxy = TcpProxy(
        stat_prefix=cluster,
        cluster=cluster,
        idle_timeout=builder.proxy.metadata.idle_timeout,
        access_log=builder.access_logs.tcp,
        because=(because_of_policy(builder.scope),),
    )
    return (Filter(name=TCP_PROXY, typed_config=proxy),)


def virtual_outbound_listener(builder: ListenerBuilder) -> tuple[Listener, ...]:
    """None where nothing is captured (interception mode NONE)."""
    mode = builder.proxy.metadata.interception_mode
    if mode == "NONE":
        return ()
    mesh = builder.push.mesh
    dynamic = is_allow_any_dynamic_dns(builder.proxy, builder.scope)
    wildcard, *others = builder.proxy.wildcards
    because = (because_of_policy(builder.scope),)
    catch_all = FilterChain(name=CATCH_ALL_CHAIN, filters=catch_all_filters(builder), because=because)
    listener = Listener(
        name=VIRTUAL_OUTBOUND_LISTENER,
        address=address_of(wildcard, mesh.proxy_listen_port),
        additional_addresses=tuple(
            AdditionalAddress(address=address_of(other, mesh.proxy_listen_port))
            for other in (others if builder.proxy.dual_stack else ())
        ),
        transparent=True if mode == "TPROXY" else None,
        use_original_dst=True,
        filter_chains=(
            _black_hole_chain(mesh.proxy_listen_port),
            *((_dynamic_dns_chain(builder),) if dynamic else ()),
            catch_all,
        ),
        listener_filters=(HTTP_INSPECTOR,) if dynamic else (),
        traffic_direction="OUTBOUND",
        access_log=builder.access_logs.listener,
        because=(_CAPTURED, *because),
    )
    return (listener,)


def _black_hole_chain(port: int) -> FilterChain:
    proxy = TcpProxy(stat_prefix=BLACK_HOLE_CLUSTER, cluster=BLACK_HOLE_CLUSTER, because=(_NO_LOOPS,))
    return FilterChain(
        filter_chain_match=FilterChainMatch(destination_port=port),
        filters=(Filter(name=TCP_PROXY, typed_config=proxy),),
        name=BLACK_HOLE_CHAIN,
        because=(_NO_LOOPS,),
    )


def _dynamic_dns_chain(builder: ListenerBuilder) -> FilterChain:
    """Unknown HTTP hosts are resolved and reached (ALLOW_ANY_DYNAMIC_DNS)."""
    because = (because_of_policy(builder.scope),)
    catch_all = catch_all_virtual_host(builder.proxy, builder.scope, builder.headers)
    options = ManagerOptions(
        stat_prefix=f"outbound_{VIRTUAL_OUTBOUND_LISTENER}_allow_any_dynamic_dns;",
        routes=route_configuration(catch_all.name, (catch_all,), because),
        base=sidecar_base(builder),
        because=because,
    )
    return FilterChain(
        filter_chain_match=FilterChainMatch(application_protocols=builder.plaintext_protocols),
        filters=(http_connection_manager.build(builder, options),),
        name=f"{CATCH_ALL_CHAIN}-http",
        because=because,
    )


def http_proxy_listener(builder: ListenerBuilder) -> tuple[Listener, ...]:
    """Where ``proxyHttpPort`` of the mesh, or the proxy's own metadata, asks for it."""
    mesh = builder.push.mesh
    port = builder.proxy.metadata.http_proxy_port or mesh.proxy_http_port
    if not port:
        return ()
    binds = builder.proxy.loopbacks
    because = (written("HTTP proxy port", mesh, "proxy_http_port"),)
    http1 = Http1ProtocolOptions(allow_absolute_url=True, accept_http_10=builder.accept_http_10)
    options = ManagerOptions(
        stat_prefix=f"outbound_{listener_name(binds[0], port)};",
        routes=HTTP_PROXY_ROUTES,
        protocol=Protocol.HTTP_PROXY,
        base=replace(sidecar_base(builder, http1=http1), use_remote_address=False),
        because=because,
    )
    chain = ChainOptions(filters=(http_connection_manager.build(builder, options),), is_http=True, because=because)
    entry = ListenerEntry(
        port=ServicePort(number=port),
        binds=binds,
        bind_to_port=True,
        protocol=Protocol.HTTP_PROXY,
        chains=[chain],
        because=because,
    )
    return (finish_listener(builder, entry, ()),)
