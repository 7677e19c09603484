"""DestinationRule and its subsets."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.selector import WorkloadSelector
from sandbox.istio.traffic_policy import TrafficPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset(Message):
    """``istio.networking.v1alpha3.Subset``: named versions of a service, by endpoint labels."""

    name: str = ""
    labels: Mapping[str, str] = EMPTY
    traffic_policy: TrafficPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRule(Message):
    """``istio.networking.v1alpha3.DestinationRule``: policies for traffic to one host."""

    host: str = ""
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()
    workload_selector: WorkloadSelector | None = None
