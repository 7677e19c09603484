"""How long a client's HTTP/1 connection may be idle, how long it may live, and when it is drained."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sandbox.proxy.timers import TOLERANCE_SECONDS

if TYPE_CHECKING:
    from sandbox.proxy.http_downstream import Http1ServerConnection


class Http1Clock:
    """The clocks of one connection; ``start`` and ``stop`` once, ``touch`` whenever it becomes idle."""

    __slots__ = ("_connection", "_drain_timer", "_idle_since", "_idle_timer", "_loop")

    def __init__(self, connection: Http1ServerConnection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._idle_since = self._loop.time()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._drain_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """The connection is there."""
        manager = self._connection.manager
        if manager.idle_timeout > 0:
            self._idle_timer = self._loop.call_later(manager.idle_timeout, self._on_idle)
        if manager.max_connection_duration > 0:
            self._drain_timer = self._loop.call_later(manager.max_connection_duration, self._begin_drain)

    def touch(self) -> None:
        """A response is complete."""
        self._idle_since = self._loop.time()

    def stop(self) -> None:
        """The connection is gone."""
        for timer in (self._idle_timer, self._drain_timer):
            if timer is not None:
                timer.cancel()

    def _on_idle(self) -> None:
        self._idle_timer = None
        timeout = self._connection.manager.idle_timeout
        left = timeout if self._connection.is_busy else self._idle_since + timeout - self._loop.time()
        if left > TOLERANCE_SECONDS:
            self._idle_timer = self._loop.call_later(left, self._on_idle)
            return
        self._begin_drain()

    def _begin_drain(self) -> None:
        """Idle for too long, or too old: answers say ``connection: close``; the end comes after the drain time."""
        self._connection.is_draining = True
        self._drain_timer = self._loop.call_later(self._connection.manager.drain_timeout, self._drained)

    def _drained(self) -> None:
        self._drain_timer = None
        self._connection.close_if_idle()
