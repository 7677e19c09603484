"""Questions that the mesh does not answer go to the workload's own resolvers, one after another."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

FORWARD_SECONDS = 5.0
"""How long one upstream may take (``DNS_FORWARD_TIMEOUT`` of Istio's agent)."""


class Upstream(Protocol):
    """Whoever answers what the mesh does not."""

    async def ask(self, query: bytes, *, over_tcp: bool, size_limit: int) -> bytes | None:
        """The reply, or ``None`` when nobody answers; over UDP one larger than ``size_limit`` is no answer."""


@dataclass(frozen=True, slots=True)
class UpstreamServer:
    """A resolver's address and port."""

    host: str
    port: int = 53


class _Exchange(asyncio.DatagramProtocol):
    """One question over UDP: the first datagram with the question's identity is the reply."""

    def __init__(self, query: bytes, reply: asyncio.Future[bytes]) -> None:
        self._query = query
        self._reply = reply
        self._transport: asyncio.DatagramTransport | None = None
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        if self._is_over:
            transport.close()
        else:
            self._transport.sendto(self._query)

    def close(self) -> None:
        """Given up or answered; the loop does not close what it was making when it was cancelled."""
        self._is_over = True
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, _source: object) -> None:
        if data[:2] == self._query[:2] and not self._reply.done():
            self._reply.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self._reply.done():
            self._reply.set_exception(error)


OWN_PORTS = range(61001, 65536)
"""Source ports beyond those that Linux gives to programs: beside a sidecar's redirect rules, a question of ours from
the port of a captured one would match that one's connection entry and come back to us.
"""
PORTS_TRIED = 4


class UpstreamResolvers:
    """Asks the given servers until one answers, for each question in another order.

    The reply is passed on as it came; the transport is the client's own: a question that came by TCP is asked by TCP.
    """

    def __init__(
        self,
        servers: Sequence[UpstreamServer],
        timeout_seconds: float = FORWARD_SECONDS,
        *,
        shuffle: Callable[[list[UpstreamServer]], None] = random.shuffle,
    ) -> None:
        self._servers = tuple(servers)
        self._timeout = timeout_seconds
        self._shuffle = shuffle

    async def ask(self, query: bytes, *, over_tcp: bool, size_limit: int) -> bytes | None:
        """The first reply, or ``None`` when no server answers; over UDP one larger than ``size_limit`` is no answer."""
        servers = list(self._servers)
        self._shuffle(servers)
        for server in servers:
            try:
                async with asyncio.timeout(self._timeout):
                    reply = await (_ask_tcp(server, query) if over_tcp else _ask_udp(server, query))
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                continue
            if over_tcp or len(reply) <= size_limit:
                return reply
        return None


async def _ask_udp(server: UpstreamServer, query: bytes) -> bytes:
    reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    exchange = _Exchange(query, reply)
    try:
        await _open_udp(server, exchange)
        return await reply
    finally:
        exchange.close()


async def _open_udp(server: UpstreamServer, exchange: _Exchange) -> None:
    loop, remote = asyncio.get_running_loop(), (server.host, server.port)
    everywhere = "::" if ":" in server.host else "0.0.0.0"
    for port in random.sample(OWN_PORTS, PORTS_TRIED):
        try:
            await loop.create_datagram_endpoint(lambda: exchange, local_addr=(everywhere, port), remote_addr=remote)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise
        return
    await loop.create_datagram_endpoint(lambda: exchange, remote_addr=remote)


async def _ask_tcp(server: UpstreamServer, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(await reader.readexactly(2), "big")
        return await reader.readexactly(length)
    finally:
        writer.close()
