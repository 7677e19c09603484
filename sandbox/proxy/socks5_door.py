"""The SOCKS5 door (RFC 1928): CONNECT; a user's name is the workload's, and names are looked up as it would."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from typing import Final

from sandbox.proxy.door import Caller, CallerFinder, Origin, WorkloadNames
from sandbox.proxy.resolver import NoAnswer
from sandbox.proxy.tasks import detach
from sandbox.proxy.wrong_door import at_socks5, turn_away

log = logging.getLogger("sandbox.proxy")
DOOR: Final = "socks"
VERSION: Final = 5
NO_AUTHENTICATION: Final = 0
USER_AND_PASSWORD: Final = 2
SUBNEGOTIATION: Final = 1
NONE_ACCEPTABLE: Final = 0xFF
CONNECT: Final = 1
IPV4: Final = 1
SUCCEEDED, HOST_UNREACHABLE, COMMAND_NOT_SUPPORTED, ADDRESS_NOT_SUPPORTED = 0, 4, 7, 8
HANDSHAKE_SECONDS: Final = 60.0


class _Ended(Exception):
    """The client is gone or asks for what is not there."""


class _Stranger(Exception):
    """The client speaks something else."""

    def __init__(self, first: int) -> None:
        super().__init__(first)
        self.first = first


class Socks5Door:
    """Takes the connections of one port."""

    def __init__(self, callers: CallerFinder) -> None:
        self._callers = callers

    def accept(self, sock: socket.socket, remote: tuple[str, int]) -> None:
        """Speaks SOCKS, then hands over."""
        detach(self._visit(sock, remote), "socks door")

    async def _visit(self, sock: socket.socket, remote: tuple[str, int]) -> None:
        caller: Caller | None = None
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                caller = await self._authenticate(sock, remote[0])
                destination = await self._handshake(sock, caller.names)
        except _Stranger as stranger:
            await turn_away(sock, remote, at_socks5(stranger.first))
            return
        except (TimeoutError, OSError, _Ended) as error:
            log.debug("socks client %s: %s", remote, error)
            destination = None
        if destination is None or caller is None:
            sock.close()
        else:
            caller.enter(sock, Origin(remote, destination, DOOR))

    async def _authenticate(self, sock: socket.socket, address: str) -> Caller:
        """Whoever gives a user name is that workload; no password is asked for."""
        loop = asyncio.get_running_loop()
        (version,) = await _read(sock, 1)
        if version != VERSION:
            raise _Stranger(version)
        (count,) = await _read(sock, 1)
        methods = await _read(sock, count)
        name: str | None = None
        if USER_AND_PASSWORD in methods:
            await loop.sock_sendall(sock, bytes((VERSION, USER_AND_PASSWORD)))
            name = await _read_user(sock)
        elif NO_AUTHENTICATION in methods:
            await loop.sock_sendall(sock, bytes((VERSION, NO_AUTHENTICATION)))
        else:
            await loop.sock_sendall(sock, bytes((VERSION, NONE_ACCEPTABLE)))
            raise _Ended("no method in common")
        caller = await self._callers.of(name, address)
        if name is not None:
            await loop.sock_sendall(sock, bytes((SUBNEGOTIATION, isinstance(caller, str))))
        if isinstance(caller, str):
            raise _Ended(caller)
        return caller

    async def _handshake(self, sock: socket.socket, names: WorkloadNames) -> tuple[str, int] | None:
        loop = asyncio.get_running_loop()
        _, command, _, kind = await _read(sock, 4)
        name = await _read_name(sock, kind)
        port = int.from_bytes(await _read(sock, 2), "big")
        if name is None or command != CONNECT:
            code = ADDRESS_NOT_SUPPORTED if name is None else COMMAND_NOT_SUPPORTED
            await loop.sock_sendall(sock, _reply(code))
            return None
        address = await names.look_up(name, port)
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


async def _read_user(sock: socket.socket) -> str:
    """The user's name (RFC 1929)."""
    _, length = await _read(sock, 2)
    name = (await _read(sock, length)).decode("utf-8", "replace")
    (length,) = await _read(sock, 1)
    await _read(sock, length)
    return name


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
