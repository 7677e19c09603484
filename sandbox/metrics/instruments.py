"""Counters and histograms, as cheap to add to as Python allows."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

BOUNDS: Final = (
    0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0, 30_000.0, 60_000.0,
    300_000.0, 600_000.0, 1_800_000.0, 3_600_000.0,
)  # fmt: skip
"""The upper bounds of Envoy's buckets (``ConstSupportedBuckets``), the same for times and sizes."""
LIMITS: Final = (
    0.51, 1.1, 5.1, 11.0, 26.0, 51.0, 110.0, 260.0, 510.0, 1100.0, 2600.0, 5100.0, 11_000.0, 31_000.0, 61_000.0,
    310_000.0, 610_000.0, 1_900_000.0, 3_700_000.0,
)  # fmt: skip
"""Envoy keeps two digits of a value: 109 is counted as 100, and so in the bucket up to 100 (seen in Envoy 1.39)."""


MOST_TABLED: Final = 4096
BUCKETS: Final = tuple(bisect_right(LIMITS, value) for value in range(MOST_TABLED))
"""The bucket of each small whole number: most times and sizes are small."""


def bucket_of(value: int) -> int:
    """The place of the bucket that counts ``value``."""
    return BUCKETS[value] if 0 <= value < MOST_TABLED else bisect_right(LIMITS, value)


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Histogram:
    """How often values fell into each bucket, and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0
