"""A proxy for TLS that goes where the server name says: to the hosts of the embedded internet, and to nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable

from sandbox.lab.forward_proxy import PIECE, tunnel
from sandbox.settings import HostPort

HTTPS_PORT = 443
LONGEST_HELLO = 16 * 1024
HELLO_SECONDS = 5.0


class ServerNameProxy:
    """``where(name, port)`` is the address of a host's port, None for what is not on this internet."""

    def __init__(self, where: Callable[[str, int], HostPort | None]) -> None:
        self._where = where

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a ClientHello, then bytes both ways until one side is done."""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(HELLO_SECONDS):
                hello, name = await _hello(reader)
            target = self._where(name.lower(), HTTPS_PORT) if name else None
            if target is not None:
                await tunnel(reader, writer, target, sent=hello)
        writer.close()


async def _hello(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """What the client has sent so far, and the server name in it; empty where there is none."""
    hello, name = b"", ""
    while not name and len(hello) < LONGEST_HELLO:
        piece = await reader.read(PIECE)
        if not piece:
            break
        hello += piece
        name = server_name_of(hello)
    return hello, name


def server_name_of(hello: bytes) -> str:
    """The server name of a ClientHello, asked of the TLS library; empty while there is none."""
    found: list[str] = []

    def note(_session: object, name: str | None, _context: object) -> int:
        found.append(name or "")
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME  # nothing more of the handshake is wanted

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = note
    incoming = ssl.MemoryBIO()
    incoming.write(hello)
    with contextlib.suppress(ssl.SSLError):
        context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True).do_handshake()
    return found[0] if found else ""
