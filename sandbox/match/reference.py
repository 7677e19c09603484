"""Envoy's matching rules written plainly and linearly, with the losers and the reason they lost.

The data plane uses the tables beside this module; tests prove that both agree. Nothing here is fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, TypeVar

from sandbox.frozen_dataclass import dataclass
from sandbox.match.cidr import Prefix, canonical_ip
from sandbox.match.criteria import route_failure, shown
from sandbox.match.facts import ConnectionFacts, RequestFacts
from sandbox.match.listener_table import listener_addresses
from sandbox.match.virtual_host_table import without_port
from sandbox.plan.listener import FilterChain, FilterChainMatch, Listener
from sandbox.plan.route import Route, RouteConfiguration, RouteMatch, VirtualHost

T = TypeVar("T")

SHADOWED: Final = "an earlier route takes the request"


@dataclass(frozen=True, slots=True)
class Loser(Generic[T]):
    """A candidate that was not chosen; ``is_near`` says that it matched, or lacked only one thing."""

    candidate: T
    reason: str
    is_near: bool = False


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """What was chosen and why, and who lost; ``chosen`` is ``None`` where nothing matches."""

    chosen: T | None
    reason: str
    losers: tuple[Loser[T], ...] = ()


# --- listeners ---


def choose_listener(listeners: Iterable[Listener], ip: str, port: int) -> Choice[Listener]:
    """Exact address and port, then the wildcard address with the port, else the listener of captured connections."""
    candidates = list(listeners)
    wildcard = "::" if ":" in ip else "0.0.0.0"
    wanted = (canonical_ip(ip), port)
    exact = [listener for listener in candidates if wanted in listener_addresses(listener)]
    wide = [listener for listener in candidates if (wildcard, port) in listener_addresses(listener)]
    inbound = "INBOUND"
    stay = [each for each in candidates if each.use_original_dst and each.traffic_direction != inbound]
    near = [Loser(listener, f"the listener of {ip}:{port} itself is more specific", True) for listener in wide]
    if exact:
        return Choice(exact[0], f"a listener for {ip}:{port} itself", tuple(near))
    others = _other_ports(candidates, ip, port)
    if wide:
        return Choice(wide[0], f"the listener for every address, port {port}", others)
    if stay:
        return Choice(stay[0], f"no listener for {ip}:{port} nor for port {port}", others)
    return Choice(None, f"no listener for {ip}:{port}", others)


def _other_ports(listeners: Sequence[Listener], ip: str, port: int) -> tuple[Loser[Listener], ...]:
    losers: list[Loser[Listener]] = []
    for listener in listeners:
        for address, listening in listener_addresses(listener):
            if address == ip and listening != port:
                losers.append(Loser(listener, f"listens on port {listening}, not {port}", True))
            elif listening == port and address not in (ip, "0.0.0.0", "::"):
                losers.append(Loser(listener, f"listens on {address}, not {ip}"))
    return tuple(losers)


# --- filter chains ---


class _Sieve:
    """The chains that are left, and those that fell through, level by level."""

    def __init__(self, chains: Iterable[FilterChain]) -> None:
        self.left = [(chain, chain.filter_chain_match or FilterChainMatch()) for chain in chains]
        self.losers: list[Loser[FilterChain]] = []

    def keep(self, is_kept: Callable[[FilterChainMatch], bool], reason: Callable[[FilterChainMatch], str]) -> None:
        """Who is not kept loses, for the reason given; it lost near the end if it had matched so far."""
        fallen = [(chain, match) for chain, match in self.left if not is_kept(match)]
        self.losers += [Loser(chain, reason(match)) for chain, match in fallen]
        self.left = [(chain, match) for chain, match in self.left if is_kept(match)]


def choose_filter_chain(listener: Listener, facts: ConnectionFacts) -> Choice[FilterChain]:
    """Level by level, the most specific wins and there is no way back; at the end the default chain."""
    sieve = _Sieve(listener.filter_chains)
    reasons = [
        _by_port(sieve, facts.destination_port),
        _by_prefix(sieve, facts.destination_ip),
        _by_server_name(sieve, facts.server_name),
        _by_transport(sieve, facts.transport_protocol),
        _by_application(sieve, facts.application_protocols),
    ]
    if sieve.left:
        chosen, *rest = (chain for chain, _ in sieve.left)
        twins = [Loser(chain, "an earlier chain has the same match", True) for chain in rest]
        reason = ", ".join(reason for reason in reasons if reason) or "the chain for everything"
        return Choice(chosen, reason, (*sieve.losers, *twins))
    if listener.default_filter_chain is not None:
        return Choice(listener.default_filter_chain, "no other chain matches", tuple(sieve.losers))
    return Choice(None, "no filter chain matches", tuple(sieve.losers))


def _by_port(sieve: _Sieve, port: int) -> str:
    if any(match.destination_port == port for _, match in sieve.left):
        sieve.keep(
            lambda match: match.destination_port == port,
            lambda match: f"is for port {match.destination_port}" if match.destination_port else "names no port",
        )
        return f"destination port {port}"
    sieve.keep(lambda match: not match.destination_port, lambda match: f"is for port {match.destination_port}")
    return ""


def _by_prefix(sieve: _Sieve, ip: str) -> str:
    best = max((_longest_prefix(match, ip) for _, match in sieve.left), default=-1)
    if best < 0:
        best = 0
    sieve.keep(
        lambda match: _longest_prefix(match, ip) == best,
        lambda match: (
            f"destination {ip} is not in {_prefixes(match)}"
            if _longest_prefix(match, ip) < 0
            else "a chain with a more specific destination matches"
        ),
    )
    return f"destination {ip}" if best else ""


def _longest_prefix(match: FilterChainMatch, ip: str) -> int:
    """Length of the longest prefix that holds the address; 0 for a chain without prefixes, -1 for none."""
    if not match.prefix_ranges:
        return 0
    prefixes = [Prefix.of(cidr) for cidr in match.prefix_ranges]
    return max((prefix.length for prefix in prefixes if prefix.holds(ip)), default=-1)


def _prefixes(match: FilterChainMatch) -> str:
    return ", ".join(str(Prefix.of(cidr)) for cidr in match.prefix_ranges)


def _by_server_name(sieve: _Sieve, server_name: str) -> str:
    candidates = [server_name] if server_name else []
    labels = server_name.split(".")
    first = 2 if server_name.startswith(".") else 1
    suffixes = [".".join(labels[index:]) for index in range(first, len(labels))]
    candidates += [f"*.{suffix}" for suffix in suffixes if suffix]
    names = {name for _, match in sieve.left for name in match.server_names}
    won = next((name for name in candidates if name in names), None)
    said = f"SNI {server_name}" if server_name else "a connection without SNI"
    if won is None:
        sieve.keep(
            lambda match: not match.server_names,
            lambda match: f"{said} is not {' or '.join(match.server_names)}",
        )
        return ""

    def reason(match: FilterChainMatch) -> str:
        if not match.server_names:
            return f"a chain for SNI {won} matches"
        less = any(name in candidates for name in match.server_names)
        return f"{won} is more specific" if less else f"{said} is not {' or '.join(match.server_names)}"

    sieve.keep(lambda match: won in match.server_names, reason)
    return said if won == server_name else f"{said}, as {won}"


def _by_transport(sieve: _Sieve, protocol: str) -> str:
    if any(match.transport_protocol == protocol for _, match in sieve.left):
        sieve.keep(
            lambda match: match.transport_protocol == protocol,
            lambda match: f"is for {match.transport_protocol}" if match.transport_protocol else "names no transport",
        )
        return f"transport {protocol}"
    sieve.keep(lambda match: not match.transport_protocol, lambda match: f"is for {match.transport_protocol}")
    return ""


def _by_application(sieve: _Sieve, protocols: Sequence[str]) -> str:
    offered = {protocol for _, match in sieve.left for protocol in match.application_protocols}
    won = next((protocol for protocol in protocols if protocol in offered), None)
    said = " or ".join(protocols) or "the connection (its protocol is unknown)"
    if won is None:
        sieve.keep(
            lambda match: not match.application_protocols,
            lambda match: f"{said} is not {' or '.join(match.application_protocols)}",
        )
        return ""
    sieve.keep(
        lambda match: won in match.application_protocols,
        lambda match: (
            f"is for {' or '.join(match.application_protocols)}"
            if match.application_protocols
            else f"a chain for {won} matches"
        ),
    )
    return f"protocol {won}"


# --- virtual hosts ---


def choose_virtual_host(configuration: RouteConfiguration, authority: bytes) -> Choice[VirtualHost]:
    """Exact domain, longest ``*.suffix``, longest ``prefix.*``, ``*``; letters' case does not count."""
    name = (
        (without_port(authority) if configuration.ignore_port_in_host_matching else authority)
        .lower()
        .decode("utf-8", "surrogateescape")
    )
    ranked = [
        (*_domain_rank(domain.lower(), name), host, domain)
        for host in configuration.virtual_hosts
        for domain in host.domains
    ]
    matching = [entry for entry in ranked if entry[0]]
    if not matching:
        losers = tuple(Loser(host, _no_domain(host, name)) for host in configuration.virtual_hosts)
        return Choice(None, f"no virtual host for {shown(name)}", losers)
    _, _, chosen, domain = max(matching, key=lambda entry: entry[:2])  # the first of equals
    losers = tuple(
        _virtual_host_loser(host, name, domain, matching) for host in configuration.virtual_hosts if host is not chosen
    )
    reason = "every other host" if domain == "*" else f"domain {domain}"
    return Choice(chosen, reason, losers)


def _domain_rank(domain: str, name: str) -> tuple[int, int]:
    """How well a domain matches: kind (0: not at all) and length."""
    if domain == "*":
        return 1, 0
    if domain.startswith("*"):
        suffix = domain[1:]
        return (3, len(suffix)) if len(name) > len(suffix) and name.endswith(suffix) else (0, 0)
    if domain.endswith("*"):
        prefix = domain[:-1]
        return (2, len(prefix)) if len(name) > len(prefix) and name.startswith(prefix) else (0, 0)
    return (4, len(domain)) if domain == name else (0, 0)


def _virtual_host_loser(
    host: VirtualHost, name: str, won: str, matching: Sequence[tuple[int, int, VirtualHost, str]]
) -> Loser[VirtualHost]:
    own = next((domain for _, _, other, domain in matching if other is host), None)
    if own is None:
        return Loser(host, _no_domain(host, name))
    return Loser(host, f"domain {own} matches too, {won} is more specific", True)


def _no_domain(host: VirtualHost, name: str) -> str:
    shown_domains = ", ".join(host.domains[:2]) + (", …" if len(host.domains) > 2 else "")
    return f"{name} is not {shown_domains}"


# --- routes ---


def choose_route(virtual_host: VirtualHost, facts: RequestFacts) -> Choice[Route]:
    """The first route all of whose criteria hold."""
    chosen: Route | None = None
    losers: list[Loser[Route]] = []
    for route in virtual_host.routes:
        failure = route_failure(route.match or RouteMatch(), facts)
        if failure is not None:
            losers.append(Loser(route, failure, chosen is None))
        elif chosen is None:
            chosen = route
        else:
            losers.append(Loser(route, SHADOWED, True))
    if chosen is None:
        return Choice(None, "no route matches", tuple(losers))
    return Choice(chosen, "the first route that matches", tuple(losers))
