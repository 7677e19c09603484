"""Selectors and target references of policy kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import UInt32


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSelector(Message):
    """``istio.type.v1beta1.WorkloadSelector``: workloads by labels."""

    match_labels: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSelector(Message):
    """``istio.type.v1beta1.PortSelector``: a port by number."""

    number: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTargetReference(Message):
    """``istio.type.v1beta1.PolicyTargetReference``: the object a policy attaches to."""

    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""


WorkloadMode = Literal["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"]
"""``istio.type.v1beta1.WorkloadMode``."""
