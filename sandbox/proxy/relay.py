"""What every relay of bytes has: one end, an idle timeout, and the two counts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from sandbox.proxy.timers import TOLERANCE_SECONDS

RESET: Final = struct.pack("ii", 1, 0)


class RelayEnd:
    """How a relay ended: by one side's RST (flag UR for the upstream's), by a filter, by idleness, or normally."""

    __slots__ = ("client_reset", "is_denied", "is_idle", "upstream_reset")

    def __init__(
        self,
        *,
        upstream_reset: bool = False,
        client_reset: bool = False,
        is_denied: bool = False,
        is_idle: bool = False,
    ) -> None:
        self.upstream_reset = upstream_reset
        self.client_reset = client_reset
        self.is_denied = is_denied
        self.is_idle = is_idle


def reset_when_closed(sock: socket.socket) -> None:
    """The socket will close with RST."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def reset(sock: socket.socket) -> None:
    """Closes with RST."""
    reset_when_closed(sock)
    sock.close()


class Relay(ABC):
    """Both directions, and the one end they have. ``on_end`` is called once, when the relay is over."""

    __slots__ = ("_idle", "_idle_timer", "denies", "is_over", "last_activity", "loop", "now", "on_end")

    def __init__(self, loop: asyncio.AbstractEventLoop, idle_seconds: float | None) -> None:
        self.loop = loop
        self.now = loop.time
        self.last_activity = self.now()
        self.is_over = False
        self.denies = False
        """The client's first byte ends it, or its end where it has sent none."""
        self.on_end: Callable[[RelayEnd], None] = _nobody
        self._idle = idle_seconds
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    @abstractmethod
    def received(self) -> int:
        """Bytes from the client."""

    @property
    @abstractmethod
    def sent(self) -> int:
        """Bytes from the upstream."""

    def start(self) -> None:
        """Begins to read on both sides."""
        if self._idle:
            self._idle_timer = self.loop.call_later(self._idle, self._check_idle)
        self._read()

    def close(self) -> None:
        """Ends it from our side."""
        self._finish(RelayEnd())

    def deny(self) -> None:
        """The client has sent something, or its end, and may not."""
        self._finish(RelayEnd(is_denied=True))

    def _check_idle(self) -> None:
        left = self.last_activity + (self._idle or 0.0) - self.now()
        if left > TOLERANCE_SECONDS:
            self._idle_timer = self.loop.call_later(left, self._check_idle)
            return
        self._idle_timer = None
        self._finish(RelayEnd(is_idle=True))

    def _finish(self, end: RelayEnd) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._close_sides(end)
        on_end, self.on_end = self.on_end, _nobody  # no cycle stays behind
        on_end(end)

    @abstractmethod
    def _read(self) -> None:
        """From now on what one side says goes to the other."""

    @abstractmethod
    def _close_sides(self, end: RelayEnd) -> None:
        """The relay is over."""


def _nobody(end: RelayEnd) -> None:
    del end
