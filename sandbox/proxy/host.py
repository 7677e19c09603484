"""Host: one upstream endpoint with its counters and its health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.plan.base import Locality
    from sandbox.plan.cluster import LbEndpoint
    from sandbox.proxy.outlier_detection import HostOutlierState

SocketTarget = tuple[str, int] | str
"""``(ip, port)``, or the path of a Unix domain socket."""


class HostPool(Protocol):
    """A pool of connections to one host."""

    def close_idle(self) -> None:
        """The host is out of use: connections that nobody uses are closed."""


def close_idle_pools(host: Host) -> None:
    """Of a host that is gone, or ejected."""
    for pool in list(host.pools.values()):
        pool.close_idle()


class Host:
    """One endpoint of a cluster; load balancers read weight, priority, locality, health and the counters."""

    __slots__ = (
        "active_connections",
        "active_requests",
        "address",
        "connect_failures",
        "connections",
        "created",
        "endpoint",
        "health_status",
        "healthy",
        "hostname",
        "locality",
        "metadata",
        "outlier",
        "pools",
        "priority",
        "requests",
        "target",
        "weight",
    )

    def __init__(self, target: SocketTarget, address: str) -> None:
        self.target = target
        self.address = address
        """``ip:port`` as logged (``%UPSTREAM_HOST%``), or the path."""
        self.hostname = ""
        """The DNS name it was resolved from; empty for plain addresses."""
        self.weight = 1
        self.priority = 0
        self.locality: Locality | None = None
        self.metadata: Mapping[str, Mapping[str, object]] = {}
        """``filter_metadata`` of the endpoint (``envoy.lb`` has the subset's labels)."""
        self.health_status = "UNKNOWN"
        """The plan's word: UNKNOWN and HEALTHY take traffic."""
        self.healthy = True
        """False while ejected by outlier detection, or UNHEALTHY, DRAINING, TIMEOUT in the plan."""
        self.active_requests = 0
        self.active_connections = 0
        self.connections = 0
        """All that were begun."""
        self.connect_failures = 0
        self.requests = 0
        """All that were given to a connection."""
        self.created = 0.0
        """Monotonic seconds; slow start counts from here."""
        self.endpoint: LbEndpoint | None = None
        self.outlier: HostOutlierState | None = None
        self.pools: dict[object, HostPool] = {}
        """HTTP connection pools to this host, by whatever key their owner likes."""

    def __repr__(self) -> str:
        return f"Host({self.address})"
