"""Earliest deadline first: how Envoy takes turns among things of different weight (``edf_scheduler.h``)."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST_PICKS: Final = 429_496_729
"""Of the picks that are imagined at the beginning, what is more than this starts again from nothing."""
_EPSILON: Final = 1e-13
"""Added to weights, lest multiples of each other come into another order than by single picks."""


class EdfSchedule(Generic[T]):
    """Every entry is due ``1 / weight`` after its last turn; ties go to the one that waits longer."""

    __slots__ = ("_clock", "_order", "_queue", "_weight")

    def __init__(self, entries: Sequence[T], weight: Callable[[T], float], picks: int = 0) -> None:
        """As if ``picks`` picks had been made before (``createWithPicks``): turns begin anywhere in their cycle."""
        self._weight = weight
        picks %= MOST_PICKS
        weights = [weight(entry) + _EPSILON for entry in entries]
        end = picks / sum(weights) if entries else 0.0
        turns = [int(each * end) for each in weights]
        turns = [turn - (turn > 0 and turn / each >= end) for turn, each in zip(turns, weights, strict=True)]
        self._clock = max((turn / each for turn, each in zip(turns, weights, strict=True)), default=0.0)
        self._order = len(entries)
        self._queue = [
            ((turn + 1) / each, order, entry)
            for order, (turn, each, entry) in enumerate(zip(turns, weights, entries, strict=True))
        ]
        heapq.heapify(self._queue)
        for _ in range(picks - sum(turns)):
            self.pick()

    def pick(self) -> T | None:
        """The next in turn, which goes back in line with its present weight."""
        if not self._queue:
            return None
        self._clock, _, entry = self._queue[0]
        self._order += 1
        heapq.heapreplace(self._queue, (self._clock + 1.0 / self._weight(entry), self._order, entry))
        return entry
