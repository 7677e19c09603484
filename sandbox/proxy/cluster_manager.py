"""ClusterManager: the clusters of a snapshot, their hosts, limits and load balancing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sandbox.proxy.host import Host

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster, HttpProtocolOptions
    from sandbox.proxy.outlier_detection import OutlierDetector


class LoadBalancerContext:
    """What a choice of host may depend on (Envoy's ``LoadBalancerContext``)."""

    __slots__ = ("destination", "hash_key", "priority_excluded", "retry_attempts", "tried")

    def __init__(self, destination: tuple[str, int] | None = None, hash_key: int | None = None) -> None:
        self.destination = destination
        """Original destination (ip, port): for ORIGINAL_DST clusters."""
        self.hash_key = hash_key
        """64-bit hash for ring hash and maglev; ``None`` draws at random."""
        self.tried: Sequence[Host] = ()
        """Hosts of earlier tries (previous_hosts); avoided ``retry_attempts`` times, then taken anyway."""
        self.retry_attempts = 0
        """``host_selection_retry_max_attempts``."""
        self.priority_excluded: frozenset[int] = frozenset()
        """Priorities that previous_priorities excludes."""


class Limit:
    """One circuit breaker: how many at once. ``None`` in the plan is Envoy's default."""

    __slots__ = ("active", "maximum")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.active = 0

    @property
    def is_full(self) -> bool:
        """No further one may begin."""
        return self.active >= self.maximum


class ResourceManager:
    """Circuit breakers of a cluster (default priority); who begins something adds to ``active`` and takes it off again."""

    __slots__ = ("connections", "pending_requests", "requests", "retries")

    def __init__(self, connections: int, pending_requests: int, requests: int, retries: int) -> None:
        self.connections = Limit(connections)
        self.pending_requests = Limit(pending_requests)
        self.requests = Limit(requests)
        self.retries = Limit(retries)


class ClusterRuntime:
    """A cluster at work."""

    plan: Cluster
    name: str
    resources: ResourceManager
    http_options: HttpProtocolOptions | None
    outlier: OutlierDetector | None

    @property
    def hosts(self) -> Sequence[Host]:
        """All hosts now known."""
        raise NotImplementedError

    def choose_host(self, context: LoadBalancerContext) -> Host | None:
        """The load balancer's choice; ``None`` is "no healthy upstream"."""
        raise NotImplementedError

    async def resolve_host(self, authority: str, default_port: int) -> Host | None:
        """Dynamic forward proxy: the host for ``name[:port]``; ``None`` where the name does not resolve (``dns_resolution_failure``)."""
        raise NotImplementedError

    def report_response(self, host: Host, status: int) -> None:
        """An HTTP answer for outlier detection (gateway failures made by us are reported by ``report_connect_failure``)."""
        raise NotImplementedError

    def report_connect_failure(self, host: Host) -> None:
        """A connect failure, time-out or reset (``LocalOrigin…``) for outlier detection."""
        raise NotImplementedError

    def report_connect_success(self, host: Host) -> None:
        """A connection came about (``LocalOriginConnectSuccess``)."""
        raise NotImplementedError


class ClusterManager:
    """All clusters of one snapshot."""

    def get(self, name: str) -> ClusterRuntime | None:
        """The cluster, or ``None`` (flag NC)."""
        raise NotImplementedError

    @property
    def clusters(self) -> Mapping[str, ClusterRuntime]:
        """All, by name."""
        raise NotImplementedError
