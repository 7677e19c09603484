"""The names that the DNS proxy answers (Istio's NDS, not Envoy's)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.because import Because, because_field


@dataclass(frozen=True, slots=True, kw_only=True)
class NameEntry:
    """One host: its addresses in order, and which registry knows it (``External``, ``Kubernetes``)."""

    addresses: tuple[str, ...]
    registry: str
    short_name: str = ""
    namespace: str = ""
    alternate_hosts: tuple[str, ...] = ()
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTable:
    """Host (perhaps ``*.suffix``) to entry, in istiod's spelling; the agent's short names are made by the DNS proxy."""

    hosts: Mapping[str, NameEntry] = field(default_factory=dict)
