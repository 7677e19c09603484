"""Questions that are given up leave no socket behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket

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
