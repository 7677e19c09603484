"""Connection pools and outlier detection of a traffic policy."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message
from sandbox.istio.scalars import Int32, UInt32


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionKeepalive(Message):
    """``istio.networking.v1alpha3.ConnectionPoolSettings.HTTPSettings.ConnectionKeepalive``: HTTP/2 pings."""

    interval: timedelta | None = None
    timeout: timedelta | None = None


H2UpgradePolicy = Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]
"""``istio.networking.v1alpha3.ConnectionPoolSettings.HTTPSettings.H2UpgradePolicy``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPSettings(Message):
    """``istio.networking.v1alpha3.ConnectionPoolSettings.HTTPSettings``: limits and timeouts of HTTP connections."""

    http1_max_pending_requests: Int32 = 0
    http2_max_requests: Int32 = 0
    max_requests_per_connection: Int32 = 0
    max_retries: Int32 = 0
    idle_timeout: timedelta | None = None
    h2_upgrade_policy: H2UpgradePolicy = "DEFAULT"
    use_client_protocol: bool = False
    max_concurrent_streams: Int32 = 0
    http2_keep_alive: ConnectionKeepalive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpKeepalive(Message):
    """SO_KEEPALIVE; zero probes means the system's number.

    ``istio.networking.v1alpha3.ConnectionPoolSettings.TCPSettings.TcpKeepalive``
    """

    probes: UInt32 = 0
    time: timedelta | None = None
    interval: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPSettings(Message):
    """``istio.networking.v1alpha3.ConnectionPoolSettings.TCPSettings``: limits and timeouts of connections."""

    max_connections: Int32 = 0
    connect_timeout: timedelta | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: timedelta | None = None
    idle_timeout: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPoolSettings(Message):
    """``istio.networking.v1alpha3.ConnectionPoolSettings``: limits on connections and requests."""

    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection(Message):
    """``istio.networking.v1alpha3.OutlierDetection``: when a failing endpoint is set aside."""

    consecutive_errors: Int32 = 0
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: UInt32 | None = None
    consecutive_gateway_errors: UInt32 | None = None
    consecutive_5xx_errors: UInt32 | None = None
    interval: timedelta | None = None
    base_ejection_time: timedelta | None = None
    max_ejection_percent: Int32 = 0
    min_health_percent: Int32 = 0
    outlier_detection_http_error_codes: tuple[UInt32, ...] = ()
