"""A company's forward proxy: CONNECT to the hosts of the embedded internet, and to nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from sandbox.settings import HostPort

LONGEST_HEAD = 16 * 1024
PIECE = 64 * 1024
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
REFUSALS = {400: "Bad Request", 403: "Forbidden", 405: "Method Not Allowed"}


class ForwardProxy:
    """``where(name, port)`` is the address of a host's port, None for what is not on this internet."""

    def __init__(self, where: Callable[[str, int], HostPort | None]) -> None:
        self._where = where

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a CONNECT, then bytes both ways until one side is done."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            target = self._target(head)
            if isinstance(target, int):
                writer.write(f"HTTP/1.1 {target} {REFUSALS[target]}\r\ncontent-length: 0\r\n\r\n".encode())
            else:
                await tunnel(reader, writer, target, said=ESTABLISHED)
        writer.close()

    def _target(self, head: bytes) -> HostPort | int:
        """Where the request leads, or the status that refuses it."""
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        name, separator, port = rest.partition(" ")[0].rpartition(":")
        if method != "CONNECT":
            return 405
        if not separator or not port.isdigit():
            return 400
        return self._where(name.lower(), int(port)) or 403


async def tunnel(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    target: HostPort,
    *,
    said: bytes = b"",
    sent: bytes = b"",
) -> None:
    """Bytes both ways until one side is done; before them ``said`` to the client and ``sent`` to the target."""
    far_reader, far_writer = await asyncio.open_connection(target.host, target.port)
    writer.write(said)
    far_writer.write(sent)
    try:
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
    finally:
        far_writer.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(PIECE):
        sink.write(piece)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
