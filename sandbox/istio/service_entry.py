"""ServiceEntry and its ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message
from sandbox.istio.scalars import Int64, UInt32
from sandbox.istio.sidecar import WorkloadSelector
from sandbox.istio.workload_entry import WorkloadEntry

Location = Literal["MESH_EXTERNAL", "MESH_INTERNAL"]
"""``istio.networking.v1alpha3.ServiceEntry.Location``."""

Resolution = Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]
"""``istio.networking.v1alpha3.ServiceEntry.Resolution``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort(Message):
    """``istio.networking.v1alpha3.ServicePort``: one port of the hosts."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry(Message):
    """``istio.networking.v1alpha3.ServiceEntry``: hosts outside (or inside) the mesh, added to the registry."""

    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    location: Location = "MESH_EXTERNAL"
    resolution: Resolution = "NONE"
    endpoints: tuple[WorkloadEntry, ...] = ()
    workload_selector: WorkloadSelector | None = None
    export_to: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntryAddress(Message):
    """``istio.networking.v1alpha3.ServiceEntryAddress``: an address allocated to a host."""

    value: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntryStatus(Message):
    """``istio.networking.v1alpha3.ServiceEntryStatus``: what controllers wrote back."""

    conditions: tuple[Mapping[str, object], ...] = ()
    validation_messages: tuple[Mapping[str, object], ...] = ()
    observed_generation: Int64 = 0
    addresses: tuple[ServiceEntryAddress, ...] = ()
