"""Load balancing of a traffic policy: hashes, localities, warm-up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from sandbox.istio.connection_pool import OutlierDetection
from sandbox.istio.load_balancing import (
    ConsistentHashLB,
    HTTPCookie,
    LoadBalancerSettings,
    LocalityFailover,
    LocalityLoadBalancerSetting,
    MagLev,
    WarmupConfiguration,
    ZoneAwareFailover,
    ZoneAwareLoadBalancerSetting,
)
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.traffic_policy import check_duration

_MAGLEV_LIMIT: Final = 5_000_011
_TOPOLOGY_LABELS: Final = frozenset(
    {"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}
)
_NO_OUTLIER: Final = "outlier detection policy must be provided for failover"


def check_load_balancer(
    settings: LoadBalancerSettings | None, outlier: OutlierDetection | None, findings: Findings
) -> None:
    """All of ``loadBalancer``; failover needs an outlier detection beside it."""
    if settings is None:
        return
    if settings.consistent_hash is not None:
        _check_consistent_hash(settings.consistent_hash, findings)
    if settings.locality_lb_setting is not None and settings.zone_aware_lb_setting is not None:
        message = "only one of localityLbSetting and zoneAwareLbSetting can be set"
        findings.error(message, settings, "zone_aware_lb_setting")
    check_locality(settings.locality_lb_setting, findings, outlier_given=outlier is not None)
    check_zone_aware(settings.zone_aware_lb_setting, findings, outlier_given=outlier is not None)
    if settings.warmup is not None:
        _check_warmup(settings.warmup, findings)


def _check_cookie(cookie: HTTPCookie, findings: Findings) -> None:
    if not cookie.name:
        findings.error("name required for httpCookie", cookie)
    seen: set[str] = set()
    for attribute in cookie.attributes:
        if not attribute.name:
            findings.error("cookie attribute name cannot be empty", attribute)
        elif attribute.name in seen:
            findings.error(f"duplicate cookie attribute name: {attribute.name}", attribute)
        seen.add(attribute.name)


def _check_consistent_hash(consistent_hash: ConsistentHashLB, findings: Findings) -> None:
    if consistent_hash.http_cookie is not None:
        _check_cookie(consistent_hash.http_cookie, findings)
    if consistent_hash.minimum_ring_size:
        findings.warn("minimumRingSize is deprecated, use ringHash instead", consistent_hash, "minimum_ring_size")
        if consistent_hash.ring_hash is not None or consistent_hash.maglev is not None:
            message = "only one of minimumRingSize or maglev/ringHash can be specified"
            findings.error(message, consistent_hash, "minimum_ring_size")
    if consistent_hash.maglev is not None:
        _check_maglev(consistent_hash.maglev, findings)


def _check_maglev(maglev: MagLev, findings: Findings) -> None:
    if maglev.table_size == 0:
        findings.error("tableSize must be set for maglev", maglev)
    if maglev.table_size >= _MAGLEV_LIMIT:
        findings.error(f"tableSize must be less than {_MAGLEV_LIMIT} for maglev", maglev, "table_size")
    elif not _is_prime(maglev.table_size):
        findings.error("tableSize must be a prime number for maglev", maglev, "table_size")


def _is_prime(number: int) -> bool:
    if 0 < number < 4:
        return True
    return number % 2 != 0 and all(number % factor for factor in range(3, math.isqrt(number) + 1, 2))


def _check_warmup(warmup: WarmupConfiguration, findings: Findings) -> None:
    if warmup.duration is None:
        findings.error("duration is required for warmup", warmup)
    check_duration(warmup, "duration", findings)
    if (warmup.minimum_percent or 0) > 100:
        findings.error("minimumPercent value should be less than or equal to 100", warmup, "minimum_percent")
    if warmup.aggression is not None and warmup.aggression <= 0:
        findings.error("aggression should be greater than 0", warmup, "aggression")


def check_locality(setting: LocalityLoadBalancerSetting | None, findings: Findings, *, outlier_given: bool) -> None:
    """Localities: distribution or failover, not both."""
    if setting is None:
        return
    if setting.distribute and setting.failover:
        findings.error("can not simultaneously specify 'distribute' and 'failover'", setting, "failover")
        return
    topology = next((label for label in setting.failover_priority if label in _TOPOLOGY_LABELS), None)
    if setting.failover and topology is not None:
        message = f"can not simultaneously set 'failover' and topology label {topology!r} in 'failoverPriority'"
        findings.error(message, setting, "failover_priority")
        return
    if not _check_distribution(setting, findings):
        return
    if (setting.failover or setting.failover_priority) and not outlier_given:
        findings.warn(_NO_OUTLIER, setting)
    _check_failovers(setting.failover, findings)


def _check_distribution(setting: LocalityLoadBalancerSetting, findings: Findings) -> bool:
    for distribute in setting.distribute:
        wrong = next((locality for locality, weight in distribute.to.items() if not 1 <= weight <= 100), None)
        if wrong is not None:
            findings.error("locality weight must be in range [1, 100]", distribute, "to", wrong)
            return False
        total = sum(distribute.to.values())
        if total != 100:
            findings.error(f"total locality weight {total} != 100", distribute, "to")
            return False
        findings.check(localities_fault(distribute.to), distribute, "to")
    findings.check(localities_fault(one.from_ for one in setting.distribute), setting, "distribute")
    return True


def _check_failovers(failovers: Iterable[LocalityFailover | ZoneAwareFailover], findings: Findings) -> None:
    for failover in failovers:
        if failover.from_ == failover.to:
            findings.error("failover settings must specify different regions", failover)
        if "/" in failover.from_ or "/" in failover.to:
            findings.error("failover specifies regions only, without zone", failover)
        if "*" in failover.from_ or "*" in failover.to:
            findings.error("failover region should not contain '*' wildcard", failover)


def check_zone_aware(setting: ZoneAwareLoadBalancerSetting | None, findings: Findings, *, outlier_given: bool) -> None:
    """Zone-aware balancing with failover between regions."""
    if setting is None:
        return
    for index, label in enumerate(setting.failover_priority):
        if label in _TOPOLOGY_LABELS:
            message = f"failoverPriority for zone aware load balancing must not use topology label {label!r}"
            findings.error(message, setting, "failover_priority", index)
    if (setting.failover or setting.failover_priority) and not outlier_given:
        findings.warn(_NO_OUTLIER, setting)
    _check_failovers(setting.failover, findings)


def localities_fault(localities: Iterable[str]) -> str | None:
    """``region/zone/subzone`` with at most one ``*``, at the end, and none inside another."""
    seen: set[tuple[str, ...]] = set()
    for locality in localities:
        stars = locality.count("*")
        if stars > 1 or (stars and not locality.endswith("*")):
            return f"locality {locality} can have one wildcard '*', at the end"
        parts = tuple(locality.split("/", 2))
        if ("*",) in seen:
            return f"locality {locality} overlaps with previous specified ones"
        if "" in parts:
            return f"locality {locality} must not contain empty region/zone/subzone info"
        if _overlaps(parts, seen):
            return f"locality {locality} overlaps with previous specified ones"
        seen.add(parts)
    return None


def _overlaps(parts: tuple[str, ...], seen: set[tuple[str, ...]]) -> bool:
    """A region that was named in any form, a zone named or within a named region, and so on."""
    for other in seen:
        shorter = min(len(parts), len(other))
        if parts[:shorter] == other[:shorter]:
            return True
        # A wildcard zone or sub-zone stands for all of its region or zone once it is in the list.
        if len(other) > 1 and other[-1] == "*" and parts[: len(other) - 1] == other[:-1] and len(parts) >= len(other):
            return True
    return False
