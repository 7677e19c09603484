"""LoadBalancerContext: what a choice of host may depend on (Envoy's ``LoadBalancerContext``)."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.match.xxhash64 import xxhash64
from sandbox.proxy.host import Host


class LoadBalancerContext:
    """One choice; the fields left alone say nothing."""

    __slots__ = ("destination", "forward_host", "hash_key", "priority_excluded", "retry_attempts", "tried")

    def __init__(self, destination: tuple[str, int] | None = None, hash_key: int | None = None) -> None:
        self.destination = destination
        """Original destination (ip, port): for ORIGINAL_DST clusters."""
        self.hash_key = hash_key
        """64-bit hash for ring hash and maglev; ``None`` draws at random."""
        self.forward_host: Host | None = None
        """What ``ClusterRuntime.resolve_host`` found: for dynamic forward proxies."""
        self.tried: Sequence[Host] = ()
        """Hosts of earlier tries (previous_hosts); avoided ``retry_attempts`` times, then taken anyway."""
        self.retry_attempts = 0
        """``host_selection_retry_max_attempts``."""
        self.priority_excluded: frozenset[int] = frozenset()
        """Priorities that previous_priorities excludes."""


def hash_of_ip(ip: str) -> int:
    """A 64-bit hash of an address for ring hash and maglev; stable between runs."""
    return xxhash64(ip.encode())
