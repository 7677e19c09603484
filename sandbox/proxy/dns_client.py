"""One question to one DNS server: UDP, and TCP where the answer is truncated (RFC 1035, RFC 7766)."""

from __future__ import annotations

import asyncio
import contextlib

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


class _Question(asyncio.DatagramProtocol):
    """Waits for the datagram that answers ``query``; others are not ours."""

    def __init__(self, query: dns.message.Message) -> None:
        self._query = query
        self.answer: asyncio.Future[dns.message.Message | None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        with contextlib.suppress(dns.exception.DNSException, ValueError):
            response = dns.message.from_wire(data, ignore_trailing=True)
            if self._query.is_response(response) and not self.answer.done():
                self.answer.set_result(response)

    def error_received(self, exc: Exception) -> None:
        del exc
        if not self.answer.done():
            self.answer.set_result(None)


async def _over_udp(server: tuple[str, int], query: dns.message.Message) -> dns.message.Message | None:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: _Question(query), remote_addr=server)
    try:
        transport.sendto(query.to_wire())
        return await protocol.answer
    finally:
        transport.close()


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
