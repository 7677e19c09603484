"""The SOCKS5 door (RFC 1928): CONNECT without authentication; names are looked up as the workload would."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from typing import Final

from sandbox.proxy.door import Enter, Origin, WorkloadNames
from sandbox.proxy.resolver import NoAnswer
from sandbox.proxy.tasks import detach

log = logging.getLogger("sandbox.proxy")
DOOR: Final = "socks"
VERSION: Final = 5
NO_AUTHENTICATION: Final = 0
NONE_ACCEPTABLE: Final = 0xFF
CONNECT: Final = 1
IPV4: Final = 1
SUCCEEDED, HOST_UNREACHABLE, COMMAND_NOT_SUPPORTED, ADDRESS_NOT_SUPPORTED = 0, 4, 7, 8
HANDSHAKE_SECONDS: Final = 60.0


class _Ended(Exception):
    """The client is gone or speaks something else."""


class Socks5Door:
    """Takes the connections of one port."""

    def __init__(self, names: WorkloadNames, enter: Enter) -> None:
        self._names = names
        self._enter = enter

    def accept(self, sock: socket.socket, remote: tuple[str, int]) -> None:
        """Speaks SOCKS, then hands over."""
        detach(self._visit(sock, remote), "socks door")

    async def _visit(self, sock: socket.socket, remote: tuple[str, int]) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                destination = await self._handshake(sock)
        except (TimeoutError, OSError, _Ended) as error:
            log.debug("socks client %s: %s", remote, error)
            destination = None
        if destination is None:
            sock.close()
        else:
            self._enter(sock, Origin(remote, destination, DOOR))

    async def _handshake(self, sock: socket.socket) -> tuple[str, int] | None:
        loop = asyncio.get_running_loop()
        version, count = await _read(sock, 2)
        if version != VERSION:
            raise _Ended("not SOCKS5")
        if NO_AUTHENTICATION not in await _read(sock, count):
            await loop.sock_sendall(sock, bytes((VERSION, NONE_ACCEPTABLE)))
            return None
        await loop.sock_sendall(sock, bytes((VERSION, NO_AUTHENTICATION)))
        _, command, _, kind = await _read(sock, 4)
        name = await _read_name(sock, kind)
        port = int.from_bytes(await _read(sock, 2), "big")
        if name is None or command != CONNECT:
            code = ADDRESS_NOT_SUPPORTED if name is None else COMMAND_NOT_SUPPORTED
            await loop.sock_sendall(sock, _reply(code))
            return None
        address = await self._names.look_up(name, port)
        if isinstance(address, NoAnswer):
            await loop.sock_sendall(sock, _reply(HOST_UNREACHABLE))
            return None
        await loop.sock_sendall(sock, _reply(SUCCEEDED))
        return address, port


async def _read(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes: what follows belongs to somebody else."""
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        part = await loop.sock_recv(sock, size - len(data))
        if not part:
            raise _Ended("closed")
        data += part
    return data


async def _read_name(sock: socket.socket, kind: int) -> str | None:
    match kind:
        case 1:
            return str(ipaddress.IPv4Address(await _read(sock, 4)))
        case 4:
            return str(ipaddress.IPv6Address(await _read(sock, 16)))
        case 3:
            (length,) = await _read(sock, 1)
            return (await _read(sock, length)).decode("latin-1")
        case _:
            return None


def _reply(code: int) -> bytes:
    return bytes((VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0))
