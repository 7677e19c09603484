"""Of which endpoints Envoy makes hosts: as a real Envoy 1.39's ``/clusters`` lists them."""

from __future__ import annotations

import pytest

from sandbox.plan.base import Locality, SocketAddress
from sandbox.plan.cluster import (
    Cluster,
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
    used_endpoints,
)


def group(*hosts: tuple[str, int], region: str = "", priority: int = 0) -> LocalityLbEndpoints:
    endpoints = tuple(
        LbEndpoint(
            endpoint=Endpoint(address=SocketAddress(address=address, port_value=80)), load_balancing_weight=weight
        )
        for address, weight in hosts
    )
    return LocalityLbEndpoints(locality=Locality(region=region), lb_endpoints=endpoints, priority=priority)


ASSIGNMENT = ClusterLoadAssignment(
    endpoints=(
        group(("127.0.0.1", 1), ("127.0.0.1", 5), ("127.0.0.2", 1)),
        group(("127.0.0.2", 3), ("127.0.0.3", 3), region="r"),
        group(("127.0.0.3", 3), ("127.0.0.4", 3), region="r", priority=1),
    )
)


@pytest.mark.parametrize(
    ("kind", "hosts"),
    [
        ("EDS", [[("127.0.0.1", 1), ("127.0.0.2", 1)], [("127.0.0.3", 3)], [("127.0.0.4", 3)]]),
        (
            "STATIC",
            [
                [("127.0.0.1", 1), ("127.0.0.1", 5), ("127.0.0.2", 1)],
                [("127.0.0.2", 3), ("127.0.0.3", 3)],
                [("127.0.0.3", 3), ("127.0.0.4", 3)],
            ],
        ),
    ],
)
def test_an_address_counts_once_where_endpoints_are_discovered(kind: str, hosts: list[list[tuple[str, int]]]) -> None:
    used = used_endpoints(Cluster(name="x", type=kind, load_assignment=ASSIGNMENT))
    assert used == tuple(
        group(*expected, region=given.locality.region if given.locality else "", priority=given.priority)
        for expected, given in zip(hosts, ASSIGNMENT.endpoints, strict=True)
    )


def test_a_cluster_without_endpoints_has_none() -> None:
    assert used_endpoints(Cluster(name="x", type="EDS")) == ()
