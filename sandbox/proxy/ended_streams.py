"""Streams that have ended and wait to be counted and logged, many of them in one go."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from sandbox.access_log.stream_info import StreamInfo

log = logging.getLogger("sandbox.proxy")
MOST_WAITING: Final = 64
LONGEST_WAIT: Final = 0.01
"""Seconds."""


class Teller(Protocol):
    """Who counts a stream and writes its lines."""

    def tell(self, info: StreamInfo) -> None:
        """Does so at once."""


class EndedStreams:
    """Streams in the order in which they ended.

    In one go each takes half the time that it takes between other work (2.5 against 5 µs), for code and tables stay
    in the processor's cache. Whoever wants to know what was counted, or reads a log, calls ``tell`` first.
    """

    __slots__ = ("_timer", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[tuple[Teller, StreamInfo]] = []
        self._timer: asyncio.TimerHandle | None = None

    # hot: per request
    def add(self, teller: Teller, info: StreamInfo) -> None:
        """``teller`` is to tell ``info``, of which nothing changes any more."""
        self._waiting.append((teller, info))
        if len(self._waiting) >= MOST_WAITING:
            self.tell()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LONGEST_WAIT, self.tell)

    def tell(self) -> None:
        """All that wait, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        for teller, info in waiting:
            try:
                teller.tell(info)
            except Exception:  # one stream's fault must not cost the others their lines
                log.exception("a stream could not be counted and logged")
