"""Pings on HTTP/2 connections to upstreams (``connection_keepalive``; Envoy's ``http2/codec_impl.cc``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sandbox.plan.http_connection_manager import KeepaliveSettings

JITTER_SHARE: Final = 0.15
"""Up to so much longer than the interval, each time anew: Envoy's default, which istiod leaves alone."""


class Http2Keepalive:
    """The clock of one connection: a ping after each interval, and its end where nothing comes back in time."""

    __slots__ = ("_draw", "_interval", "_loop", "_on_silence", "_ping", "_timeout", "_timer", "_waits")

    def __init__(
        self,
        interval: float,
        timeout: float,
        draw: Callable[[], float],
        ping: Callable[[bytes], None],
        on_silence: Callable[[], None],
    ) -> None:
        """``draw`` gives numbers from 0 to 1; ``ping`` sends one with these eight bytes."""
        self._interval, self._timeout = interval, timeout
        self._draw, self._ping, self._on_silence = draw, ping, on_silence
        self._loop = asyncio.get_running_loop()
        self._waits = False
        self._timer: asyncio.TimerHandle | None = None
        self.answered()

    @classmethod
    def of(
        cls,
        settings: KeepaliveSettings | None,
        draw: Callable[[], float],
        ping: Callable[[bytes], None],
        on_silence: Callable[[], None],
    ) -> Http2Keepalive | None:
        """``None`` where the plan asks for no pings."""
        if settings is None or not settings.interval or settings.timeout is None:
            return None
        return cls(settings.interval.total_seconds(), settings.timeout.total_seconds(), draw, ping, on_silence)

    def answered(self) -> None:
        """The ping is acknowledged: the next one follows after the interval."""
        self._waits = False
        self._wait(self._interval * (1 + JITTER_SHARE * self._draw()), self._send)

    def heard(self) -> None:
        """A frame of any kind: while one waits for its answer, it may wait as long again."""
        if self._waits:
            self._wait(self._timeout, self._on_silence)

    def stop(self) -> None:
        """The connection is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self) -> None:
        self._waits = True
        self._ping(int(time.time() * 1000).to_bytes(8, "little"))
        self._wait(self._timeout, self._on_silence)

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self.stop()
        self._timer = self._loop.call_later(seconds, then)
