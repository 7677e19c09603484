"""Which traffic policy holds for a port and a subset: port levels, subsets, the mesh's baseline.

Source: Istio pilot/pkg/networking/util/util.go (``GetPortLevelTrafficPolicy``, ``MergeSubsetTrafficPolicy``),
pilot/pkg/model/destination_rule.go (``MergeTrafficPolicy``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sandbox.istio.destination_rule import DestinationRule, Subset
from sandbox.istio.mesh_config import DefaultTrafficPolicy
from sandbox.istio.traffic_policy import PortTrafficPolicy, TrafficPolicy

_PORT_FIELDS = ("connection_pool", "outlier_detection", "load_balancer", "tls")
_OTHER_FIELDS = ("tunnel", "proxy_protocol", "retry_budget")


def port_policy(policy: TrafficPolicy | None, port: int) -> tuple[TrafficPolicy | None, bool]:
    """The policy of a port, and whether it is a port's own, which replaces the general one and inherits nothing."""
    for own in policy.port_level_settings if policy is not None else ():
        if own.port is not None and own.port.number == port:
            return _as_policy(own), True
    return policy, False


def _as_policy(own: PortTrafficPolicy) -> TrafficPolicy:
    return TrafficPolicy(
        connection_pool=own.connection_pool,
        outlier_detection=own.outlier_detection,
        load_balancer=own.load_balancer,
        tls=own.tls,
        place=own.place,
    )


def subset_policy(general: TrafficPolicy | None, subset: TrafficPolicy | None, port: int) -> TrafficPolicy | None:
    """A subset's policy over the rule's: each block the subset sets replaces the rule's."""
    general, _ = port_policy(general, port)
    if subset is None:
        return general
    own, for_port = port_policy(subset, port)
    if general is None or own is None:
        return own
    changes: dict[str, Any] = {
        name: getattr(own, name) for name in _PORT_FIELDS if for_port or getattr(own, name) is not None
    }
    changes.update({name: getattr(own, name) for name in _OTHER_FIELDS if getattr(own, name) is not None})
    return replace(general, port_level_settings=(), **changes)


def policy_of_subset(rule: DestinationRule | None, subset: str, port: int) -> TrafficPolicy | None:
    """The policy for endpoints of a subset (empty: no subset), without the mesh's baseline."""
    if rule is None:
        return None
    found = find_subset(rule, subset)
    return subset_policy(rule.traffic_policy, found.traffic_policy if found is not None else None, port)


def find_subset(rule: DestinationRule | None, name: str) -> Subset | None:
    """The first subset of this name; None for the empty name, too."""
    return next((subset for subset in rule.subsets if subset.name == name), None) if rule is not None and name else None


def subset_labels(rule: DestinationRule | None, name: str) -> Mapping[str, str]:
    """What selects the endpoints of a subset; empty selects all."""
    found = find_subset(rule, name)
    return found.labels if found is not None else {}


def with_baseline(policy: TrafficPolicy | None, baseline: DefaultTrafficPolicy | None) -> TrafficPolicy | None:
    """The policy with the mesh's blocks where it has none of its own (``applyDefaultTrafficPolicy``)."""
    if baseline is None or (baseline.connection_pool is None and baseline.outlier_detection is None):
        return policy
    policy = policy if policy is not None else TrafficPolicy()
    pool, detection = policy.connection_pool, policy.outlier_detection
    return replace(
        policy,
        connection_pool=pool if pool is not None else baseline.connection_pool,
        outlier_detection=detection if detection is not None else baseline.outlier_detection,
    )
