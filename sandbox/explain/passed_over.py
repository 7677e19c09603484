"""Where a walk tells of objects that name its host and do not count: beside what they would have decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from sandbox.explain.near import MOST
from sandbox.explain.steps import Near, Walk

_STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "ServiceEntry": ("virtual host", "listener"),
    "VirtualService": ("route", "virtual host", "filter chain", "listener"),
    "DestinationRule": ("cluster",),
}
"""By kind of object the steps to tell it at, the best first."""


def with_passed_over(walk: Walk, found: Mapping[str, Sequence[Near]]) -> Walk:
    """The walk with a few of them as losers of a step."""
    steps = list(walk.steps)
    for kind, nears in found.items():
        kinds = [step.kind for step in steps]
        place = next((kinds.index(name) for name in _STEPS[kind] if name in kinds), None)
        if place is not None:
            steps[place] = replace(steps[place], losers=(*steps[place].losers, *nears[:MOST]))
    return replace(walk, steps=tuple(steps))
