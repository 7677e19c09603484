"""Which endpoints of a cluster a call may get, and which stand by or are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sandbox.explain.steps import Step
from sandbox.plan import NodePlan
from sandbox.plan.base import SocketAddress
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.cluster import Cluster, LbEndpoint, LocalityLbEndpoints, used_endpoints

BLACK_HOLE: Final = "BlackHoleCluster"
_SHOWN: Final = 3
_USABLE: Final = ("UNKNOWN", "HEALTHY", "DEGRADED")
_ENDPOINTS_OF_SERVICES: Final = (
    "a Service's endpoints are those of its EndpointSlices, which a cluster writes: kubectl get endpointslices -o yaml"
)


def usable_endpoints(cluster: Cluster) -> list[LbEndpoint]:
    """Those of the first priority that has any; none is known to be ill."""
    groups = _by_priority(cluster)
    return [endpoint for group in groups[min(groups)] for endpoint in _usable(group)] if groups else []


def endpoint_step(plan: NodePlan, cluster: Cluster) -> Step:
    """Tells them, and why there are no others."""
    usable = usable_endpoints(cluster)
    if not usable:
        return _no_endpoint(plan, cluster)
    shown = ", ".join(endpoint_text(endpoint) for endpoint in usable[:_SHOWN])
    more = f" (and {len(usable) - _SHOWN} more)" if len(usable) > _SHOWN else ""
    lines = tuple(dict.fromkeys(each for endpoint in usable[:_SHOWN] for each in endpoint.because))
    reasons = (*_of_subset(plan, cluster), *_localities(cluster), *_standing_by(cluster), *_left_out(cluster))
    return Step(kind="endpoint", found=shown + more, reason="; ".join(reasons), because=lines)


def endpoint_text(endpoint: LbEndpoint) -> str:
    """``address:port`` of an endpoint."""
    address = endpoint.endpoint.address if endpoint.endpoint is not None else None
    if isinstance(address, SocketAddress):
        host = f"[{address.address}]" if ":" in address.address else address.address
        return f"{host}:{address.port_value}"
    return address.path if address is not None else "?"


def endpoints_of(cluster: Cluster) -> list[SocketAddress]:
    """Addresses (or names) and ports of all endpoints."""
    groups = cluster.load_assignment.endpoints if cluster.load_assignment is not None else ()
    endpoints = (each.endpoint for group in groups for each in group.lb_endpoints)
    addresses = [endpoint.address for endpoint in endpoints if endpoint is not None]
    return [address for address in addresses if isinstance(address, SocketAddress)]


def _usable(group: LocalityLbEndpoints) -> list[LbEndpoint]:
    return [endpoint for endpoint in group.lb_endpoints if endpoint.health_status in _USABLE]


def _by_priority(cluster: Cluster) -> dict[int, list[LocalityLbEndpoints]]:
    """The groups that have usable endpoints."""
    found: dict[int, list[LocalityLbEndpoints]] = {}
    for group in used_endpoints(cluster):
        if _usable(group):
            found.setdefault(group.priority, []).append(group)
    return found


def _no_endpoint(plan: NodePlan, cluster: Cluster) -> Step:
    has_any = any(group.lb_endpoints for group in used_endpoints(cluster))
    reason = "none of the endpoints is healthy" if has_any else "the cluster has no endpoints"
    default = IstioDefault("unknown destinations are not allowed (REGISTRY_ONLY)")
    is_closed = cluster.name == BLACK_HOLE and not cluster.because
    because = (Because("outbound policy", default),) if is_closed else ()
    whole = _whole_host(plan, cluster)
    notes: tuple[str, ...] = ()
    if not has_any and whole is not None and _count(whole):
        _, _, subset, host = cluster.name.split("|")
        notes = (f"none of the endpoints of {host}, {_count(whole)} in all, has the labels of subset {subset}",)
    elif not has_any and ".svc." in cluster.name:
        notes = (_ENDPOINTS_OF_SERVICES,)
    return Step(kind="endpoint", found="none", reason=reason, because=because, notes=notes)


def _whole_host(plan: NodePlan, cluster: Cluster) -> Cluster | None:
    """For a subset's cluster that of the whole host; of names only DNS knows how many endpoints they are."""
    parts = cluster.name.split("|")
    if len(parts) != 4 or not parts[2]:
        return None
    whole = plan.clusters.get(f"{parts[0]}|{parts[1]}||{parts[3]}")
    return whole if whole is not None and whole.type == "EDS" else None


def _count(cluster: Cluster) -> int:
    return sum(len(group.lb_endpoints) for group in used_endpoints(cluster))


def _of_subset(plan: NodePlan, cluster: Cluster) -> Iterator[str]:
    """How many of the host's endpoints are the subset's."""
    whole = _whole_host(plan, cluster)
    if whole is not None and _count(whole) > _count(cluster):
        yield f"{_count(cluster)} of {_count(whole)} endpoints of the host, by the subset's labels"


def _localities(cluster: Cluster) -> Iterator[str]:
    """Shares of the traffic by locality, where weights say them."""
    common = cluster.common_lb_config
    groups = _by_priority(cluster)
    first: Sequence[LocalityLbEndpoints] = groups[min(groups)]
    if common is None or common.locality_weighted_lb_config is None or len(first) < 2:
        return
    total = sum(group.load_balancing_weight or 0 for group in first) or 1
    shares = [f"{_place(group)} {100 * (group.load_balancing_weight or 0) / total:.3g}%" for group in first]
    yield f"by locality: {', '.join(shares)}"


def _place(group: LocalityLbEndpoints) -> str:
    place = group.locality
    parts = (place.region, place.zone, place.sub_zone) if place is not None else ()
    return "/".join(part for part in parts if part) or "without a locality"


def _standing_by(cluster: Cluster) -> Iterator[str]:
    groups = _by_priority(cluster)
    rest = [endpoint for priority in sorted(groups)[1:] for group in groups[priority] for endpoint in _usable(group)]
    if rest:
        shown = ", ".join(endpoint_text(endpoint) for endpoint in rest[:_SHOWN])
        more = f" and {len(rest) - _SHOWN} more" if len(rest) > _SHOWN else ""
        yield f"{shown}{more} of lower priority take over as these fail"


def _left_out(cluster: Cluster) -> Iterator[str]:
    ill = [
        f"{endpoint_text(endpoint)} ({endpoint.health_status.lower()})"
        for group in used_endpoints(cluster)
        for endpoint in group.lb_endpoints
        if endpoint.health_status not in _USABLE
    ]
    if ill:
        yield f"not {', '.join(ill[:_SHOWN])}"
