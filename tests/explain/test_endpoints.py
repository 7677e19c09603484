"""Explain tells which endpoints a call may get, which stand by, and which are left out."""

from __future__ import annotations

import pytest

from sandbox.explain.endpoint_steps import endpoint_step
from sandbox.plan import NodePlan
from sandbox.plan.base import Locality, SocketAddress
from sandbox.plan.cluster import (
    Cluster,
    ClusterLoadAssignment,
    CommonLbConfig,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
    LocalityWeightedLbConfig,
)

HOST = "api.example.com"
WHOLE, SUBSET = f"outbound|80||{HOST}", f"outbound|80|v1|{HOST}"


def group(
    *last: int, priority: int = 0, weight: int | None = None, region: str = "", health: str = "HEALTHY"
) -> LocalityLbEndpoints:
    addresses = [SocketAddress(address=f"10.0.0.{number}", port_value=80) for number in last]
    endpoints = tuple(LbEndpoint(endpoint=Endpoint(address=each), health_status=health) for each in addresses)
    locality = Locality(region=region) if region else None
    return LocalityLbEndpoints(
        lb_endpoints=endpoints, priority=priority, load_balancing_weight=weight, locality=locality
    )


def cluster(name: str, *groups: LocalityLbEndpoints, is_weighted: bool = False) -> Cluster:
    config = CommonLbConfig(locality_weighted_lb_config=LocalityWeightedLbConfig() if is_weighted else None)
    return Cluster(
        name=name, type="EDS", load_assignment=ClusterLoadAssignment(endpoints=groups), common_lb_config=config
    )


ALL = cluster(WHOLE, group(1, 2, 3))
ROWS = {
    "all of them": (ALL, "10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80", "", ""),
    "more than are shown": (
        cluster(WHOLE, group(1, 2, 3, 4, 5)),
        "10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80 (and 2 more)",
        "",
        "",
    ),
    "a subset's": (
        cluster(SUBSET, group(2)),
        "10.0.0.2:80",
        "1 of 3 endpoints of the host, by the subset's labels",
        "",
    ),
    "a subset that is everybody": (cluster(SUBSET, group(1, 2, 3)), "10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80", "", ""),
    "a subset without any": (
        cluster(SUBSET),
        "none",
        "the cluster has no endpoints",
        f"none of the endpoints of {HOST}, 3 in all, has the labels of subset v1",
    ),
    "a nearer locality": (
        cluster(WHOLE, group(1), group(2, 3, priority=1)),
        "10.0.0.1:80",
        "10.0.0.2:80, 10.0.0.3:80 of lower priority take over as these fail",
        "",
    ),
    "shares of localities": (
        cluster(WHOLE, group(1, weight=80, region="east"), group(2, weight=20, region="west"), is_weighted=True),
        "10.0.0.1:80, 10.0.0.2:80",
        "by locality: east 80%, west 20%",
        "",
    ),
    "one that is ill": (
        cluster(WHOLE, group(1), group(2, health="UNHEALTHY")),
        "10.0.0.1:80",
        "not 10.0.0.2:80 (unhealthy)",
        "",
    ),
    "all ill": (cluster(WHOLE, group(1, health="DRAINING")), "none", "none of the endpoints is healthy", ""),
}


@pytest.mark.parametrize(("chosen", "found", "reason", "note"), ROWS.values(), ids=list(ROWS))
def test_the_endpoint_step_tells_who_is_chosen_from(chosen: Cluster, found: str, reason: str, note: str) -> None:
    plan = NodePlan(workload="shop/web", node_type="sidecar", clusters={WHOLE: ALL, chosen.name: chosen})

    step = endpoint_step(plan, chosen)

    assert (step.found, step.reason, step.notes) == (found, reason, (note,) if note else ())
