"""The readiness port: ``/healthz/ready`` answers 200 as long as this is bound, which is last."""

from __future__ import annotations

import asyncio
from typing import Final, cast

READY: Final = b"/healthz/ready"
MAXIMUM_HEAD: Final = 16_384


class ReadinessProtocol(asyncio.Protocol):
    """One client; one request after the other, bodies are not expected."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        """Answers every complete head."""
        transport = self._transport
        if transport is None:
            return
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            words = head.split(b"\r\n", 1)[0].split(b" ")
            is_ready = len(words) == 3 and words[1].partition(b"?")[0] == READY
            status = b"200 OK" if is_ready else b"404 Not Found"
            transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
        if len(self._received) > MAXIMUM_HEAD:
            transport.close()
