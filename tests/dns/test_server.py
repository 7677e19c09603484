"""The DNS proxy on real loopback sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest

from sandbox.dns.server import DnsServer
from sandbox.dns.upstream import UpstreamResolvers, UpstreamServer
from sandbox.match.name_lookup import NameLookup
from sandbox.plan.name_table import NameEntry, NameTable

TABLE = NameTable(hosts={"known.example": NameEntry(addresses=("10.0.0.1",), registry="External")})
LOOKUP = NameLookup(TABLE, namespace="ns", domain="ns.svc.cluster.local", search_domain=None)


class FakeResolver(asyncio.DatagramProtocol):
    """An upstream over UDP that answers as it is told; ``None`` is silence."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        self.asked += 1
        reply = self._answer(data)
        if reply is not None:
            self.transport.sendto(reply, source)


def refuse_name(wire: bytes) -> bytes:
    """NXDOMAIN to every question."""
    reply = dns.message.make_response(dns.message.from_wire(wire))
    reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply.to_wire()


@asynccontextmanager
async def running(
    *servers: UpstreamServer,
    timeout_seconds: float = 5.0,
    shuffle: Callable[[list[UpstreamServer]], None] = lambda _servers: None,
) -> AsyncIterator[int]:
    upstream = UpstreamResolvers(servers, timeout_seconds, shuffle=shuffle)
    server = DnsServer(lambda: LOOKUP, upstream, random.Random(1))
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop()


@asynccontextmanager
async def resolver(answer: Callable[[bytes], bytes | None]) -> AsyncIterator[tuple[FakeResolver, UpstreamServer]]:
    fake = FakeResolver(answer)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: fake, local_addr=("127.0.0.1", 0))
    try:
        yield fake, UpstreamServer("127.0.0.1", transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


ASK: dict[str, Callable[..., Awaitable[dns.message.Message]]] = {
    "udp": dns.asyncquery.udp,
    "tcp": dns.asyncquery.tcp,
}


@pytest.mark.parametrize("network", ["udp", "tcp"])
def test_known_name_is_answered(network: str) -> None:
    async def scenario() -> dns.message.Message:
        async with running() as port:
            return await ASK[network](dns.message.make_query("known.example", "A"), "127.0.0.1", port=port, timeout=5)

    reply = asyncio.run(scenario())

    assert reply.flags & dns.flags.AA
    assert [str(record) for record in reply.answer[0]] == ["10.0.0.1"]


def test_unknown_name_is_answered_by_the_upstream() -> None:
    async def scenario() -> dns.message.Message:
        async with resolver(refuse_name) as (_, upstream), running(upstream) as port:
            return await ASK["udp"](dns.message.make_query("other.example", "A"), "127.0.0.1", port=port, timeout=5)

    assert asyncio.run(scenario()).rcode() == dns.rcode.NXDOMAIN


def test_second_upstream_is_asked_when_the_first_is_silent() -> None:
    async def scenario() -> tuple[dns.message.Message, int]:
        async with (
            resolver(lambda _: None) as (silent, first),
            resolver(refuse_name) as (_, second),
            running(first, second, timeout_seconds=0.05) as port,
        ):
            query = dns.message.make_query("other.example", "A")
            return await ASK["udp"](query, "127.0.0.1", port=port, timeout=5), silent.asked

    reply, asked = asyncio.run(scenario())

    assert (reply.rcode(), asked) == (dns.rcode.NXDOMAIN, 1)


def test_servers_are_asked_in_another_order_for_each_question() -> None:
    async def scenario() -> tuple[int, int]:
        async with resolver(refuse_name) as (one, first), resolver(refuse_name) as (other, second):
            async with running(first, second, shuffle=list.reverse) as port:
                await ASK["udp"](dns.message.make_query("other.example", "A"), "127.0.0.1", port=port, timeout=5)
            return one.asked, other.asked

    assert asyncio.run(scenario()) == (0, 1)


@pytest.mark.parametrize("network", ["udp", "tcp"])
def test_no_upstream_that_answers_is_a_server_failure(network: str) -> None:
    async def scenario() -> dns.message.Message:
        async with running() as port:
            return await ASK[network](dns.message.make_query("other.example", "A"), "127.0.0.1", port=port, timeout=5)

    assert asyncio.run(scenario()).rcode() == dns.rcode.SERVFAIL


def test_upstream_reply_that_the_client_could_not_take_is_a_failure() -> None:
    async def scenario() -> dns.message.Message:
        async with resolver(lambda wire: wire[:2] + bytes(600)) as (_, upstream), running(upstream) as port:
            return await ASK["udp"](dns.message.make_query("other.example", "A"), "127.0.0.1", port=port, timeout=5)

    assert asyncio.run(scenario()).rcode() == dns.rcode.SERVFAIL


def test_malformed_datagram_is_a_format_error_and_the_server_lives_on() -> None:
    async def scenario() -> tuple[bytes, dns.message.Message]:
        async with running() as port:
            loop = asyncio.get_running_loop()
            reply: asyncio.Future[bytes] = loop.create_future()

            class Client(asyncio.DatagramProtocol):
                def datagram_received(self, data: bytes, _source: object) -> None:
                    reply.set_result(data)

            transport, _ = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", port))
            transport.sendto(b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x3fbad")
            malformed = await reply
            transport.close()
            query = dns.message.make_query("known.example", "A")
            return malformed, await ASK["udp"](query, "127.0.0.1", port=port, timeout=5)

    malformed, later = asyncio.run(scenario())

    assert malformed[:4] == b"\x12\x34\x81\x01"
    assert later.rcode() == dns.rcode.NOERROR


def test_questions_on_one_connection_are_answered_in_order_and_silence_does_not_end_it() -> None:
    known, reply_of_mine = dns.message.make_query("known.example", "A", id=1), bytearray(b"\0\2\x81\0") + bytes(8)
    bad = b"\0\3\1\0" + bytes(8)

    async def scenario() -> list[bytes]:
        async with running() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for wire in (known.to_wire(), bytes(reply_of_mine), bad, known.to_wire()):
                writer.write(len(wire).to_bytes(2, "big") + wire)
            replies = [await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")) for _ in range(3)]
            writer.close()
            return replies

    first, second, third = asyncio.run(scenario())

    assert first == third
    assert second == b"\0\3\x81\1" + bytes(8)


def test_connection_ends_after_128_questions() -> None:
    wire = dns.message.make_query("known.example", "A").to_wire()

    async def scenario() -> int:
        async with running() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write((len(wire).to_bytes(2, "big") + wire) * 130)
            answered = 0
            while length := await reader.read(2):
                await reader.readexactly(int.from_bytes(length, "big"))
                answered += 1
            writer.close()
            return answered

    assert asyncio.run(scenario()) == 128


def test_truncated_reply_of_the_upstream_is_passed_on_and_the_client_asks_again_by_tcp() -> None:
    def truncated(wire: bytes) -> bytes:
        reply = dns.message.make_response(dns.message.from_wire(wire))
        reply.flags |= dns.flags.TC
        return reply.to_wire()

    async def scenario() -> tuple[dns.message.Message, dns.message.Message]:
        query = dns.message.make_query("other.example", "A")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            reply = refuse_name(asked)
            writer.write(len(reply).to_bytes(2, "big") + reply)
            writer.close()

        async with resolver(truncated) as (_, upstream):
            tcp = await asyncio.start_server(serve, "127.0.0.1", upstream.port)
            async with tcp, running(upstream) as port:
                by_udp = await ASK["udp"](query, "127.0.0.1", port=port, timeout=5)
                return by_udp, await ASK["tcp"](query, "127.0.0.1", port=port, timeout=5)

    by_udp, by_tcp = asyncio.run(scenario())

    assert by_udp.flags & dns.flags.TC
    assert by_tcp.rcode() == dns.rcode.NXDOMAIN
