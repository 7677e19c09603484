"""The DNS proxy's sockets: UDP and TCP on one address."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from typing import cast

import dns.message

from sandbox.dns.question import Unanswerable, parse_question
from sandbox.dns.respond import MAXIMUM_BYTES, encode, fail, respond, udp_size
from sandbox.dns.upstream import Upstream
from sandbox.match.name_lookup import Forward, NameLookup
from sandbox.proxy.tasks import spawn

FIRST_SECONDS, IDLE_SECONDS = 2.0, 8.0
"""How long a TCP client may be silent before its first question, and between later ones; of Istio's DNS library too."""
QUESTIONS_PER_CONNECTION = 128
QUERY_BYTES = 512
"""What is read of a datagram; the library reads no more either (its default buffer)."""
MAXIMUM_PENDING = 4096
"""Forwarded questions under way at once; more are dropped, and the client asks again."""


class DnsServer:
    """Answers from the current table; ``lookup`` is asked for it at every question, so a reload needs no restart."""

    def __init__(self, lookup: Callable[[], NameLookup | None], upstream: Upstream, randomness: random.Random) -> None:
        self._lookup = lookup
        self._upstream = upstream
        self._shuffle = randomness.shuffle
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Binds UDP and TCP on one port (``0`` picks one that is free on both) and returns it."""
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve_tcp, host, port)
        bound: int = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(host, bound))
        return bound

    async def adopt(self, tcp: socket.socket, udp: socket.socket) -> None:
        """Serves sockets that somebody else has bound, ``tcp`` listening already."""
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve_tcp, sock=tcp)
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)

    async def stop(self) -> None:
        """Closes both sockets and ends what is under way."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        clients = tuple(self._clients.values())
        for writer in self._clients:
            writer.close()  # the reader sees the end, and the client's task returns by itself
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*clients, *self._tasks, return_exceptions=True)

    def receive(self, wire: bytes, send: Callable[[bytes], None]) -> None:
        """One datagram: answered at once from the table, or later by the upstream."""
        wire = wire[:QUERY_BYTES]
        try:
            query = parse_question(wire)
        except Unanswerable as bad:
            if bad.reply is not None:
                send(bad.reply)
            return
        reply = respond(query, self._lookup(), self._shuffle)
        if not isinstance(reply, Forward):
            send(encode(reply, udp_size(query)))
        elif len(self._tasks) < MAXIMUM_PENDING:
            self._keep(spawn(self._forward(query, wire, send), name="dns forward"))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, query: dns.message.Message, wire: bytes, send: Callable[[bytes], None]) -> None:
        limit = udp_size(query)
        reply = await self._upstream.ask(wire, over_tcp=False, size_limit=limit)
        send(encode(fail(query), limit) if reply is None else reply)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[writer] = task
        try:
            for number in range(QUESTIONS_PER_CONNECTION):
                async with asyncio.timeout(IDLE_SECONDS if number else FIRST_SECONDS):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    wire = await reader.readexactly(length)
                reply = await self._answer_tcp(wire)
                if reply is not None:
                    writer.write(len(reply).to_bytes(2, "big") + reply)
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return  # the client is gone, or silent for too long
        finally:
            del self._clients[writer]
            writer.close()

    async def _answer_tcp(self, wire: bytes) -> bytes | None:
        try:
            query = parse_question(wire)
        except Unanswerable as bad:
            return bad.reply
        reply = respond(query, self._lookup(), self._shuffle)
        if not isinstance(reply, Forward):
            return encode(reply, MAXIMUM_BYTES)
        forwarded = await self._upstream.ask(wire, over_tcp=True, size_limit=MAXIMUM_BYTES)
        return encode(fail(query), MAXIMUM_BYTES) if forwarded is None else forwarded


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        transport = self._transport
        if transport is not None:
            self._server.receive(data, lambda reply: transport.sendto(reply, source))
