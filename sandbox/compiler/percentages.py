"""Shares of requests as Envoy counts them (Istio route.go ``translatePercentToFractionalPercent``)."""

from __future__ import annotations

from sandbox.istio.destination import Percent
from sandbox.plan.base import FractionalPercent


def fractional(percent: Percent) -> FractionalPercent:
    """A share of 0 to 100, cut off after four digits behind the point."""
    return FractionalPercent(numerator=int(percent.value * 10_000), denominator="MILLION")


def whole(percent: int) -> FractionalPercent:
    """A share in whole per cent."""
    return FractionalPercent(numerator=percent, denominator="HUNDRED")
