"""Load balancing settings of a traffic policy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import UInt32, UInt64


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPCookieAttribute(Message):
    """An attribute of a made cookie, as SameSite.

    ``istio.networking.v1alpha3.LoadBalancerSettings.ConsistentHashLB.HTTPCookie.Attribute``
    """

    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPCookie(Message):
    """The cookie whose value is hashed, made if missing.

    ``istio.networking.v1alpha3.LoadBalancerSettings.ConsistentHashLB.HTTPCookie``
    """

    name: str = ""
    path: str = ""
    ttl: timedelta | None = None
    attributes: tuple[HTTPCookieAttribute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MagLev(Message):
    """The Maglev table; its size is a prime.

    ``istio.networking.v1alpha3.LoadBalancerSettings.ConsistentHashLB.MagLev``
    """

    table_size: UInt64 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RingHash(Message):
    """The hash ring and its least size.

    ``istio.networking.v1alpha3.LoadBalancerSettings.ConsistentHashLB.RingHash``
    """

    minimum_ring_size: UInt64 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistentHashLB(Message):
    """``istio.networking.v1alpha3.LoadBalancerSettings.ConsistentHashLB``: endpoint by hash."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name"),
        ("ring_hash", "maglev"),
    )

    http_header_name: str | None = None
    http_cookie: HTTPCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: MagLev | None = None
    minimum_ring_size: UInt64 = 0


SimpleLB = Literal["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"]
"""``istio.networking.v1alpha3.LoadBalancerSettings.SimpleLB``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityDistribute(Message):
    """Shares in percent from one locality to others.

    ``istio.networking.v1alpha3.LocalityLoadBalancerSetting.Distribute``
    """

    from_: str = ""
    to: Mapping[str, UInt32] = EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityFailover(Message):
    """``istio.networking.v1alpha3.LocalityLoadBalancerSetting.Failover``: the region that takes over from another."""

    from_: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityLoadBalancerSetting(Message):
    """``istio.networking.v1alpha3.LocalityLoadBalancerSetting``: prefer or distribute over localities."""

    distribute: tuple[LocalityDistribute, ...] = ()
    failover: tuple[LocalityFailover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupConfiguration(Message):
    """``istio.networking.v1alpha3.WarmupConfiguration``: let new endpoints start slowly."""

    duration: timedelta | None = None
    minimum_percent: float | None = None
    aggression: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAwareFailover(Message):
    """``istio.networking.v1alpha3.ZoneAwareLoadBalancerSetting.Failover``: the region that takes over from another."""

    from_: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAwareLoadBalancerSetting(Message):
    """``istio.networking.v1alpha3.ZoneAwareLoadBalancerSetting``: keep traffic in the zone of the client."""

    enabled: bool | None = None
    failover: tuple[ZoneAwareFailover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    min_cluster_size: UInt64 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendUtilization(Message):
    """``istio.networking.v1alpha3.LoadBalancerSettings.BackendUtilizationLB``: weights from ORCA reports."""

    error_utilization_penalty_percent: UInt32 = 0
    metric_names_for_computing_utilization: tuple[str, ...] = ()
    weight_expiration_period: timedelta | None = None
    weight_stabilization_period: timedelta | None = None
    weight_update_period: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerSettings(Message):
    """``istio.networking.v1alpha3.LoadBalancerSettings``: which endpoint gets the next request."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("simple", "consistent_hash", "backend_utilization"),)

    simple: SimpleLB | None = None
    consistent_hash: ConsistentHashLB | None = None
    backend_utilization: BackendUtilization | None = None
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    warmup_duration_secs: timedelta | None = None
    warmup: WarmupConfiguration | None = None
