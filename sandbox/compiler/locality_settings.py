"""Which locality settings hold for a service: of the rule, of the service itself, of the mesh.

Source: Istio pilot/pkg/networking/core/loadbalancer/loadbalancer.go (``GetEffectiveLbSetting``).
"""

from __future__ import annotations

from typing import Final

from sandbox.compiler.label_selectors import HOSTNAME_LABEL, NETWORK_LABEL, REGION_LABEL, SUBZONE_LABEL, ZONE_LABEL
from sandbox.compiler.services import Service, TrafficDistribution
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination_rule import DestinationRule
from sandbox.istio.load_balancing import (
    LoadBalancerSettings,
    LocalityLoadBalancerSetting,
    ZoneAwareLoadBalancerSetting,
)
from sandbox.istio.mesh_config import MeshConfig

_BY_ZONE: Final = (NETWORK_LABEL, REGION_LABEL, ZONE_LABEL)
_PREFERENCES: Final = {
    TrafficDistribution.PREFER_SAME_ZONE: LocalityLoadBalancerSetting(enabled=True, failover_priority=_BY_ZONE),
    TrafficDistribution.PREFER_SAME_NODE: LocalityLoadBalancerSetting(
        enabled=True, failover_priority=(*_BY_ZONE, SUBZONE_LABEL, HOSTNAME_LABEL)
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalitySettings:
    """Locality load balancing; ``force`` fails over without outlier detection, too."""

    setting: LocalityLoadBalancerSetting
    force: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that decide about priorities."""
        return () if self.setting.distribute else self.setting.failover_priority


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAwareSettings:
    """Envoy's zone-aware routing."""

    setting: ZoneAwareLoadBalancerSetting

    @property
    def enabled(self) -> bool:
        """Whether it is on; on unless switched off."""
        return self.setting.enabled is not False

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that decide about priorities."""
        return self.setting.failover_priority if self.enabled else ()


EffectiveSettings = LocalitySettings | ZoneAwareSettings | None
"""None: locality plays no part."""


def effective_settings(mesh: MeshConfig, rule: LoadBalancerSettings | None, service: Service) -> EffectiveSettings:
    """Rule before the service's traffic distribution before mesh; zone-aware before locality settings."""
    if rule is not None and rule.zone_aware_lb_setting is not None:
        return ZoneAwareSettings(setting=rule.zone_aware_lb_setting)
    if rule is not None and rule.locality_lb_setting is not None:
        return _unless_disabled(rule.locality_lb_setting)
    if service.traffic_distribution in _PREFERENCES:
        return LocalitySettings(setting=_PREFERENCES[service.traffic_distribution], force=True)
    if mesh.zone_aware_lb_setting is not None:
        return ZoneAwareSettings(setting=mesh.zone_aware_lb_setting)
    return _unless_disabled(mesh.locality_lb_setting) if mesh.locality_lb_setting is not None else None


def splits_by_labels(settings: EffectiveSettings, *, ejecting: bool) -> bool:
    """Whether labels decide about priorities; locality settings need endpoints to be ejected, or to be forced."""
    if settings is None or not settings.labels:
        return False
    return isinstance(settings, ZoneAwareSettings) or ejecting or settings.force


def compares_labels(mesh: MeshConfig, service: Service, rule: DestinationRule | None) -> bool:
    """Whether any cluster of a service compares labels of the proxy with those of endpoints."""
    balancers: list[LoadBalancerSettings | None] = [None]
    if rule is not None:
        for policy in (rule.traffic_policy, *(subset.traffic_policy for subset in rule.subsets)):
            if policy is not None:
                balancers += [policy.load_balancer, *(own.load_balancer for own in policy.port_level_settings)]
    return any(
        settings is not None and bool(settings.labels)
        for settings in (effective_settings(mesh, balancer, service) for balancer in balancers)
    )


def _unless_disabled(setting: LocalityLoadBalancerSetting) -> LocalitySettings | None:
    return None if setting.enabled is False else LocalitySettings(setting=setting)
