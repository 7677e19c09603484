"""Short spellings for ``because``."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.istio.message import Message
from sandbox.plan.because import Because, IstioDefault

MOST_REASONS = 4
"""More reasons than this explain nothing."""


def written(what: str, message: Message, *path: str | int) -> Because:
    """A decision that a line of YAML made; a message nobody wrote counts as Istio's default."""
    if not message.place:
        return Because(what, IstioDefault(what))
    name, *keys = path or ("",)
    return Because(what, message.origin_of(str(name), *keys) if path else message.origin)


def by_default(what: str, rule: str) -> Because:
    """A decision of Istio's where nobody wrote anything."""
    return Because(what, IstioDefault(rule))


def weightiest(reasons: Iterable[Because]) -> tuple[Because, ...]:
    """The first few different reasons, in the order given."""
    found: list[Because] = []
    for reason in reasons:
        if reason not in found:
            found.append(reason)
    return tuple(found[:MOST_REASONS])
