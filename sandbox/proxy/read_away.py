"""Reads what a socket has, before its connection is left to itself."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

_MOST: Final = 1024 * 1024
"""Bytes; Envoy reads no more at once (its default buffer limit)."""


def read_away(sock: socket.socket | None) -> None:
    """Takes what has arrived, without waiting for more."""
    taken = 0
    with contextlib.suppress(OSError):
        while sock is not None and taken < _MOST:
            data = os.read(sock.fileno(), 256 * 1024)
            if not data:
                return
            taken += len(data)
