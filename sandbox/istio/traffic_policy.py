"""Traffic policies of a DestinationRule."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.client_tls import ClientTLSSettings
from sandbox.istio.connection_pool import ConnectionPoolSettings, OutlierDetection
from sandbox.istio.destination import PortSelector
from sandbox.istio.load_balancing import LoadBalancerSettings
from sandbox.istio.message import Message
from sandbox.istio.scalars import UInt32


@dataclass(frozen=True, slots=True, kw_only=True)
class PortTrafficPolicy(Message):
    """``istio.networking.v1alpha3.TrafficPolicy.PortTrafficPolicy``: the policy of one port."""

    port: PortSelector | None = None
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


ProxyProtocolVersion = Literal["V1", "V2"]
"""``istio.networking.v1alpha3.TrafficPolicy.ProxyProtocol.VERSION``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyProtocol(Message):
    """``istio.networking.v1alpha3.TrafficPolicy.ProxyProtocol``: put a PROXY protocol header before the bytes."""

    version: ProxyProtocolVersion = "V1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget(Message):
    """``istio.networking.v1alpha3.TrafficPolicy.RetryBudget``: retries as a share of active requests."""

    percent: float | None = None
    min_retry_concurrency: UInt32 = 0
    budget_interval: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSettings(Message):
    """``istio.networking.v1alpha3.TrafficPolicy.TunnelSettings``: carry TCP inside HTTP CONNECT or POST."""

    protocol: str = ""
    target_host: str = ""
    target_port: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPolicy(Message):
    """``istio.networking.v1alpha3.TrafficPolicy``: load balancing, pools, ejection and TLS towards a host."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: tuple[PortTrafficPolicy, ...] = ()
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None
