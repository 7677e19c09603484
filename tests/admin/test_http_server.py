"""The admin ports' HTTP, byte by byte: who says nothing, or half of it, is let go."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from sandbox.admin.answers import AdminRequest, Answer
from sandbox.admin.http_server import AdminProtocol


class OnePort:
    """Answers everything."""

    def answer(self, _sandbox: object, request: AdminRequest, *, is_loopback_only: bool) -> Answer:
        return Answer(f"{request.method} {request.path} {is_loopback_only}\n")


async def told(*pieces: bytes) -> bytes:
    """What a client that sends these, and then waits, reads until the connection ends."""
    loop = asyncio.get_running_loop()
    make = lambda: AdminProtocol(cast(Any, OnePort()), cast(Any, None), is_loopback_only=True)  # noqa: E731
    async with await loop.create_server(make, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        try:
            return await asyncio.wait_for(reader.read(), 5)
        except ConnectionError:
            return b""
        finally:
            writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param((), id="nothing"),
        pytest.param((b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n",), id="half a head"),
        pytest.param((b"x" * 20_000,), id="too much"),
    ],
)
def test_a_head_that_does_not_end_is_not_waited_for(sent: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.admin.http_server.HEAD_SECONDS", 0.05)

    assert asyncio.run(told(*sent)) == b""


def test_a_head_in_pieces_is_answered_once() -> None:
    head = b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    answer = asyncio.run(told(*(head[at : at + 1] for at in range(len(head))), head))

    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert answer.endswith(b"GET /ready True\n")
