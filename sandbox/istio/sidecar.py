"""Sidecar: visible hosts, listeners, outbound policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.connection_pool import ConnectionPoolSettings
from sandbox.istio.destination import Destination
from sandbox.istio.gateway import ServerTLSSettings
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import UInt32

CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]
"""``istio.networking.v1alpha3.CaptureMode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarPort(Message):
    """``istio.networking.v1alpha3.SidecarPort``: number, protocol and name of a port."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioEgressListener(Message):
    """``istio.networking.v1alpha3.IstioEgressListener``: one outbound listener and the hosts it may reach."""

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioIngressListener(Message):
    """``istio.networking.v1alpha3.IstioIngressListener``: one inbound listener."""

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    default_endpoint: str = ""
    tls: ServerTLSSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None


OutboundTrafficMode = Literal["REGISTRY_ONLY", "ALLOW_ANY"]
"""``istio.networking.v1alpha3.OutboundTrafficPolicy.Mode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundTrafficPolicy(Message):
    """``istio.networking.v1alpha3.OutboundTrafficPolicy``: what happens to destinations outside the registry."""

    mode: OutboundTrafficMode = "REGISTRY_ONLY"
    egress_proxy: Destination | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSelector(Message):
    """``istio.networking.v1alpha3.WorkloadSelector``: workloads by labels."""

    labels: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar(Message):
    """``istio.networking.v1alpha3.Sidecar``: what a workload's proxy sees and how it is reached."""

    workload_selector: WorkloadSelector | None = None
    ingress: tuple[IstioIngressListener, ...] = ()
    egress: tuple[IstioEgressListener, ...] = ()
    inbound_connection_pool: ConnectionPoolSettings | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
