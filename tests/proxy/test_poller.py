"""Poller: an end is told even where it comes together with bytes."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from sandbox.proxy.peek import Peek
from sandbox.proxy.poller import poller_of

from .proxy_world import LOOPS, on_a_loop, run


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection, both non-blocking."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    client.setblocking(False)
    server.setblocking(False)
    return client, server


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("end", [reset, socket.socket.close], ids=["rst", "fin"])
@on_a_loop
async def test_bytes_and_the_end_in_one_event_are_both_told(loop: str, end: object) -> None:
    for _ in range(20):
        client, server = pair()
        ended = asyncio.get_running_loop().create_future()
        peek = Peek(asyncio.get_running_loop(), server, lambda data: None, ended.set_result)
        peek.start()
        client.send(b"half of something")
        end(client)  # type: ignore[operator]
        assert await ended is False
        server.close()


@pytest.mark.parametrize("loop", LOOPS)
@on_a_loop
async def test_reading_and_writing_of_one_socket_are_told_apart(loop: str) -> None:
    poller = poller_of(asyncio.get_running_loop())
    client, server = pair()
    told: asyncio.Queue[str] = asyncio.Queue()
    fd = server.fileno()

    def is_readable() -> None:
        poller.remove_reader(fd)
        told.put_nowait("read")

    def is_writable() -> None:
        poller.remove_writer(fd)
        told.put_nowait("write")

    poller.add_reader(fd, is_readable)
    poller.add_writer(fd, is_writable)
    assert await told.get() == "write"
    client.send(b"x")
    assert await told.get() == "read"
    assert not poller.remove_reader(fd)
    assert not poller.remove_writer(fd)
    client.close()
    server.close()


def test_a_fault_of_one_does_not_cost_the_others_their_event(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        poller = poller_of(asyncio.get_running_loop())
        ends = pair()
        told = asyncio.get_running_loop().create_future()

        def fail() -> None:
            poller.remove_writer(ends[0].fileno())
            raise ValueError("a fault")

        def succeed() -> None:
            poller.remove_writer(ends[1].fileno())
            told.set_result(None)

        poller.add_writer(ends[0].fileno(), fail)
        poller.add_writer(ends[1].fileno(), succeed)
        await told
        for each in ends:
            each.close()

    run(test)
    assert "a connection failed" in caplog.text
