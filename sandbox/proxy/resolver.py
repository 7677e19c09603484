"""Resolver: names to addresses with their time to live; overrides first, then the hosts file, then DNS."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from sandbox.proxy.dns_server import DnsServer
from sandbox.proxy.hop_addresses import LOCAL, HopAddresses
from sandbox.proxy.host_source import is_address
from sandbox.proxy.system_names import SystemNames, read_system_names

if TYPE_CHECKING:
    import dns.message

    from sandbox.settings import HostPort, ResolveOverride

CONCURRENT_QUERIES: Final = 256
"""Each question has a socket of its own: ten thousand names at once would use up all descriptors."""
NOBODYS_PORT: Final = 0
"""The kernel refuses to connect there."""
V4: Final = "A"
V6: Final = "AAAA"
FAMILIES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "V4_ONLY": ((V4,),),
    "V6_ONLY": ((V6,),),
    "AUTO": ((V6,), (V4,)),
    "V4_PREFERRED": ((V4,), (V6,)),
    "ALL": ((V4, V6),),
}
"""Envoy's lookup families: groups of record types; a group is asked only where the one before is empty."""


class Answer(msgspec.Struct, frozen=True):
    """Addresses in the order of the answer (none: the name exists without such records), and seconds to live."""

    addresses: tuple[str, ...]
    ttl: float | None = None


class NoAnswer(msgspec.Struct, frozen=True):
    """The name does not resolve: NXDOMAIN, SERVFAIL, or no server answered."""

    reason: str


NO_SUCH_NAME: Final = NoAnswer("no such name")
TIMED_OUT: Final = NoAnswer("DNS query timed out")
SERVER_FAILURE: Final = NoAnswer("DNS server failure")
REFUSED: Final = NoAnswer("the DNS server refuses to answer")
NOT_IMPLEMENTED: Final = NoAnswer("the DNS server does not know such questions")
MISUNDERSTOOD: Final = NoAnswer("the DNS server does not understand the question")
UNREADABLE: Final = NoAnswer("the DNS server's answer cannot be read")
UNREACHABLE: Final = NoAnswer("no DNS server can be reached")
NO_SERVER: Final = NoAnswer("no DNS server is configured")


class Resolver:
    """One for all clusters and doors."""

    def __init__(
        self,
        overrides: Sequence[ResolveOverride] = (),
        servers: Sequence[HostPort] = (),
        system: SystemNames | None = None,
    ) -> None:
        self._overrides = {(each.host, each.port): each for each in overrides}
        self._system = system or read_system_names()
        addresses = [(server.host, server.port) for server in servers] or self._system.servers
        self._servers = [DnsServer(*address) for address in addresses]
        self._draws = random.Random()
        self._slots = asyncio.Semaphore(CONCURRENT_QUERIES)
        self._connect_targets = {
            (each.address, each.port or each.address_port): (each.address, each.address_port)
            for each in overrides
            if each.address_port is not None and each.port is not None
        }
        self._connect_targets |= {
            (each.host, each.port): (each.address, each.address_port or each.port)
            for each in overrides
            if each.port is not None and is_address(each.host)
        }
        self._aliases: Mapping[str, str] = {}
        self._services: Mapping[str, tuple[str, ...]] = {}
        self._service_targets: Mapping[tuple[str, int], Sequence[tuple[str, int]]] = {}
        self._service_turns: Mapping[tuple[str, int], Iterator[tuple[str, int]]] = {}
        self._redirects: dict[tuple[str, int], tuple[str, int]] = {}
        self._pods: frozenset[str] = frozenset()
        self._kept: frozenset[tuple[str, int]] = frozenset()
        self.hops = HopAddresses()

    def override(self, name: str, port: int) -> tuple[str, int] | None:
        """``--resolve`` for this name and port: the address to connect to."""
        name = self._canonical(name)
        found = self._overrides.get((name, port)) or self._overrides.get((name, None))
        return None if found is None else (found.address, found.address_port or port)

    def connect_target(self, ip: str, port: int) -> tuple[str, int]:
        """Where a connection to an overridden address really goes (an override may change the port)."""
        turns = self._service_turns.get((ip, port))
        if turns is not None:
            ip, port = next(turns)
        target = self._redirects.get((ip, port)) or self._connect_targets.get((ip, port))
        if target is None and ip in self._pods:
            return LOCAL, NOBODYS_PORT
        address = (ip, port) if target is None or target[1] is None else (target[0], target[1])
        return (address[0], NOBODYS_PORT) if address in self._kept else address

    def destinations(self, ip: str, port: int) -> Sequence[tuple[str, int]]:
        """The endpoints that a connection to this address may arrive at: those of a Service, else itself."""
        return self._service_targets.get((ip, port)) or ((ip, port),)

    def keep(self, addresses: Iterable[HostPort]) -> None:
        """Nobody gets to these loopback ports of our own through us: such a connection is refused."""
        names = ("127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::1", "::")
        self._kept = frozenset((name, address.port) for address in addresses for name in names)

    def is_redirected(self, ip: str, port: int) -> bool:
        """Whether that is a port of another node in this process."""
        return (ip, port) in self._redirects

    def redirect(self, targets: Mapping[tuple[str, int], HostPort], pods: Iterable[str] = ()) -> None:
        """From now on connections to these addresses, and no others, go elsewhere on this machine.

        ``pods`` run here: what goes to another port of theirs is refused, whatever the network has at such an address.
        """
        self._redirects = {address: (to.host, to.port) for address, to in targets.items()}
        self._pods = frozenset(pods)

    def know_aliases(self, aliases: Mapping[str, str]) -> None:
        """From now on these names (lower case) stand for those, as by CNAME records of the cluster's DNS server."""
        self._aliases = aliases

    def know_services(
        self, names: Mapping[str, tuple[str, ...]], targets: Mapping[tuple[str, int], Sequence[tuple[str, int]]]
    ) -> None:
        """From now on these names (lower case) have these addresses, and those lead to endpoints in turn."""
        self._services, self._service_targets = names, targets
        self._service_turns = {address: itertools.cycle(endpoints) for address, endpoints in targets.items()}

    def _canonical(self, name: str) -> str:
        name = name.lower().rstrip(".")
        return self._aliases.get(name, name)

    async def resolve(self, name: str, family: str = "V4_PREFERRED", port: int = 0) -> Answer | NoAnswer:
        """The addresses of ``name``; ``family`` is Envoy's ``dns_lookup_family``."""
        override = self.override(name, port)
        if override is not None:
            return Answer((override[0],))
        name = self._canonical(name)
        if name in self._services:
            return Answer(self._services[name])
        groups = FAMILIES.get(family, FAMILIES["AUTO"])
        failure: NoAnswer | None = None
        empty: Answer | None = None
        for group in groups:
            answers = await asyncio.gather(*(self._resolve_type(name, kind) for kind in group))
            addresses = tuple(a for answer in answers if isinstance(answer, Answer) for a in answer.addresses)
            lives = [a.ttl for a in answers if isinstance(a, Answer) and a.ttl is not None and a.addresses]
            if addresses:
                return Answer(addresses, min(lives) if lives else None)
            for answer in answers:
                if isinstance(answer, Answer):
                    empty = answer
                else:
                    failure = answer
        return empty or failure or NO_SUCH_NAME

    async def _resolve_type(self, name: str, kind: str) -> Answer | NoAnswer:
        from_file = self._system.addresses(name, wants_v6=kind == V6)
        if from_file:
            return Answer(from_file)
        outcome: Answer | NoAnswer = NO_SUCH_NAME
        for candidate in self._system.candidates(name):
            outcome = await self._query(candidate, kind)
            if isinstance(outcome, Answer) and outcome.addresses:
                return outcome
        return outcome

    async def _query(self, name: str, kind: str) -> Answer | NoAnswer:
        from sandbox.proxy.dns_client import NoReply, ask

        if not self._servers:
            return NO_SERVER
        async with self._slots:
            reply = await ask(self._servers, name, kind, self._draws)
        match reply:
            case NoReply.TIMED_OUT:
                return TIMED_OUT
            case NoReply.UNREACHABLE:
                return UNREACHABLE
            case NoReply.UNREADABLE:
                return UNREADABLE
            case _:
                return read_answer(reply, kind)


def read_answer(response: dns.message.Message, kind: str) -> Answer | NoAnswer:
    """All addresses of the answer, whosever they are, as c-ares takes them; the shortest life counts."""
    import dns.rcode
    import dns.rdatatype

    if response.rcode() != dns.rcode.NOERROR:
        return _FAILURES.get(dns.rcode.to_text(response.rcode()), SERVER_FAILURE)
    wanted = dns.rdatatype.from_text(kind)
    addresses = [str(each.address) for records in response.answer if records.rdtype == wanted for each in records]
    lives = [records.ttl for records in response.answer if records.rdtype in (wanted, dns.rdatatype.CNAME)]
    return Answer(tuple(addresses), float(min(lives))) if addresses else Answer(())


_FAILURES: Final[Mapping[str, NoAnswer]] = {
    "NXDOMAIN": NO_SUCH_NAME,
    "REFUSED": REFUSED,
    "NOTIMP": NOT_IMPLEMENTED,
    "FORMERR": MISUNDERSTOOD,
}


def jittered(draws: random.Random, seconds: float, jitter: float) -> float:
    """``seconds`` and up to ``jitter`` more."""
    return seconds + draws.random() * jitter
