"""A connection whose HTTP version nobody has told: its first bytes do (Envoy's codec type AUTO)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

MAGIC: Final = b"PRI * HTTP/2"
"""The beginning of HTTP/2's preface (``Http2::CLIENT_MAGIC_PREFIX``)."""


class SniffingConnection(asyncio.Protocol):
    """Waits for the first bytes, then gives the connection to the protocol that they ask for.

    Envoy does not wait for more of them: a preface in pieces is HTTP/1, and refused.
    """

    def __init__(self, http1: Callable[[], asyncio.Protocol], http2: Callable[[], asyncio.Protocol]) -> None:
        self._http1 = http1
        self._http2 = http2
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._become(self._http2() if data.startswith(MAGIC) else self._http1(), data)

    def eof_received(self) -> bool | None:
        """See asyncio.Protocol."""
        return self._become(self._http1()).eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._become(self._http1()).connection_lost(error)

    def _become(self, protocol: asyncio.Protocol, data: bytes = b"") -> asyncio.Protocol:
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if data:
            protocol.data_received(data)
        return protocol
