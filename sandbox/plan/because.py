"""Why a plan object is as it is: lines of YAML, or a named default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

from sandbox.frozen_dataclass import dataclass
from sandbox.yaml_source.span import Origin


@dataclass(frozen=True, slots=True)
class IstioDefault:
    """A rule that Istio applies where the user wrote nothing; ``setting`` is the line that could change it."""

    rule: str
    setting: Origin | None = None

    def __str__(self) -> str:
        return f"default: {self.rule}" + (f" ({self.setting})" if self.setting else "")


@dataclass(frozen=True, slots=True)
class Because:
    """One reason: what was decided (``"TLS settings"``), and the line or default that decided it."""

    what: str
    origin: Origin | IstioDefault


def because_field() -> Any:
    """The provenance field that every named plan object carries; it takes no part in comparisons."""
    return field(default=(), compare=False, repr=False)


def origin_of(because: Sequence[Because]) -> Origin | None:
    """The last line that is named: the most particular one."""
    origins = [each.origin.setting if isinstance(each.origin, IstioDefault) else each.origin for each in because]
    return next((origin for origin in reversed(origins) if origin is not None), None)
