"""Replies of the DNS proxy, message by message."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from sandbox.dns.respond import encode, respond, udp_size
from sandbox.match.name_lookup import Forward, NameLookup
from sandbox.plan.name_table import NameEntry, NameTable


def keep_order(_addresses: list[str]) -> None:
    """A shuffle that does nothing."""


def lookup_of(**hosts: tuple[str, ...]) -> NameLookup:
    table = NameTable(
        hosts={host.replace("_", "."): NameEntry(addresses=ips, registry="External") for host, ips in hosts.items()}
    )
    return NameLookup(table, namespace="ns", domain="ns.svc.cluster.local", search_domain=None)


def test_known_name_is_answered_with_authority_and_a_short_life() -> None:
    query = dns.message.make_query("API.example.com", "A")

    reply = respond(query, lookup_of(api_example_com=("10.0.0.1",)), keep_order)

    assert isinstance(reply, dns.message.Message)
    assert reply.id == query.id
    assert reply.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD
    assert reply.question[0].name.to_text() == "API.example.com."
    assert [rrset.to_text() for rrset in reply.answer] == ["api.example.com. 30 IN A 10.0.0.1"]


def test_answer_is_in_lower_case_whatever_the_case_of_the_question() -> None:
    query = dns.message.make_query("API.Example.com", "A")
    reply = respond(query, lookup_of(api_example_com=("10.0.0.1",)), keep_order)
    assert isinstance(reply, dns.message.Message)

    decoded = dns.message.from_wire(encode(reply, 512))

    assert decoded.answer[0].name.to_text() == "api.example.com."


def test_known_name_without_that_family_is_an_empty_success() -> None:
    reply = respond(
        dns.message.make_query("api.example.com", "AAAA"), lookup_of(api_example_com=("10.0.0.1",)), keep_order
    )

    assert isinstance(reply, dns.message.Message)
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


def test_unknown_name_is_forwarded() -> None:
    assert respond(dns.message.make_query("x.example", "A"), lookup_of(), keep_order) == Forward()


def test_before_a_table_is_there_the_server_fails() -> None:
    reply = respond(dns.message.make_query("x.example", "A"), None, keep_order)

    assert isinstance(reply, dns.message.Message)
    assert reply.rcode() == dns.rcode.SERVFAIL


def test_no_question_is_a_server_failure() -> None:
    reply = respond(dns.message.Message(id=0x1234), lookup_of(), keep_order)

    assert isinstance(reply, dns.message.Message)
    assert (reply.id, reply.rcode()) == (0x1234, dns.rcode.SERVFAIL)


@pytest.mark.parametrize("kind", ["MX", "SRV", "PTR", "HTTPS", "ANY", "TXT", "SOA"])
def test_other_types_are_forwarded_even_of_known_names(kind: str) -> None:
    query = dns.message.make_query("api.example.com", kind)

    assert respond(query, lookup_of(api_example_com=("10.0.0.1",)), keep_order) == Forward()


def test_notification_is_answered_in_kind() -> None:
    query = dns.message.make_query("api.example.com", "A")
    query.set_opcode(dns.opcode.NOTIFY)

    reply = respond(query, lookup_of(api_example_com=("10.0.0.1",)), keep_order)

    assert isinstance(reply, dns.message.Message)
    assert (reply.opcode(), reply.flags & dns.flags.RD) == (dns.opcode.NOTIFY, 0)


def test_reply_that_does_not_fit_is_cut_and_says_so() -> None:
    addresses = tuple(f"10.0.{number // 256}.{number % 256}" for number in range(100))
    query = dns.message.make_query("many.example", "A")
    reply = respond(query, lookup_of(many_example=addresses), keep_order)
    assert isinstance(reply, dns.message.Message)

    wire = encode(reply, udp_size(query))

    decoded = dns.message.from_wire(wire)
    assert len(wire) <= 512
    assert decoded.flags & dns.flags.TC
    assert [str(record) for record in decoded.answer[0]] == list(addresses[:30])


def test_edns_allows_a_larger_reply() -> None:
    addresses = tuple(f"10.0.0.{number}" for number in range(100))
    query = dns.message.make_query("many.example", "A", use_edns=0, payload=4096)
    reply = respond(query, lookup_of(many_example=addresses), keep_order)
    assert isinstance(reply, dns.message.Message)

    decoded = dns.message.from_wire(encode(reply, udp_size(query)))

    assert not decoded.flags & dns.flags.TC
    assert len(decoded.answer[0]) == 100


@pytest.mark.parametrize(
    ("payload", "size"),
    [(None, 512), (0, 512), (511, 512), (512, 512), (1232, 1232), (65535, 65535)],
)
def test_size_of_a_reply(payload: int | None, size: int) -> None:
    query = dns.message.make_query("a.example", "A")
    if payload is not None:
        query.use_edns(0, payload=payload)

    assert udp_size(query) == size
