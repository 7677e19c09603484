"""A DNS question and the name table → the reply, or the decision to ask upstream; messages are dnspython's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.renderer
import dns.rrset

from sandbox.match.name_lookup import TTL_SECONDS, Answer, Forward, NameLookup

MINIMUM_UDP_BYTES = 512
"""What a reply over UDP may hold unless EDNS says otherwise (RFC 1035, section 4.2.1)."""
MAXIMUM_BYTES = 65535

Shuffle = Callable[[list[str]], None]
"""Brings addresses into a random order, in place; given from outside because this module is pure."""


def respond(query: dns.message.Message, lookup: NameLookup | None, shuffle: Shuffle) -> dns.message.Message | Forward:
    """The reply to ``query`` from the table, or ``Forward``; without a table (none received yet) the server fails."""
    if lookup is None or not query.question:
        return fail(query)
    question = query.question[0]
    name = question.name.to_text()
    found = lookup.find(name, dns.rdatatype.to_text(question.rdtype))
    if isinstance(found, Forward):
        return found
    return _known(query, found, question.rdtype, shuffle)


def _known(
    query: dns.message.Message, answer: Answer, record_type: dns.rdatatype.RdataType, shuffle: Shuffle
) -> dns.message.Message:
    reply = reply_to(query)
    reply.flags |= dns.flags.AA
    addresses = list(answer.addresses)
    shuffle(addresses)
    if answer.alias is not None:
        owner, target = answer.alias
        reply.answer.append(dns.rrset.from_text(owner, TTL_SECONDS, dns.rdataclass.IN, dns.rdatatype.CNAME, target))
    if addresses:
        reply.answer.append(
            dns.rrset.from_text_list(answer.owner, TTL_SECONDS, dns.rdataclass.IN, record_type, addresses)
        )
    return reply


def fail(query: dns.message.Message) -> dns.message.Message:
    """SERVFAIL: no table yet, no question, or no upstream that answers."""
    reply = reply_to(query)
    reply.set_rcode(dns.rcode.SERVFAIL)
    return reply


def reply_to(query: dns.message.Message) -> dns.message.Message:
    """QR, the question's identity and opcode, of a query RD and CD too; the question as asked, its case too (0x20)."""
    reply = dns.message.Message(id=query.id)
    kept = dns.flags.RD | dns.flags.CD if query.opcode() == dns.opcode.QUERY else 0
    reply.flags = dns.flags.QR | dns.opcode.to_flags(query.opcode()) | (query.flags & kept)
    reply.question = list(query.question)
    return reply


def udp_size(query: dns.message.Message) -> int:
    """How many bytes a reply over UDP may hold: what EDNS advertises, at least 512."""
    return max(MINIMUM_UDP_BYTES, query.payload if query.edns >= 0 else 0)


def encode(reply: dns.message.Message, limit: int) -> bytes:
    """The reply in at most ``limit`` bytes; records that do not fit are left out from the end, and TC says so."""
    records = [(rrset, rdata) for rrset in reply.answer for rdata in rrset]
    # Names are compressed only where that is needed, as by the agent: a pointer to the question would have its case.
    for compress in (False, True):
        wire = _encode_records(reply, records, compress=compress)
        if len(wire) <= limit:
            return wire
    reply.flags |= dns.flags.TC
    fits, too_many = 0, len(records)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if len(_encode_records(reply, records[:middle])) <= limit:
            fits = middle
        else:
            too_many = middle
    return _encode_records(reply, records[:fits])


def _encode_records(
    reply: dns.message.Message, records: list[tuple[dns.rrset.RRset, dns.rdata.Rdata]], *, compress: bool = True
) -> bytes:
    """The message with these answers in this order (``Message.to_wire`` would shuffle them itself)."""
    new_renderer: Any = dns.renderer.Renderer  # dnspython has no annotations here
    renderer = new_renderer(id=reply.id, flags=reply.flags, max_size=MAXIMUM_BYTES)
    if not compress:
        renderer.compress = None
    for question in reply.question:
        renderer.add_question(question.name, question.rdtype, question.rdclass)
    answers: list[dns.rrset.RRset] = []
    for rrset, rdata in records:
        if not answers or (answers[-1].name, answers[-1].rdtype) != (rrset.name, rrset.rdtype):
            answers.append(dns.rrset.RRset(rrset.name, rrset.rdclass, rrset.rdtype))
        answers[-1].add(rdata, rrset.ttl)
    for answer in answers:
        renderer.add_rrset(dns.renderer.ANSWER, answer, want_shuffle=False)
    renderer.write_header()
    wire: bytes = renderer.get_wire()
    return wire
