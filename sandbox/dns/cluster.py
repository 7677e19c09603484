"""The cluster's own DNS server, which a laptop does not have: what the DNS proxy forwards goes there first.

It knows every Service, whatever a Sidecar hides, and answers for ExternalName Services with an alias and the records of
the name behind, which it looks up outside of the mesh (Kubernetes DNS specification, sections 2.3, 2.4 and 2.5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from sandbox.dns.question import parse_question
from sandbox.dns.respond import MAXIMUM_BYTES, Shuffle, encode, fail, reply_to, respond
from sandbox.dns.upstream import Upstream
from sandbox.match.cluster_names import ClusterNames
from sandbox.match.name_lookup import TTL_SECONDS, Forward

_STATUS_BYTE = 3
_PATIENCE_SECONDS = 1.0


class ClusterServer:
    """Asks ``names``, which may change with every reload, and for all else the next server.

    A next server that may be the cluster's own (``in_cluster``) is asked first: what it knows counts.
    """

    def __init__(
        self, names: Callable[[], ClusterNames | None], beyond: Upstream, shuffle: Shuffle, *, in_cluster: bool = False
    ) -> None:
        self._names = names
        self._beyond = beyond
        self._shuffle = shuffle
        self._in_cluster = in_cluster

    async def ask(self, query: bytes, *, over_tcp: bool, size_limit: int) -> bytes | None:
        """The reply to a well-formed question; ``None`` when no server answers."""
        names, message = self._names(), parse_question(query)
        reply = Forward() if names is None else respond(message, names.services, self._shuffle)
        target = None if names is None else names.external.get(_name(message))
        is_known = target is not None or not isinstance(reply, Forward)
        if not is_known:
            return await self._beyond.ask(query, over_tcp=over_tcp, size_limit=size_limit)
        if self._in_cluster:
            told = await _soon(self._beyond.ask(query, over_tcp=over_tcp, size_limit=size_limit))
            if told is not None and _has_no_error(told):
                return told
        if names is not None and target is not None and isinstance(reply, Forward):
            reply = await self._alias(message, target, names.given.get(target), over_tcp=over_tcp)
        return None if isinstance(reply, Forward) else encode(reply, size_limit)

    async def _alias(
        self, query: dns.message.Message, target: str, given: tuple[str, ...] | None, *, over_tcp: bool
    ) -> dns.message.Message:
        """The alias, then what the name behind has: addresses ``given``, or whatever the next server answers."""
        question, reply = query.question[0], reply_to(query)
        reply.flags |= dns.flags.AA
        owner, canonical = question.name.to_text().lower(), f"{target}."
        reply.answer.append(dns.rrset.from_text(owner, TTL_SECONDS, dns.rdataclass.IN, dns.rdatatype.CNAME, canonical))
        if given is not None:
            version = {dns.rdatatype.A: ".", dns.rdatatype.AAAA: ":"}.get(question.rdtype, " ")
            addresses = [address for address in given if version in address]
            if addresses:
                reply.answer.append(
                    dns.rrset.from_text_list(canonical, TTL_SECONDS, dns.rdataclass.IN, question.rdtype, addresses)
                )
            return reply
        behind = dns.message.make_query(canonical, question.rdtype)
        found = await self._beyond.ask(behind.to_wire(), over_tcp=over_tcp, size_limit=MAXIMUM_BYTES)
        try:
            beyond = None if found is None else dns.message.from_wire(found)
        except dns.exception.DNSException:
            beyond = None
        if beyond is None:
            return fail(query)
        reply.answer += beyond.answer
        reply.set_rcode(beyond.rcode())
        return reply


def _name(query: dns.message.Message) -> str:
    """What is asked for, as names of Services are written."""
    return query.question[0].name.to_text().lower().rstrip(".") if query.question else ""


async def _soon(asking: Awaitable[bytes | None]) -> bytes | None:
    """A cluster's server answers at once; the others are not waited for."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await asking
    except TimeoutError:
        return None


def _has_no_error(reply: bytes) -> bool:
    """Whether the server knows the name (RFC 1035, section 4.1.1)."""
    return len(reply) > _STATUS_BYTE and reply[_STATUS_BYTE] & 0x0F == dns.rcode.NOERROR
