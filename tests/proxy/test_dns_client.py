"""Questions that are given up leave no socket behind; lost ones are asked again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket

import dns.message
import dns.rcode
import pytest
import uvloop

from sandbox.dns.upstream import UpstreamResolvers, UpstreamServer
from sandbox.proxy.dns_client import NoReply, ask
from sandbox.proxy.dns_server import DnsServer

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted in /proc")


@pytest.mark.parametrize("of_proxy", [True, False], ids=["the proxy's resolver", "the DNS proxy's upstream"])
def test_cancelled_question_leaves_no_socket(of_proxy: bool) -> None:
    async def ask_and_give_up(silent: tuple[str, int], steps: int) -> None:
        if of_proxy:
            task: asyncio.Future[object] = asyncio.ensure_future(
                ask([DnsServer(*silent)], "api.example.com", "A", random.Random(1))
            )
        else:
            upstream = UpstreamResolvers([UpstreamServer(*silent)])
            task = asyncio.ensure_future(upstream.ask(b"\0\1", over_tcp=False, size_limit=512))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def play() -> tuple[int, int]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            await ask_and_give_up(silent.getsockname(), 9)
            await asyncio.sleep(0.01)
            before = len(os.listdir("/proc/self/fd"))
            for steps in range(20):
                await ask_and_give_up(silent.getsockname(), steps % 6)
            await asyncio.sleep(0.05)
            return before, len(os.listdir("/proc/self/fd"))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        before, after = runner.run(play())

    assert after <= before


class Scripted(asyncio.DatagramProtocol):
    """A server that answers questions by its script, and from the end of it well."""

    def __init__(self, script: tuple[str, ...]) -> None:
        self.script = iter(script)
        self.questions = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.questions += 1
        query = dns.message.from_wire(data)
        reply = dns.message.make_response(query)
        word = next(self.script, "good")
        if word == "lost":
            return
        if word == "old":
            assert query.edns == 0
            reply.set_rcode(dns.rcode.FORMERR)
        elif word == "another's":
            reply.id ^= 1
        elif word != "good" and word != "garbage":
            reply.set_rcode(dns.rcode.from_text(word))
        wire = b"garbage" if word == "garbage" else reply.to_wire()
        self.transport.sendto(wire, addr)  # type: ignore[attr-defined]  # it is a datagram transport


def known(address: tuple[str, int]) -> DnsServer:
    """A server that has answered quickly three times."""
    server = DnsServer(*address)
    for _ in range(3):
        server.has_answered(0.0)
    return server


@pytest.mark.parametrize(
    ("script", "questions", "outcome"),
    [
        pytest.param((), 1, "NOERROR", id="answered"),
        pytest.param(("lost",), 2, "NOERROR", id="lost"),
        pytest.param(("SERVFAIL", "REFUSED", "NOTIMP"), 4, "NOERROR", id="failing three times"),
        pytest.param(("SERVFAIL",) * 4, 4, "SERVFAIL", id="failing"),
        pytest.param(("SERVFAIL", "SERVFAIL", "SERVFAIL", "REFUSED"), 4, "REFUSED", id="the last word counts"),
        pytest.param(("NXDOMAIN",), 1, "NXDOMAIN", id="no such name"),
        pytest.param(("old",), 2, "NOERROR", id="a server that does not know EDNS"),
        pytest.param(("garbage",), 2, "NOERROR", id="garbage"),
        pytest.param(("garbage",) * 4, 4, NoReply.UNREADABLE, id="nothing but garbage"),
        pytest.param(("another's",), 2, "NOERROR", id="an answer to somebody else"),
    ],
)
def test_a_server_is_asked_as_envoy_asks_it(script: tuple[str, ...], questions: int, outcome: str | NoReply) -> None:
    """As Envoy 1.39.3 did with a resolver that answered so."""

    async def play() -> tuple[dns.message.Message | NoReply, int]:
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(lambda: Scripted(script), local_addr=("127.0.0.1", 0))
        servers = [known(transport.get_extra_info("sockname"))]
        answer = await ask(servers, "api.example.com", "A", random.Random(1))
        transport.close()
        return answer, server.questions

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer, asked = runner.run(play())

    assert asked == questions
    assert (answer if isinstance(answer, NoReply) else dns.rcode.to_text(answer.rcode())) == outcome


def test_a_server_that_nobody_listens_at_is_out_of_reach() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer = runner.run(ask([known(address)], "api.example.com", "A", random.Random(1)))

    assert answer is NoReply.UNREACHABLE


@pytest.mark.parametrize(
    ("answers", "earlier_tries", "draw", "seconds"),
    [
        pytest.param((), 0, 0.9, 5.0, id="unknown"),
        pytest.param((), 1, 0.0, 10.0, id="unknown, again"),
        pytest.param((), 1, 0.5, 7.5, id="unknown, again, by chance sooner"),
        pytest.param((0.001, 0.001), 0, 0.0, 5.0, id="known too little"),
        pytest.param((0.001, 0.001, 0.001), 0, 0.0, 0.25, id="quick"),
        pytest.param((0.001, 0.001, 0.001), 3, 0.0, 2.0, id="quick, a fourth time"),
        pytest.param((0.1, 0.2, 0.3), 0, 0.0, 1.0, id="five times its average"),
        pytest.param((0.1, 0.2, 0.3), 1, 1.0, 1.0, id="never less than at first"),
        pytest.param((2.0, 2.0, 2.0), 0, 0.0, 5.0, id="slow"),
    ],
)
def test_patience_follows_how_quickly_a_server_has_answered(
    answers: tuple[float, ...], earlier_tries: int, draw: float, seconds: float
) -> None:
    server = DnsServer("127.0.0.1", 53)
    for each in answers:
        server.has_answered(each)

    assert server.patience(earlier_tries, draw) == pytest.approx(seconds)
