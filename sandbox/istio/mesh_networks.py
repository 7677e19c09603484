"""MeshNetworks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import UInt32


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioNetworkGateway(Message):
    """An address or a service through which a network is reached.

    ``istio.mesh.v1alpha1.Network.IstioNetworkGateway``
    """

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("registry_service_name", "address"),)

    registry_service_name: str | None = None
    address: str | None = None
    port: UInt32 = 0
    locality: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEndpoints(Message):
    """``istio.mesh.v1alpha1.Network.NetworkEndpoints``: endpoints of a network, by address range or registry."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("from_cidr", "from_registry"),)

    from_cidr: str | None = None
    from_registry: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Network(Message):
    """``istio.mesh.v1alpha1.Network``: endpoints and gateways of a network."""

    endpoints: tuple[NetworkEndpoints, ...] = ()
    gateways: tuple[IstioNetworkGateway, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshNetworks(Message):
    """``istio.mesh.v1alpha1.MeshNetworks``: networks by name."""

    networks: Mapping[str, Network] = EMPTY
