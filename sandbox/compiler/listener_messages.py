"""Listener entries as listeners: inspectors, time-outs, which chain is the default one.

Source: Istio pilot/pkg/networking/core/listener.go (``buildListenerFromEntry``, ``toFilterChainMatch``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sandbox.compiler.filter_chains import ChainOptions
from sandbox.compiler.listener_builder import ListenerBuilder
from sandbox.compiler.listener_conflicts import ListenerEntry
from sandbox.compiler.names import PASSTHROUGH_FILTER_CHAIN, UNIX_PREFIX, UNSPECIFIED_IP
from sandbox.compiler.network_filters import SNI_DYNAMIC_FORWARD_PROXY
from sandbox.compiler.outbound_policy import because_of_policy
from sandbox.plan.base import Address, CidrRange, Pipe, SocketAddress
from sandbox.plan.listener import (
    AdditionalAddress,
    Filter,
    FilterChain,
    FilterChainMatch,
    HttpInspector,
    Listener,
    ListenerFilter,
    TlsInspector,
)

TLS_INSPECTOR: Final = ListenerFilter(name="envoy.filters.listener.tls_inspector", typed_config=TlsInspector())
HTTP_INSPECTOR: Final = ListenerFilter(name="envoy.filters.listener.http_inspector", typed_config=HttpInspector())
_FOREVER: Final = timedelta(0)


def address_of(bind: str, port: int) -> Address:
    """A socket address; whatever has no port is the path of a Unix socket (``BuildNetworkAddress``)."""
    return SocketAddress(address=bind, port_value=port) if port else Pipe(path=bind.removeprefix(UNIX_PREFIX))


def finish_listener(builder: ListenerBuilder, entry: ListenerEntry, fallback: tuple[Filter, ...]) -> Listener:
    """A chain for everything becomes the default chain; without one, unknown traffic takes the fallback."""
    inspectors = _inspectors(entry.chains)
    handshake = builder.push.features.transport_socket_connect_timeout
    chains = [filter_chain(chain, handshake) for chain in entry.chains if not chain.is_match_all]
    default = next((filter_chain(chain, handshake) for chain in reversed(entry.chains) if chain.is_match_all), None)
    if default is not None and not chains:
        chains, default = [default], None
    elif default is None:
        default = _fallback_chain(builder, fallback)
    port = entry.port.number
    detects = HTTP_INSPECTOR in inspectors
    return Listener(
        name=entry.name,
        address=address_of(entry.binds[0], port),
        additional_addresses=tuple(AdditionalAddress(address=address_of(bind, port)) for bind in entry.binds[1:]),
        filter_chains=tuple(chains),
        default_filter_chain=default,
        bind_to_port=None if entry.bind_to_port else False,
        listener_filters=inspectors,
        listener_filters_timeout=builder.push.mesh.protocol_detection_timeout if detects else _FOREVER,
        continue_on_listener_filters_timeout=True,
        traffic_direction="OUTBOUND",
        because=entry.because,
    )


def _fallback_chain(builder: ListenerBuilder, fallback: tuple[Filter, ...]) -> FilterChain:
    because = (because_of_policy(builder.scope),)
    return FilterChain(
        filter_chain_match=FilterChainMatch(), name=PASSTHROUGH_FILTER_CHAIN, filters=fallback, because=because
    )


def _inspectors(chains: Sequence[ChainOptions]) -> tuple[ListenerFilter, ...]:
    needs_name = any(
        chain.sni_hosts or any(item.name == SNI_DYNAMIC_FORWARD_PROXY for item in chain.filters) for chain in chains
    )
    needs_protocol = any(chain.application_protocols for chain in chains)
    return (*((TLS_INSPECTOR,) if needs_name else ()), *((HTTP_INSPECTOR,) if needs_protocol else ()))


def filter_chain(chain: ChainOptions, handshake: timedelta | None) -> FilterChain:
    """One chain with its criteria; ``handshake`` is how long one of TLS may take."""
    return FilterChain(
        filter_chain_match=None if chain.is_match_all else filter_chain_match(chain),
        filters=chain.filters,
        transport_socket_connect_timeout=handshake,
        because=chain.because,
    )


def filter_chain_match(chain: ChainOptions) -> FilterChainMatch:
    """Names and blocks are sorted; ``*`` among the names means any, ``0.0.0.0`` among the blocks is left out."""
    return FilterChainMatch(
        prefix_ranges=tuple(block for text in sorted(chain.destination_cidrs) if (block := cidr_range(text))),
        server_names=() if "*" in chain.sni_hosts else tuple(sorted(chain.sni_hosts)),
        transport_protocol=chain.transport_protocol,
        application_protocols=chain.application_protocols,
    )


def cidr_range(text: str) -> CidrRange | None:
    """An address or block as Envoy has it, host bits kept; None for what is none, and for ``0.0.0.0``."""
    try:
        block = ipaddress.ip_interface(text)
    except ValueError:
        return None
    if str(block.ip) == UNSPECIFIED_IP:
        return None
    return CidrRange(address_prefix=str(block.ip), prefix_len=block.network.prefixlen)
