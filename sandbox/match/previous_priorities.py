"""Which priorities a retry leaves out because earlier tries went there (Envoy's ``previous_priorities.cc``)."""

from __future__ import annotations

from collections.abc import Callable


class PreviousPriorities:
    """One request's: after every ``frequency`` tries, those that were tried are left out.

    Where no other priority has a healthy host, the count begins anew.
    """

    __slots__ = ("_excluded", "_frequency", "_tried")

    def __init__(self, frequency: int) -> None:
        self._frequency = frequency
        self._tried: list[int] = []
        self._excluded: frozenset[int] = frozenset()

    def tried(self, priority: int) -> None:
        """A host of that priority was chosen."""
        self._tried.append(priority)

    def excluded(self, is_enough_left: Callable[[frozenset[int]], bool]) -> frozenset[int]:
        """What the next try leaves out; ``is_enough_left`` tells whether there is a healthy host elsewhere."""
        if len(self._tried) < self._frequency:
            return frozenset()
        if len(self._tried) % self._frequency == 0:
            self._excluded = frozenset(self._tried)
            if not is_enough_left(self._excluded):
                self._excluded = frozenset()
                self._tried.clear()
        return self._excluded
