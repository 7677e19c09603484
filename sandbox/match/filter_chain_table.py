"""Which filter chain of a listener takes a connection: Envoy's sieve, level after level, with no way back."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.match.cidr import Prefix, PrefixTable
from sandbox.match.facts import ConnectionFacts
from sandbox.plan.listener import FilterChain, FilterChainMatch, Listener

_ByProtocol = dict[str, FilterChain]
_ByTransport = dict[str, _ByProtocol]
_ByName = dict[str, _ByTransport]
_ByPrefix = dict[str, _ByName]

_ANY_ADDRESS = ("0.0.0.0/0", "::/0")
_EMPTY = FilterChainMatch()


class FilterChainTable:
    """The chains of one listener, sorted into levels.

    Destination port, most specific destination prefix, server name (exact, longest ``*.suffix``, none), transport
    protocol, application protocols. What one level chooses is final: if the next has no entry, the default
    chain takes the connection (``FilterChainManagerImpl::findFilterChain``).
    """

    __slots__ = ("_by_port", "_default", "_only")

    def __init__(self, listener: Listener) -> None:
        self._default = listener.default_filter_chain
        ports: dict[int, _ByPrefix] = {}
        for chain in listener.filter_chains:
            _insert(ports, chain)
        self._by_port = {port: _Port(prefixes) for port, prefixes in ports.items()}
        chains = listener.filter_chains
        self._only = chains[0] if len(chains) == 1 and (chains[0].filter_chain_match or _EMPTY) == _EMPTY else None

    def find(self, facts: ConnectionFacts) -> FilterChain | None:
        """The chain for a connection; ``None`` closes it (flag NR)."""
        if self._only is not None:
            return self._only
        port = self._by_port.get(facts.destination_port) or self._by_port.get(0)
        found = port.find(facts) if port is not None else None
        return found if found is not None else self._default


class _Port:
    """What stands under one destination port (0: under any)."""

    __slots__ = ("_any", "_prefixes")

    def __init__(self, prefixes: _ByPrefix) -> None:
        entries: list[tuple[Prefix, _ByName]] = []
        for text, names in prefixes.items():
            address, _, length = text.partition("/")
            entries.append((Prefix(address, int(length)), names))
        self._prefixes = PrefixTable(entries)
        v4, v6 = (prefixes.get(text) for text in _ANY_ADDRESS)
        self._any = v4 if len(prefixes) == 2 and v4 is not None and v4 == v6 else None
        """Where no chain asks for an address: the lookup is spared."""

    def find(self, facts: ConnectionFacts) -> FilterChain | None:
        names = self._any if self._any is not None else self._prefixes.find(facts.destination_ip)
        transports = None if names is None else _by_server_name(names, facts.server_name)
        if transports is None:
            return None
        protocols = transports.get(facts.transport_protocol) or transports.get("")
        if protocols is None:
            return None
        for protocol in facts.application_protocols:
            if protocol in protocols:
                return protocols[protocol]
        return protocols.get("")


def _by_server_name(names: _ByName, server_name: str) -> _ByTransport | None:
    found = names.get(server_name)
    if found is not None:
        return found
    dot = server_name.find(".", 1)
    while 0 < dot < len(server_name) - 1:
        found = names.get("*" + server_name[dot:])
        if found is not None:
            return found
        dot = server_name.find(".", dot + 1)
    return names.get("")


def _insert(ports: dict[int, _ByPrefix], chain: FilterChain) -> None:
    match = chain.filter_chain_match or _EMPTY
    prefixes = ports.setdefault(match.destination_port or 0, {})
    for prefix in _prefix_texts(match):
        names = prefixes.setdefault(prefix, {})
        for name in match.server_names or ("",):
            protocols = names.setdefault(name, {}).setdefault(match.transport_protocol, {})
            for protocol in match.application_protocols or ("",):
                protocols.setdefault(protocol, chain)


def _prefix_texts(match: FilterChainMatch) -> Iterable[str]:
    """Canonical texts; a chain without prefixes holds both families."""
    if not match.prefix_ranges:
        return _ANY_ADDRESS
    return tuple(str(Prefix.of(cidr)) for cidr in match.prefix_ranges)
