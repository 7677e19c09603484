"""How load spreads over priorities: health, overprovisioning and panic (``load_balancer_impl.cc``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

OVERPROVISIONING_PERCENT: Final = 140
"""Envoy's default: a priority counts as whole while 72 % of it is healthy."""
DEFAULT_PANIC_THRESHOLD: Final = 50.0
"""Percent; istiod's plans say 0 (no panic) unless a DestinationRule sets ``minHealthPercent``."""


class PriorityLoad(NamedTuple):
    """Percent of the load, and whether the priority is in panic (health is then ignored)."""

    percent: int
    is_panic: bool


def spread_load(counts: Sequence[tuple[int, int]], panic_threshold: float) -> list[PriorityLoad]:
    """``counts`` are (healthy, all) hosts of each priority, 0 first; the percentages add up to 100."""
    health = [min(100, OVERPROVISIONING_PERCENT * healthy // total) if total else 0 for healthy, total in counts]
    available = min(100, sum(health))
    threshold = min(100, int(panic_threshold))
    if available == 0 and threshold == 0:
        return [PriorityLoad(100 if index == 0 else 0, False) for index in range(len(counts))]
    panics = [available != 100 and _percent(healthy, total) < threshold for healthy, total in counts]
    if all(panics):
        return [PriorityLoad(load, True) for load in _by_size([total for _, total in counts])]
    return [PriorityLoad(load, panic) for load, panic in zip(_by_health(health, available), panics, strict=True)]


def _percent(healthy: int, total: int) -> float:
    return 100.0 * healthy / total if total else 0.0


def _by_health(health: Sequence[int], available: int) -> list[int]:
    rest = 100
    loads = []
    for share in health:
        load = min(rest, share * 100 // available) if available else 0
        loads.append(load)
        rest -= load
    first = next((index for index, share in enumerate(health) if share), 0)
    loads[first] += rest
    return loads


def _by_size(sizes: Sequence[int]) -> list[int]:
    """Total panic: every priority in proportion to its hosts, the rounding to the first that has any."""
    total = sum(sizes)
    if not total:
        return [100 if index == 0 else 0 for index in range(len(sizes))]
    loads = [100 * size // total for size in sizes]
    first = next(index for index, size in enumerate(sizes) if size)
    loads[first] += 100 - sum(loads)
    return loads


def choose_priority(loads: Sequence[PriorityLoad], draw: int) -> int:
    """The priority for a draw (any non-negative number, e.g. a hash)."""
    point = draw % 100 + 1
    total = 0
    for index, load in enumerate(loads):
        total += load.percent
        if point <= total:
            return index
    return 0
