"""WorkloadEntry."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import UInt32


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEntry(Message):
    """``istio.networking.v1alpha3.WorkloadEntry``: one endpoint that is not a pod."""

    address: str = ""
    ports: Mapping[str, UInt32] = EMPTY
    labels: Mapping[str, str] = EMPTY
    network: str = ""
    locality: str = ""
    weight: UInt32 = 0
    service_account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEntryCondition(Message):
    """``istio.meta.v1alpha1.IstioCondition``, as far as health needs it."""

    type: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEntryStatus(Message):
    """``istio.networking.v1alpha3.WorkloadEntryStatus``: what controllers wrote back."""

    conditions: tuple[WorkloadEntryCondition, ...] = ()
