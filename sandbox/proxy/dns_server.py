"""DnsServer: a DNS server, and how long one waits for it (c-ares' ``ares_calc_query_timeout``)."""

from __future__ import annotations

from typing import Final

TRIES: Final = 4
"""Each server is asked so often (Envoy's ``query_tries``)."""
LONGEST_SECONDS: Final = 5.0
"""For a first try (Envoy's ``query_timeout_seconds``)."""
SHORTEST_SECONDS: Final = 0.25
ENOUGH_ANSWERS: Final = 3
TIMES_AS_LONG: Final = 5
"""As its answers took on average."""


class DnsServer:
    """Where it is, and how fast it has answered so far."""

    __slots__ = ("_answers", "_seconds", "address")

    def __init__(self, host: str, port: int) -> None:
        self.address = (host, port)
        self._answers = 0
        self._seconds = 0.0

    def has_answered(self, seconds: float) -> None:
        """So long after it was asked."""
        self._answers += 1
        self._seconds += seconds

    def patience(self, earlier_tries: int, draw: float) -> float:
        """Seconds until a try is lost; each may take twice as long as the one before, less up to half of that."""
        first = LONGEST_SECONDS
        if self._answers >= ENOUGH_ANSWERS:
            first = min(max(TIMES_AS_LONG * self._seconds / self._answers, SHORTEST_SECONDS), LONGEST_SECONDS)
        return max(first, first * 2.0**earlier_tries * (1 - draw / 2)) if earlier_tries else first
