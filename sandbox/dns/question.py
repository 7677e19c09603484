"""A datagram → the question in it, or what a bad one deserves.

What is accepted is what the library of Istio's agent accepts (github.com/miekg/dns 1.1.72, acceptfunc.go, server.go,
msg.go): counts that promise too much and bytes behind the end are overlooked, anything malformed is a format error.
"""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.wire

HEADER_BYTES = 12
MAXIMUM_RECORDS = (1, 1, 2)
"""Of answer, authority and additional section: a NOTIFY and an IXFR have a record in one of the first two."""
_QR, _OPCODE, _AA, _TO_KEEP = 0x8000, 0x7800, 0x0400, 0x03B0
"""Bits of the flags; those to keep in a refusal are TC, RD, RA, AD and CD."""


class Unanswerable(Exception):
    """The datagram is not a question: ``reply`` is what to send back, or ``None`` for silence."""

    def __init__(self, reply: bytes | None) -> None:
        super().__init__("not a question")
        self.reply = reply


def parse_question(wire: bytes) -> dns.message.Message:
    """The query in ``wire``, with at most one question, and the size that EDNS advertises.

    1. a reply, or less than a header, is met with silence; 2. an operation other than QUERY and NOTIFY is not
    implemented; 3. other than one question, or too many records, is a format error; 4. a header alone is refused;
    5. so is, as a format error, whatever cannot be read: with the question, if that could be.
    """
    if len(wire) < HEADER_BYTES:
        raise Unanswerable(None)
    identity, flags, questions, *records = (int.from_bytes(wire[at : at + 2], "big") for at in range(0, 12, 2))
    if flags & _QR:
        raise Unanswerable(None)
    opcode = (flags & _OPCODE) >> 11
    if opcode not in (dns.opcode.QUERY, dns.opcode.NOTIFY):
        raise Unanswerable(_refusal(identity, flags & (_OPCODE | _TO_KEEP), dns.rcode.NOTIMP))
    if questions != 1 or any(count > most for count, most in zip(records, MAXIMUM_RECORDS, strict=True)):
        raise Unanswerable(_refusal(identity, flags & _TO_KEEP, dns.rcode.FORMERR))
    if len(wire) == HEADER_BYTES:
        kept = 0x0110 if opcode == dns.opcode.QUERY else 0  # RD and CD
        raise Unanswerable(_refusal(identity, flags & (_OPCODE | kept), dns.rcode.REFUSED))
    query = dns.message.Message(id=identity)
    query.flags = dns.flags.Flag(flags)
    parser = dns.wire.Parser(wire, HEADER_BYTES)
    question = b""
    try:
        query.question.append(_question(parser))
        question = wire[HEADER_BYTES : parser.current]
        _read_records(parser, sum(records), query)
    except dns.exception.DNSException:
        raise Unanswerable(_refusal(identity, flags & _TO_KEEP, dns.rcode.FORMERR, question)) from None
    return query


def _refusal(identity: int, flags: int, code: int, question: bytes = b"") -> bytes:
    """A reply without records; a question that stands first in its message is the same in ours, byte by byte."""
    counts = b"\0\1" if question else b"\0\0"
    return identity.to_bytes(2, "big") + (_QR | flags | code).to_bytes(2, "big") + counts + bytes(6) + question


def _question(parser: dns.wire.Parser) -> dns.rrset.RRset:
    """The name, type and class; the message may end before the last two."""
    name = parser.get_name()
    kind = parser.get_uint16() if parser.remaining() else 0
    found_class = parser.get_uint16() if parser.remaining() else 0
    return dns.rrset.RRset(name, dns.rdataclass.RdataClass.make(found_class), dns.rdatatype.RdataType.make(kind))


def _read_records(parser: dns.wire.Parser, count: int, query: dns.message.Message) -> None:
    """Passes over records, as many as there are; of the last OPT record the size is kept."""
    for _ in range(count):
        if not parser.remaining():
            return
        parser.get_name()
        kind, size, _, length = parser.get_struct("!HHIH")
        parser.get_bytes(length)
        if kind == dns.rdatatype.OPT:
            query.use_edns(0, payload=size)
