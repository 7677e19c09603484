"""The load balancer of a cluster.

Source: Istio pilot/pkg/networking/core/cluster_traffic_policy.go (``applyLoadBalancer``,
``ApplyRingHashLoadBalancer``), loadbalancer.go (``ApplyToCluster``).
"""

from __future__ import annotations

from typing import Final

from sandbox.compiler.cluster_draft import ClusterDraft
from sandbox.compiler.features import Features
from sandbox.compiler.locality_settings import EffectiveSettings, LocalitySettings, ZoneAwareSettings
from sandbox.compiler.protocols import Protocol
from sandbox.istio.load_balancing import ConsistentHashLB, LoadBalancerSettings
from sandbox.plan.base import Percent, RuntimeDouble
from sandbox.plan.cluster import (
    LeastRequestLbConfig,
    MaglevLbConfig,
    RingHashLbConfig,
    RoundRobinLbConfig,
    SlowStartConfig,
    ZoneAwareLbConfig,
)

CLUSTER_PROVIDED: Final = "CLUSTER_PROVIDED"
ORIGINAL_DST: Final = "ORIGINAL_DST"
_DEFAULT_RING_SIZE: Final = 1024
_DEFAULT_AGGRESSION: Final = 1.0
_DEFAULT_MINIMUM_PERCENT: Final = 10.0


def apply_locality_config(draft: ClusterDraft, settings: EffectiveSettings, features: Features) -> None:
    """How Envoy shares requests between localities (``ApplyToCluster``)."""
    if isinstance(settings, ZoneAwareSettings):
        draft.zone_aware = ZoneAwareLbConfig(
            routing_enabled=None if settings.enabled else Percent(value=0.0),
            min_cluster_size=settings.setting.min_cluster_size,
        )
        return
    draft.locality_weighted = features.enable_locality_weighted_lb or (
        settings is not None and _weighted(draft, settings)
    )


def _weighted(draft: ClusterDraft, settings: LocalitySettings) -> bool:
    setting = settings.setting
    failover = settings.force or draft.outlier_detection is not None
    return bool(setting.distribute) or (failover and bool(setting.failover or setting.failover_priority))


def apply_load_balancer(
    draft: ClusterDraft, settings: LoadBalancerSettings | None, protocol: Protocol, features: Features
) -> None:
    """The policy; without settings LEAST_REQUEST."""
    if draft.type == ORIGINAL_DST:
        draft.lb_policy = CLUSTER_PROVIDED
        return
    if features.enable_redis_filter and protocol is Protocol.REDIS:
        draft.lb_policy = "MAGLEV"
        return
    settings = settings if settings is not None else LoadBalancerSettings()
    match settings.simple:
        case "RANDOM":
            draft.lb_policy = "RANDOM"
        case "ROUND_ROBIN":
            draft.lb_policy = "ROUND_ROBIN"
            slow_start = _slow_start(settings)
            if slow_start is not None:
                draft.set_lb_config(round_robin=RoundRobinLbConfig(slow_start_config=slow_start))
        case "PASSTHROUGH":
            draft.lb_policy = CLUSTER_PROVIDED
            draft.type = ORIGINAL_DST
            draft.endpoints = None
        case _:
            draft.lb_policy = "LEAST_REQUEST"
            slow_start = _slow_start(settings)
            if slow_start is not None:
                draft.set_lb_config(least_request=LeastRequestLbConfig(slow_start_config=slow_start))
    if settings.consistent_hash is not None:
        _apply_consistent_hash(draft, settings.consistent_hash)


def _slow_start(settings: LoadBalancerSettings) -> SlowStartConfig | None:
    if settings.warmup is not None:
        warmup = settings.warmup
        aggression = _DEFAULT_AGGRESSION if warmup.aggression is None else warmup.aggression
        percent = _DEFAULT_MINIMUM_PERCENT if warmup.minimum_percent is None else warmup.minimum_percent
        return SlowStartConfig(
            slow_start_window=warmup.duration,
            aggression=RuntimeDouble(default_value=aggression, runtime_key="("),
            min_weight_percent=Percent(value=percent),
        )
    if settings.warmup_duration_secs is not None:
        return SlowStartConfig(slow_start_window=settings.warmup_duration_secs)
    return None


def _apply_consistent_hash(draft: ClusterDraft, settings: ConsistentHashLB) -> None:
    if settings.maglev is not None:
        draft.lb_policy = "MAGLEV"
        if settings.maglev.table_size:
            draft.set_lb_config(maglev=MaglevLbConfig(table_size=settings.maglev.table_size))
        return
    draft.lb_policy = "RING_HASH"
    if settings.ring_hash is None:
        size = settings.minimum_ring_size or _DEFAULT_RING_SIZE
    else:
        size = settings.ring_hash.minimum_ring_size
    if size:
        draft.set_lb_config(ring_hash=RingHashLbConfig(minimum_ring_size=size))
