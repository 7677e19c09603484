"""One question to DNS servers, put as c-ares, Envoy's resolver, puts it: in turn, until there is an answer.

UDP, and TCP where an answer is truncated (RFC 1035, RFC 7766); what arrives late still counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
from collections.abc import Sequence
from typing import Final, cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode

from sandbox.proxy.dns_server import TRIES, DnsServer

NOT_FOR_US: Final = (dns.rcode.SERVFAIL, dns.rcode.NOTIMP, dns.rcode.REFUSED)
"""The next server is asked at once, be it the same."""


class NoReply(enum.Enum):
    """What is there in place of a message."""

    TIMED_OUT = enum.auto()
    UNREACHABLE = enum.auto()
    UNREADABLE = enum.auto()


async def ask(
    servers: Sequence[DnsServer], name: str, kind: str, draws: random.Random
) -> dns.message.Message | NoReply:
    """The first answer, or what came last."""
    try:
        question = _Question(dns.message.make_query(name, kind, use_edns=0, payload=1232))
    except (dns.exception.DNSException, UnicodeError):
        return NoReply.UNREADABLE
    outcome: dns.message.Message | NoReply = NoReply.TIMED_OUT
    try:
        for number in range(TRIES * len(servers)):
            server = servers[number % len(servers)]
            seconds = server.patience(number // len(servers), draws.random())
            outcome = await question.put_to(server, seconds)
            if isinstance(outcome, dns.message.Message) and outcome.rcode() not in NOT_FOR_US:
                break
    finally:
        question.close()
    return outcome


class _Question:
    """A query, its sockets, and who answers first."""

    def __init__(self, query: dns.message.Message) -> None:
        self.query = query
        self._endpoints: dict[tuple[str, int], _Endpoint] = {}
        self._uses_tcp = False
        self.answer: asyncio.Future[dns.message.Message] = asyncio.get_running_loop().create_future()

    async def put_to(self, server: DnsServer, seconds: float) -> dns.message.Message | NoReply:
        """One try."""
        loop = asyncio.get_running_loop()
        self.answer, begin = loop.create_future(), loop.time()
        try:
            async with asyncio.timeout(seconds):
                reply = await self._reply_of(server)
        except TimeoutError:
            return NoReply.TIMED_OUT
        except OSError:
            return NoReply.UNREACHABLE
        except (dns.exception.DNSException, ValueError, asyncio.IncompleteReadError):
            return NoReply.UNREADABLE
        server.has_answered(loop.time() - begin)
        return reply

    async def _reply_of(self, server: DnsServer) -> dns.message.Message:
        reply = await self._over_tcp(server) if self._uses_tcp else await self._over_udp(server)
        if reply.rcode() == dns.rcode.FORMERR and self.query.edns >= 0:
            self.query.use_edns(False)  # an old server (RFC 6891 7), though some of them repeat what they do not know
            self.answer = asyncio.get_running_loop().create_future()
            reply = await self._over_udp(server)
        if reply.flags & dns.flags.TC and not self._uses_tcp:
            self._uses_tcp = True
            reply = await self._over_tcp(server)
        return reply

    async def _over_udp(self, server: DnsServer) -> dns.message.Message:
        endpoint = self._endpoints.get(server.address)
        if endpoint is None:
            endpoint = self._endpoints[server.address] = _Endpoint(self)
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: endpoint, remote_addr=server.address)
        endpoint.send(self.query.to_wire())
        return await self.answer

    async def _over_tcp(self, server: DnsServer) -> dns.message.Message:
        reader, writer = await asyncio.open_connection(*server.address)
        try:
            wire = self.query.to_wire()
            writer.write(len(wire).to_bytes(2, "big") + wire)
            size = int.from_bytes(await reader.readexactly(2), "big")
            reply = dns.message.from_wire(await reader.readexactly(size), ignore_trailing=True)
        finally:
            writer.close()
        if not self.query.is_response(reply):
            raise dns.exception.FormError
        return reply

    def close(self) -> None:
        """No answer is awaited any more."""
        for endpoint in self._endpoints.values():
            endpoint.close()


class _Endpoint(asyncio.DatagramProtocol):
    """The socket to one server."""

    def __init__(self, question: _Question) -> None:
        self._question = question
        self._transport: asyncio.DatagramTransport | None = None
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport; a question that was given up while its socket was being made needs none any more."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's are no subclass
        if self._is_over:
            transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """An answer to another question is passed over; what cannot be read ends the try, as in c-ares."""
        del addr
        answer = self._question.answer
        if answer.done():
            return
        try:
            reply = dns.message.from_wire(data, ignore_trailing=True)
        except (dns.exception.DNSException, ValueError) as error:
            answer.set_exception(error)
            return
        if self._question.query.is_response(reply):
            answer.set_result(reply)

    def error_received(self, exc: Exception) -> None:
        if not self._question.answer.done():
            self._question.answer.set_exception(exc)

    def send(self, wire: bytes) -> None:
        """Asks, and asks again."""
        if self._transport is not None and not self._is_over:
            self._transport.sendto(wire)

    def close(self) -> None:
        """No answer is awaited any more; the loop does not close what it was making when it was cancelled."""
        self._is_over = True
        if self._transport is not None:
            with contextlib.suppress(OSError):
                self._transport.close()
