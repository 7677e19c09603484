"""Which datagrams are questions; every reply here is what the library of Istio's agent (miekg/dns 1.1.72) sends."""

from __future__ import annotations

import struct

import dns.message
import pytest

from sandbox.dns.question import Unanswerable, parse_question

QUERY = dns.message.make_query("a.example", "A", id=7).to_wire()
WITH_SIZE = dns.message.make_query("a.example", "A", id=7, use_edns=0, payload=1232).to_wire()
QUESTION = QUERY[12:]
RECORD = bytes.fromhex("00 0001 0001 00000000 0004 01020304")
TAIL = bytes.fromhex("0001 0001")


def changed(wire: bytes = QUERY, *, flags: int = 0x0100, counts: tuple[int, int, int, int] = (1, 0, 0, 0)) -> bytes:
    """The message with another header."""
    return wire[:2] + struct.pack("!5H", flags, *counts) + wire[12:]


def refusal(flags: int, question: bytes = b"") -> bytes:
    return struct.pack("!6H", 7, flags, 1 if question else 0, 0, 0, 0) + question


@pytest.mark.parametrize(
    ("wire", "reply"),
    [
        pytest.param(b"", None, id="nothing"),
        pytest.param(QUERY[:11], None, id="shorter than a header"),
        pytest.param(changed(flags=0x8180), None, id="a reply"),
        pytest.param(changed(flags=0x2900), refusal(0xA904), id="an update"),
        pytest.param(changed(flags=0x1100), refusal(0x9104), id="a status request"),
        pytest.param(changed(flags=0x2FFF), refusal(0xABB4), id="an update with every bit"),
        pytest.param(QUERY[:12], refusal(0x8105), id="a header alone"),
        pytest.param(changed(QUERY[:12], flags=0x2100), refusal(0xA005), id="a notification's header alone"),
        pytest.param(changed(counts=(0, 0, 0, 0)), refusal(0x8101), id="no question"),
        pytest.param(changed(QUERY + QUESTION, counts=(2, 0, 0, 0)), refusal(0x8101), id="two questions"),
        pytest.param(changed(flags=0x07B0, counts=(2, 0, 0, 0)), refusal(0x83B1), id="bits that are kept"),
        pytest.param(changed(QUERY + RECORD * 2, counts=(1, 2, 0, 0)), refusal(0x8101), id="two answers"),
        pytest.param(changed(QUERY + RECORD * 2, counts=(1, 0, 2, 0)), refusal(0x8101), id="two authorities"),
        pytest.param(changed(QUERY + RECORD * 3, counts=(1, 0, 0, 3)), refusal(0x8101), id="three more"),
        pytest.param(QUERY[:-3], refusal(0x8101), id="cut in the type"),
        pytest.param(QUERY[:-1], refusal(0x8101), id="cut in the class"),
        pytest.param(QUERY[:-6], refusal(0x8101), id="cut in the name"),
        pytest.param(QUERY[:12] + b"\x40" + b"a" * 64 + b"\0" + TAIL, refusal(0x8101), id="a label of 64 bytes"),
        pytest.param(QUERY[:12] + b"\xc0\x0c" + TAIL, refusal(0x8101), id="a name that points at itself"),
        pytest.param(
            QUERY[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\0" + TAIL, refusal(0x8101), id="a name that is too long"
        ),
        pytest.param(
            changed(QUERY + RECORD[:-2], counts=(1, 0, 0, 1)), refusal(0x8101, QUESTION), id="cut in a record"
        ),
        pytest.param(
            changed(WITH_SIZE[:-4], flags=0x0390, counts=(1, 0, 0, 1)),
            refusal(0x8391, QUESTION),
            id="cut in the size that EDNS gives",
        ),
    ],
)
def test_what_is_no_question(wire: bytes, reply: bytes | None) -> None:
    with pytest.raises(Unanswerable) as bad:
        parse_question(wire)

    assert bad.value.reply == reply


@pytest.mark.parametrize(
    ("wire", "size"),
    [
        pytest.param(QUERY, None, id="a question"),
        pytest.param(WITH_SIZE, 1232, id="with a size"),
        pytest.param(changed(WITH_SIZE + WITH_SIZE[-11:], counts=(1, 0, 0, 2)), 1232, id="with two sizes"),
        pytest.param(QUERY + b"abc", None, id="bytes behind the end"),
        pytest.param(changed(counts=(1, 0, 0, 1)), None, id="a record that is promised and not there"),
        pytest.param(changed(QUERY + RECORD, counts=(1, 1, 0, 0)), None, id="an answer"),
        pytest.param(QUERY[:-2], None, id="without a class"),
        pytest.param(QUERY[:-4], None, id="without type and class"),
        pytest.param(changed(flags=0x2100), None, id="a notification"),
        pytest.param(changed(flags=0x07FF), None, id="every bit"),
    ],
)
def test_what_is_a_question(wire: bytes, size: int | None) -> None:
    query = parse_question(wire)

    assert query.id == 7
    assert [one.name.to_text() for one in query.question] == ["a.example."]
    assert (query.payload if query.edns >= 0 else None) == size


def test_every_cut_of_a_question_does_no_harm() -> None:
    for offset in range(len(WITH_SIZE)):
        try:
            parse_question(WITH_SIZE[:offset])
        except Unanswerable:
            continue
