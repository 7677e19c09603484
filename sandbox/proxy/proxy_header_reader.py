"""Reads the PROXY header in front of a connection's bytes: it tells whom the proxy in front speaks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.proxy.peek import Peek
from sandbox.wire.proxy_protocol import NoHeader, ProxyHeader, read_proxy_header

if TYPE_CHECKING:
    from sandbox.proxy.downstream import DownstreamConnection


class ProxyHeaderReader:
    """One connection's header. ``on_end(True)`` once it is read off, ``on_end(False)`` where there is none."""

    __slots__ = ("_connection", "_header", "_on_end", "_peek", "_timer")

    def __init__(self, connection: DownstreamConnection, seconds: float, on_end: Callable[[bool], None]) -> None:
        self._connection = connection
        self._on_end = on_end
        self._header: ProxyHeader | None = None
        loop = asyncio.get_running_loop()
        self._peek = Peek(loop, connection.socket, self._look, self._ended)
        self._timer = loop.call_later(seconds, self._give_up) if seconds else None

    def start(self) -> None:
        """Begins to look."""
        self._connection.on_abort = self._connection.on_drain = self._give_up
        self._peek.start()

    def _look(self, data: bytes) -> bool | None:
        found = read_proxy_header(data)
        if isinstance(found, ProxyHeader):
            self._header = found
            return True
        return None if found is NoHeader.NEED_MORE else False

    def _ended(self, enough: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        connection, header = self._connection, self._header
        connection.on_abort = connection.on_drain = None
        on_end, self._on_end = self._on_end, _nobody
        if not enough or header is None:
            on_end(False)
            return
        connection.socket.recv(header.size)
        if header.source is not None and header.destination is not None:
            connection.speaks_for(header.source, header.destination)
        on_end(True)

    def _give_up(self) -> None:
        self._peek.stop()
        self._ended(False)


def _nobody(enough: bool) -> None:
    del enough
