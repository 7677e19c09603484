"""Envoy's own counters of clusters; those that this proxy can tell truthfully."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sandbox.access_log.stream_info import StreamInfo

_NOT_ROUTED: Final = ("rbac_access_denied", "fault_filter_abort", "upgrade_failed", "Jwt")
"""Details of answers that were given before the router had anything to do with the cluster."""
EJECTION_KINDS: Final = (
    "consecutive_5xx",
    "consecutive_gateway_failure",
    "consecutive_local_origin_failure",
)
MOST_ADDRESSES: Final = 10_000
_FIRST_SERVER_ERROR: Final = 500


class HostCounters:
    """How requests to one address ended."""

    __slots__ = ("errors", "successes", "timeouts")

    def __init__(self) -> None:
        self.errors = 0
        self.successes = 0
        self.timeouts = 0


class OutlierCounters:
    """What outlier detection has found, and what it did; kinds are Envoy's words for what it counts."""

    __slots__ = ("active", "detected", "enforced", "overflows")

    def __init__(self) -> None:
        self.active = 0
        """Hosts that are ejected now."""
        self.detected = dict.fromkeys(EJECTION_KINDS, 0)
        self.enforced = dict.fromkeys(EJECTION_KINDS, 0)
        self.overflows = 0
        """Ejections that did not happen, for too many hosts were out."""


class ClusterCounters:
    """What has happened so far; whoever does it adds to it."""

    __slots__ = (
        "_hosts",
        "active_overflows",
        "codes",
        "connect_failures",
        "connect_timeouts",
        "connection_overflows",
        "connections",
        "outlier",
        "pending_overflows",
        "requests",
        "retries",
        "retries_exhausted",
        "retry_overflows",
        "timeouts",
    )

    def __init__(self) -> None:
        self.connections = 0
        """All that were begun."""
        self.connect_failures = 0
        """Those that did not come about, timeouts among them."""
        self.connect_timeouts = 0
        self.connection_overflows = 0
        """Connections that the circuit breaker did not let begin."""
        self.pending_overflows = 0
        """Requests that it refused, for too many waited for a connection."""
        self.active_overflows = 0
        """Those refused because too many ran."""
        self.retries_exhausted = 0
        """Requests that would have been tried again, had tries been left."""
        self.retry_overflows = 0
        """Those that were not, for too many retries ran."""
        self.requests = 0
        """Every try that was given to a connection."""
        self.retries = 0
        self.timeouts = 0
        self.codes: defaultdict[int, int] = defaultdict(int)
        """How often a request ended with a status, the upstream's or one for the upstream's failure."""
        self.outlier = OutlierCounters()
        self._hosts: dict[str, HostCounters] = {}

    def host(self, address: str) -> HostCounters:
        """The counters of ``ip:port``; of very many addresses, which clients may choose, the first is forgotten."""
        known = self._hosts.get(address)
        if known is not None:
            return known
        if len(self._hosts) >= MOST_ADDRESSES:
            del self._hosts[next(iter(self._hosts))]
        known = self._hosts[address] = HostCounters()
        return known


class ClusterMeter:
    """Counts how the requests of one plan ended."""

    __slots__ = ("_counters_of", "_known")

    def __init__(self, counters_of: Callable[[str], ClusterCounters]) -> None:
        self._counters_of = counters_of
        self._known: dict[int, ClusterCounters] = {}

    # hot: per request
    def record(self, info: StreamInfo) -> None:
        """The request has ended."""
        cluster, code = info.cluster, info.response_code
        if cluster is None or code is None:
            return
        counters = self._known.get(id(cluster))
        if counters is None:
            counters = self._known[id(cluster)] = self._counters_of(cluster.name)
        address = info.upstream_host
        if address is None:
            if not (info.response_code_details or "").startswith(_NOT_ROUTED):
                counters.codes[code] += 1
            return
        counters.codes[code] += 1
        if info.upstream_request_attempt_count > 1:
            counters.retries += info.upstream_request_attempt_count - 1
        host = counters.host(address)
        if code < _FIRST_SERVER_ERROR:
            host.successes += 1
            return
        host.errors += 1
        if "UT" in info.response_flags:
            host.timeouts += 1
            counters.timeouts += 1
