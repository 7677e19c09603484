"""Reads what a socket has, before its connection is left to itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Final

_MOST: Final = 1024 * 1024
"""Bytes; Envoy reads no more at once (its default buffer limit)."""


def read_away(transport: asyncio.Transport) -> None:
    """Takes what has arrived, without waiting for more."""
    sock = None if transport.is_closing() else transport.get_extra_info("socket")
    taken = 0
    with contextlib.suppress(OSError):
        while sock is not None and taken < _MOST:
            data = os.read(sock.fileno(), 256 * 1024)
            if not data:
                return
            taken += len(data)
