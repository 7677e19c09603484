"""VirtualService, and its TLS and TCP routes."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination import Destination
from sandbox.istio.http_route import HTTPRoute
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import Int32, UInt32


@dataclass(frozen=True, slots=True, kw_only=True)
class L4MatchAttributes(Message):
    """``istio.networking.v1alpha3.L4MatchAttributes``: conditions on a TCP connection; all must hold."""

    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_subnet: str = ""
    source_labels: Mapping[str, str] = EMPTY
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDestination(Message):
    """``istio.networking.v1alpha3.RouteDestination``: one weighted destination of a TLS or TCP route."""

    destination: Destination | None = None
    weight: Int32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPRoute(Message):
    """``istio.networking.v1alpha3.TCPRoute``: routes opaque TCP by port and address."""

    match: tuple[L4MatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSMatchAttributes(Message):
    """``istio.networking.v1alpha3.TLSMatchAttributes``: conditions on a TLS connection; all must hold."""

    sni_hosts: tuple[str, ...] = ()
    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_labels: Mapping[str, str] = EMPTY
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSRoute(Message):
    """``istio.networking.v1alpha3.TLSRoute``: routes passed-through TLS by SNI."""

    match: tuple[TLSMatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService(Message):
    """``istio.networking.v1alpha3.VirtualService``: how requests for some hosts are routed."""

    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    http: tuple[HTTPRoute, ...] = ()
    tls: tuple[TLSRoute, ...] = ()
    tcp: tuple[TCPRoute, ...] = ()
    export_to: tuple[str, ...] = ()
