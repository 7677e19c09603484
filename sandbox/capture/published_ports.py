"""Ports of a captured program that the host may dial: ``egress exec --publish 8080:3000``."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence

from sandbox.capture.raw_relay import RawRelays
from sandbox.proxy.relay import reset
from sandbox.proxy.server import ListeningSocket, bind
from sandbox.settings import HostPort

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class PublishedPorts:
    """Listens on the host, and relays to the program's loopback by sockets that its namespace's factory makes."""

    def __init__(self, factory: socket.socket, relays: RawRelays) -> None:
        factory.setblocking(False)
        self._factory = factory
        self._relays = relays
        self._listening: list[ListeningSocket] = []
        self._waiting: deque[tuple[socket.socket, int]] = deque()
        asyncio.get_running_loop().add_reader(factory.fileno(), self._made)

    def open(self, address: HostPort, port: int, *, allow_remote: bool) -> None:
        """What arrives at ``address`` is for the program's ``port``; ``ListenError`` where it cannot be had."""

        def accepted(sock: socket.socket, _remote: tuple[str, int]) -> None:
            self._ask(sock, port)

        self._listening.append(ListeningSocket(bind(address, allow_remote=allow_remote), accepted))

    def _ask(self, sock: socket.socket, port: int) -> None:
        try:
            self._factory.send(b"more")
        except OSError:  # so many are being waited for, or the namespace is ending
            reset(sock)
            return
        self._waiting.append((sock, port))

    def _made(self) -> None:
        try:
            _, descriptors, _, _ = socket.recv_fds(self._factory, 64, len(LOOPBACK))
        except BlockingIOError:
            return
        except OSError:
            descriptors = []
        if not descriptors:
            self._give_up()
            return
        made = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        downstream, port = self._waiting.popleft()
        self._relays.start_from(downstream, _targets(made, port))

    def _give_up(self) -> None:
        """The factory is gone: nobody can be let in any more."""
        asyncio.get_running_loop().remove_reader(self._factory.fileno())
        while self._waiting:
            reset(self._waiting.popleft()[0])

    def close(self) -> None:
        """Stops listening; the factory ends by it."""
        for listening in self._listening:
            listening.close()
        self._give_up()
        self._factory.close()


def _targets(made: Sequence[socket.socket], port: int) -> tuple[tuple[socket.socket, tuple[str, int]], ...]:
    return tuple((one, (LOOPBACK[one.family], port)) for one in made)
