"""Priorities and weights of endpoints by locality.

Source: Istio pilot/pkg/networking/core/loadbalancer/loadbalancer.go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace

from sandbox.compiler.label_selectors import NETWORK_LABEL, split_locality
from sandbox.compiler.locality_settings import EffectiveSettings, LocalitySettings, ZoneAwareSettings
from sandbox.compiler.proxy import Proxy
from sandbox.compiler.services import ServiceEndpoint
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.load_balancing import LocalityDistribute, LocalityFailover, ZoneAwareFailover
from sandbox.plan.base import Locality
from sandbox.plan.cluster import LbEndpoint, LocalityLbEndpoints

_MOST_WEIGHT = 2**32 - 1
_OTHER_REGION = 3
_LOCALITY_STEPS = 5
_REGION_STEPS = 3


@dataclass(slots=True)
class LocalityGroup:
    """The endpoints of one locality (and priority), each in istiod's form and in Envoy's."""

    locality: str
    members: list[tuple[ServiceEndpoint, LbEndpoint]] = field(default_factory=list)
    weight: int | None = None
    priority: int = 0
    emptied: bool = False
    """The locality stays, without its endpoints."""

    def sum_weights(self) -> None:
        """The group's weight is that of its members; without members there is none."""
        total = sum(endpoint.load_balancing_weight or 0 for _, endpoint in self.members)
        self.weight = min(total, _MOST_WEIGHT) if self.members else None

    def build(self) -> LocalityLbEndpoints:
        """Envoy's form."""
        region, zone, sub_zone = split_locality(self.locality)
        return LocalityLbEndpoints(
            locality=Locality(region=region, zone=zone, sub_zone=sub_zone),
            lb_endpoints=() if self.emptied else tuple(endpoint for _, endpoint in self.members),
            load_balancing_weight=self.weight,
            priority=self.priority,
        )


def apply_locality(
    groups: list[LocalityGroup],
    settings: EffectiveSettings,
    proxy: Proxy,
    *,
    failover: bool,
    by_labels: bool = True,
) -> list[LocalityGroup]:
    """The groups with priorities and weights as one proxy sees them.

    ``failover``: endpoints are ejected, or the service wants it; ``by_labels``: failover priorities may be used.
    """
    if isinstance(settings, ZoneAwareSettings):
        if not settings.enabled:
            return groups
        if settings.setting.failover_priority and by_labels:
            groups = _by_labels(groups, proxy.labels, settings.setting.failover_priority)
        _apply_region_failover(groups, proxy.region, settings.setting.failover)
        return groups
    if settings is None:
        return groups
    return _apply_locality_settings(groups, settings, proxy, failover=failover, by_labels=by_labels)


def _apply_locality_settings(
    groups: list[LocalityGroup], settings: LocalitySettings, proxy: Proxy, *, failover: bool, by_labels: bool
) -> list[LocalityGroup]:
    setting = settings.setting
    if setting.distribute:
        _distribute(groups, proxy, setting.distribute)
        return groups
    if not failover and not settings.force:
        return groups
    if not setting.failover_priority:
        _apply_failover(groups, proxy, setting.failover)
        return groups
    if by_labels:
        groups = _by_labels(groups, proxy.labels, setting.failover_priority)
    if setting.failover:
        _apply_failover(groups, proxy, setting.failover)
    return groups


def locality_matches(locality: tuple[str, str, str], rule: str) -> bool:
    """Whether a rule's locality, in which ``*`` and missing parts stand for any, covers a locality."""
    region, zone, sub_zone = split_locality(rule)
    return region in ("*", locality[0]) and zone in ("*", "", locality[1]) and sub_zone in ("*", "", locality[2])


def _distribute(groups: list[LocalityGroup], proxy: Proxy, rules: Sequence[LocalityDistribute]) -> None:
    """Weights of the first rule for the proxy's locality; localities it does not name lose their endpoints."""
    own = (proxy.region, proxy.zone, proxy.sub_zone)
    rule = next((rule for rule in rules if locality_matches(own, rule.from_)), None)
    if rule is None:
        return
    left = list(groups)
    for target, weight in rule.to.items():
        chosen = [group for group in left if locality_matches(split_locality(group.locality), target)]
        left = [group for group in left if group not in chosen]
        total = sum(_weight(group) for group in chosen)
        for group in chosen:
            share = _weight(group) * weight / total
            if share > 0:
                group.weight = math.ceil(share)
    for group in left:
        group.emptied = True


def _weight(group: LocalityGroup) -> int:
    return 1 if group.weight is None else group.weight


def _distance(proxy: Proxy, locality: str) -> int:
    """0 for the same sub-zone, 1 zone, 2 region, 3 another region."""
    region, zone, sub_zone = split_locality(locality)
    if region != proxy.region:
        return _OTHER_REGION
    if zone != proxy.zone:
        return 2
    return 0 if sub_zone == proxy.sub_zone else 1


def _apply_failover(groups: Sequence[LocalityGroup], proxy: Proxy, rules: Sequence[LocalityFailover]) -> None:
    """Nearer localities first; a rule sends the proxy's region to one other region before the rest."""
    rule = next((rule for rule in rules if rule.from_ == proxy.region), None)
    for group in groups:
        distance = _distance(proxy, group.locality)
        if distance == _OTHER_REGION and rule is not None and split_locality(group.locality)[0] != rule.to:
            distance += 1
        group.priority = group.priority * _LOCALITY_STEPS + distance
    _close_gaps(groups)


def _apply_region_failover(groups: Sequence[LocalityGroup], region: str, rules: Sequence[ZoneAwareFailover]) -> None:
    """The own region first, then the one a rule names, then the others."""
    rule = next((rule for rule in rules if rule.from_ == region), None)
    for group in groups:
        other = split_locality(group.locality)[0]
        step = 0 if other == region else 1 if rule is not None and other == rule.to else 2
        group.priority = group.priority * _REGION_STEPS + step
    _close_gaps(groups)


def _close_gaps(groups: Iterable[LocalityGroup]) -> None:
    """Priorities must be 0, 1, 2 …"""
    groups = list(groups)
    ranks = {priority: rank for rank, priority in enumerate(sorted({group.priority for group in groups}))}
    for group in groups:
        group.priority = ranks[group.priority]


def _by_labels(
    groups: Sequence[LocalityGroup], proxy_labels: Mapping[str, str], priorities: Sequence[str]
) -> list[LocalityGroup]:
    """Every group split by how many of the labels, from the first on, its endpoints share with the proxy."""
    if not proxy_labels:
        return list(groups)
    split = [part for group in groups for part in _split_by_labels(group, proxy_labels, priorities)]
    _close_gaps(split)
    return split


def _split_by_labels(
    group: LocalityGroup, proxy_labels: Mapping[str, str], priorities: Sequence[str]
) -> list[LocalityGroup]:
    wanted = [(name, value if given else proxy_labels.get(name, "")) for name, given, value in map(_parts, priorities)]
    with_network = bool(priorities) and priorities[0] == NETWORK_LABEL
    found: dict[int, LocalityGroup] = {}
    for endpoint, built in group.members:
        rank = _label_rank(endpoint.labels, wanted, with_network=with_network)
        part = found.setdefault(rank, replace(group, members=[], priority=rank))
        part.members.append((endpoint, built))
    for part in found.values():
        part.sum_weights()
    return [found[rank] for rank in sorted(found)]


def _parts(priority: str) -> tuple[str, bool, str]:
    """``label`` compares with the proxy's value, ``label=value`` with the value."""
    pieces = priority.split("=")
    return pieces[0], len(pieces) == 2, pieces[1] if len(pieces) == 2 else ""


def _label_rank(labels: Mapping[str, str], wanted: Sequence[tuple[str, str]], *, with_network: bool) -> int:
    """0 when all labels agree; else the sooner they differ the higher. Another network only adds to the rank."""
    extra = 0
    for place, (name, value) in enumerate(wanted):
        if labels.get(name, "") == value:
            continue
        if place == 0 and with_network:
            extra = len(wanted)
            continue
        return len(wanted) - place + extra
    return extra
