"""Small messages that routes and policies share: destination, port, percent, string match."""

from __future__ import annotations

from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message
from sandbox.istio.scalars import UInt32


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSelector(Message):
    """``istio.networking.v1alpha3.PortSelector``: a port by number."""

    MEANT: ClassVar[str] = "number"

    number: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination(Message):
    """``istio.networking.v1alpha3.Destination``: the service (and subset, port) a route sends to."""

    MEANT: ClassVar[str] = "host"

    host: str = ""
    subset: str = ""
    port: PortSelector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StringMatch(Message):
    """``istio.networking.v1alpha3.StringMatch``: exactly one is set; regex is RE2, whole text."""

    MEANT: ClassVar[str] = "exact"
    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("exact", "prefix", "regex"),)

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent(Message):
    """``istio.networking.v1alpha3.Percent``: a share of 0 to 100."""

    MEANT: ClassVar[str] = "value"

    value: float = 0.0
