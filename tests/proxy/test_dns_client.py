"""Questions that are given up leave no socket behind; lost ones are asked again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket

import dns.message
import pytest
import uvloop

from sandbox.dns.upstream import UpstreamResolvers, UpstreamServer
from sandbox.proxy.dns_client import exchange

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted in /proc")


@pytest.mark.parametrize("of_proxy", [True, False], ids=["the proxy's resolver", "the DNS proxy's upstream"])
def test_cancelled_question_leaves_no_socket(of_proxy: bool) -> None:
    async def ask_and_give_up(silent: tuple[str, int], steps: int) -> None:
        if of_proxy:
            task = asyncio.ensure_future(exchange(silent, "api.example.com", "A", 5))
        else:
            upstream = UpstreamResolvers([UpstreamServer(*silent)])
            task = asyncio.ensure_future(upstream.ask(b"\0\1", over_tcp=False, size_limit=512))  # type: ignore[arg-type]
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
            for _ in range(20):
                await ask_and_give_up(silent.getsockname(), random.randrange(6))
            await asyncio.sleep(0.05)
            return before, len(os.listdir("/proc/self/fd"))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        before, after = runner.run(play())

    assert after <= before


class Forgetful(asyncio.DatagramProtocol):
    """A server that loses the first datagram."""

    def __init__(self) -> None:
        self.questions = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.questions += 1
        if self.questions > 1:
            answer = dns.message.make_response(dns.message.from_wire(data)).to_wire()
            self.transport.sendto(answer, addr)  # type: ignore[attr-defined]  # it is a datagram transport


def test_lost_datagram_is_sent_again() -> None:
    async def play() -> tuple[dns.message.Message | None, int]:
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(Forgetful, local_addr=("127.0.0.1", 0))
        answer = await exchange(transport.get_extra_info("sockname"), "api.example.com", "A", 5)
        transport.close()
        return answer, server.questions

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer, questions = runner.run(play())

    assert answer is not None
    assert questions == 2
