"""Outbound and inbound traffic policy of the mesh."""

from __future__ import annotations

from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.client_tls import ClientTLSSettings
from sandbox.istio.message import Message

OutboundTrafficMode = Literal["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"]
"""``istio.mesh.v1alpha1.MeshConfig.OutboundTrafficPolicy.Mode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundTrafficPolicy(Message):
    """``istio.mesh.v1alpha1.MeshConfig.OutboundTrafficPolicy``: what happens to destinations outside the registry."""

    mode: OutboundTrafficMode = "REGISTRY_ONLY"
    tls: ClientTLSSettings | None = None


InboundTrafficMode = Literal["PASSTHROUGH", "LOCALHOST"]
"""``istio.mesh.v1alpha1.MeshConfig.InboundTrafficPolicy.Mode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundTrafficPolicy(Message):
    """``istio.mesh.v1alpha1.MeshConfig.InboundTrafficPolicy``: how inbound connections reach the application."""

    mode: InboundTrafficMode = "PASSTHROUGH"
