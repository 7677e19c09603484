"""Several services on one address and port: what is merged, who wins, who is dropped.

Source: Istio pilot/pkg/networking/core/listener.go (conflict types, ``mergeTCPFilterChains``).
"""

from __future__ import annotations

import ipaddress
from dataclasses import field
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sandbox.compiler.filter_chains import ChainOptions
from sandbox.compiler.names import UNSPECIFIED_IP
from sandbox.compiler.protocols import Protocol
from sandbox.frozen_dataclass import dataclass
from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.span import Origin

if TYPE_CHECKING:
    from sandbox.compiler.services import Service, ServicePort
    from sandbox.plan.because import Because

_SERVER_FIRST: Final = frozenset({Protocol.MONGO, Protocol.MYSQL})
"""Protocols that no inspector may hold up: they share a listener with nothing else."""

MOST_TOLD: Final = 10
"""Shadowed services of one listener that are told one by one."""

ChainKey = tuple[str, tuple[str, ...], frozenset[str], frozenset[str]]


class Conflict(Enum):
    """What an incoming service finds on its address and port (Istio's names)."""

    NONE = auto()
    HTTP_OVER_TCP = auto()
    TCP_OVER_HTTP = auto()
    TCP_OVER_TCP = auto()
    TCP_OVER_AUTO = auto()
    AUTO_OVER_HTTP = auto()
    AUTO_OVER_TCP = auto()
    AUTO_OVER_AUTO = auto()
    IGNORED = auto()
    """HTTP over HTTP, or over detection: the listener is there, the service appears in its routes."""


_BECOMES_DETECTED: Final = frozenset({Conflict.HTTP_OVER_TCP, Conflict.TCP_OVER_HTTP, Conflict.AUTO_OVER_TCP})
_CONFLICTS: Final = {
    ("HTTP", "TCP"): Conflict.HTTP_OVER_TCP,
    ("HTTP", "HTTP"): Conflict.IGNORED,
    ("HTTP", "AUTO"): Conflict.IGNORED,
    ("TCP", "TCP"): Conflict.TCP_OVER_TCP,
    ("TCP", "HTTP"): Conflict.TCP_OVER_HTTP,
    ("TCP", "AUTO"): Conflict.TCP_OVER_AUTO,
    ("AUTO", "TCP"): Conflict.AUTO_OVER_TCP,
    ("AUTO", "HTTP"): Conflict.AUTO_OVER_HTTP,
    ("AUTO", "AUTO"): Conflict.AUTO_OVER_AUTO,
}
"""Incoming and existing class of protocol to what happens."""


def protocol_class(protocol: Protocol) -> str:
    """HTTP, TCP or AUTO (to be detected); empty for what has no listener (UDP)."""
    if protocol.is_http:
        return "HTTP"
    if protocol.is_tcp:
        return "TCP"
    return "AUTO" if protocol.is_unsupported else ""


@dataclass(slots=True, kw_only=True, eq=False)
class ListenerEntry:
    """A listener in the making (Istio's ``outboundListenerEntry``)."""

    port: ServicePort
    binds: tuple[str, ...]
    bind_to_port: bool
    protocol: Protocol
    """Unsupported once the listener has to detect the protocol."""
    chains: list[ChainOptions]
    because: tuple[Because, ...]
    locked: bool = False
    """Made for a port that a Sidecar names: services of the catch-all listener stay out."""
    keys: dict[ChainKey, ChainOptions] = field(default_factory=dict)
    shadowed: int = 0
    """Chains that were dropped because an older one has their criteria."""

    def __post_init__(self) -> None:
        self.keys = {chain_key(chain): chain for chain in reversed(self.chains)}

    @property
    def name(self) -> str:
        """``0.0.0.0_443``."""
        return listener_name(self.binds[0], self.port.number)


def listener_name(bind: str, port: int) -> str:
    """istiod's name of the listener at an address and port."""
    return f"{bind}_{port}"


def conflict_with(existing: ListenerEntry | None, incoming: Protocol) -> Conflict:
    """What becomes of a service of this protocol."""
    if existing is None or incoming is Protocol.HTTP_PROXY:
        return Conflict.NONE
    return _CONFLICTS[protocol_class(incoming), protocol_class(existing.protocol)]


def is_kept_apart(existing: ListenerEntry, incoming: Protocol, conflict: Conflict) -> bool:
    """Whether a server-first protocol is involved, so that the newcomer is dropped."""
    if conflict is Conflict.NONE or incoming is existing.protocol:
        return False
    return incoming in _SERVER_FIRST or existing.protocol in _SERVER_FIRST


def merge_chains(
    existing: ListenerEntry,
    incoming: tuple[ChainOptions, ...],
    conflict: Conflict,
    service: Service,
    problems: Problems,
) -> None:
    """First come, first served: a chain with the criteria of an older one is dropped, and told."""
    for chain in incoming:
        key = chain_key(chain)
        older = existing.keys.get(key)
        if older is None:
            existing.keys[key] = chain
            existing.chains.append(chain)
        else:
            _report_shadowed(existing, chain, older, service, problems)
    if conflict in _BECOMES_DETECTED:
        existing.protocol = Protocol.UNSUPPORTED


def _report_shadowed(
    entry: ListenerEntry, chain: ChainOptions, older: ChainOptions, service: Service, problems: Problems
) -> None:
    where, winner = _line(chain), _line(older)
    if winner is where or (chain.filters == older.filters and winner == where):
        return  # one route of a VirtualService, found through several services
    entry.shadowed += 1
    if entry.shadowed > MOST_TOLD:
        return
    problems.report(
        "SBX0501",
        f"on {entry.name} an older service already takes what {service.host} should: connections go to the older one",
        where,
        hint="give the services addresses of their own, or different ports" + (f" (older: {winner})" if winner else ""),
        related=(winner,) if winner is not None else (),
    )


def report_untold(entry: ListenerEntry, problems: Problems) -> None:
    """Of a crowd on one port the first few are told one by one, the rest by their number."""
    rest = entry.shadowed - MOST_TOLD
    if rest > 0:
        message = f"on {entry.name} older services take the connections of {rest} more services"
        problems.report("SBX0501", message, entry.port.origin, hint="give the services addresses of their own")


def _line(chain: ChainOptions) -> Origin | None:
    return next((reason.origin for reason in chain.because if isinstance(reason.origin, Origin)), None)


def chain_key(chain: ChainOptions) -> ChainKey:
    """What must differ between two chains of one listener: order and spelling do not count."""
    names = frozenset(name for name in chain.sni_hosts if name != "*")
    blocks = frozenset(block for text in chain.destination_cidrs if (block := masked_block(text)))
    return chain.transport_protocol, chain.application_protocols, names, blocks


@lru_cache(maxsize=4096)
def masked_block(text: str) -> str:
    """An address or CIDR block without host bits; empty for what is none, and for the unspecified address."""
    try:
        block = ipaddress.ip_interface(text)
    except ValueError:
        return ""
    return "" if str(block.ip) == UNSPECIFIED_IP else str(block.network)
