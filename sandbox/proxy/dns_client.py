"""One question to one DNS server: UDP, and TCP where the answer is truncated (RFC 1035, RFC 7766)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, cast

import dns.exception
import dns.flags
import dns.message


async def exchange(server: tuple[str, int], name: str, kind: str, seconds: float) -> dns.message.Message | None:
    """The server's answer, or ``None`` where there is none in time, or it cannot be read."""
    try:
        query = dns.message.make_query(name, kind, use_edns=0, payload=1232)
    except (dns.exception.DNSException, UnicodeError):
        return None
    try:
        async with asyncio.timeout(seconds):
            response = await _over_udp(server, query)
            if response is not None and response.flags & dns.flags.TC:
                return await _over_tcp(server, query)
            return response
    except (TimeoutError, OSError, dns.exception.DNSException, asyncio.IncompleteReadError):
        return None


RESEND_SECONDS: Final = (0.3, 0.9)
"""A datagram that is lost is asked again within the same try."""


class _Question(asyncio.DatagramProtocol):
    """Waits for the datagram that answers ``query``; others are not ours."""

    def __init__(self, query: dns.message.Message) -> None:
        self._query = query
        self._transport: asyncio.DatagramTransport | None = None
        self._is_over = False
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(seconds, self.send) for seconds in RESEND_SECONDS]
        self.answer: asyncio.Future[dns.message.Message | None] = loop.create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        with contextlib.suppress(dns.exception.DNSException, ValueError):
            response = dns.message.from_wire(data, ignore_trailing=True)
            if self._query.is_response(response) and not self.answer.done():
                self.answer.set_result(response)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport; a question that was given up while its socket was being made needs none any more."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's are no subclass
        if self._is_over:
            transport.close()

    def send(self) -> None:
        """Asks."""
        if self._transport is not None and not self._is_over:
            self._transport.sendto(self._query.to_wire())

    def close(self) -> None:
        """No answer is awaited any more; the loop does not close what it was making when it was cancelled."""
        self._is_over = True
        for timer in self._timers:
            timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def error_received(self, exc: Exception) -> None:
        del exc
        if not self.answer.done():
            self.answer.set_result(None)


async def _over_udp(server: tuple[str, int], query: dns.message.Message) -> dns.message.Message | None:
    loop = asyncio.get_running_loop()
    question = _Question(query)
    try:
        await loop.create_datagram_endpoint(lambda: question, remote_addr=server)
        question.send()
        return await question.answer
    finally:
        question.close()


async def _over_tcp(server: tuple[str, int], query: dns.message.Message) -> dns.message.Message | None:
    reader, writer = await asyncio.open_connection(*server)
    try:
        wire = query.to_wire()
        writer.write(len(wire).to_bytes(2, "big") + wire)
        size = int.from_bytes(await reader.readexactly(2), "big")
        response = dns.message.from_wire(await reader.readexactly(size), ignore_trailing=True)
        return response if query.is_response(response) else None
    finally:
        writer.close()
