"""Earliest deadline first: how Envoy takes turns among things of different weight (``edf_scheduler.h``)."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class EdfSchedule(Generic[T]):
    """Every entry is due ``1 / weight`` after its last turn; ties go to the one that waits longer."""

    __slots__ = ("_clock", "_order", "_queue", "_weight")

    def __init__(self, entries: Iterable[T], weight: Callable[[T], float]) -> None:
        self._weight = weight
        self._clock = 0.0
        self._order = 0
        self._queue: list[tuple[float, int, T]] = []
        for entry in entries:
            self._add(entry)

    def _add(self, entry: T) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self._clock + 1.0 / max(self._weight(entry), 1e-9), self._order, entry))

    def pick(self) -> T | None:
        """The next in turn, which goes back in line with its present weight."""
        if not self._queue:
            return None
        self._clock, _, entry = heapq.heappop(self._queue)
        self._add(entry)
        return entry
