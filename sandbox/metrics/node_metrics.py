"""All that was counted for one node; it outlives reloads, as an Envoy process does."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Final, Protocol, TypeVar
from weakref import WeakValueDictionary

from sandbox.metrics.cluster_counters import ClusterCounters
from sandbox.metrics.instruments import Counter, Histogram

Labels = tuple[tuple[str, str], ...]
"""Names and values, in the order in which Istio's filter sets them."""
MOST_HOSTS: Final = 1000
"""Of hosts that no configuration names; the client chooses them, so their number must have an end."""
MOST_SERIES: Final = 20_000
"""Labels may have any value that Telemetry asks for; further series are not told."""
MOST_GONE: Final = 200
"""Nodes that are remembered, whether or not anybody serves them: each program that is run may be another workload."""
UNKNOWN: Final = "unknown"
_InstrumentT = TypeVar("_InstrumentT", Counter, Histogram)


class LiveConnections(Protocol):
    """Somebody who knows connections that are open, and counts what they have carried so far."""

    def report(self, now: float) -> None:
        """Counts; ``now`` is on the clock of ``StreamInfo.start``."""


class NodeMetrics:
    """The series of one proxy: each is made when it is first counted."""

    def __init__(self, workload: str) -> None:
        self.workload = workload
        self.counters: dict[str, dict[Labels, Counter]] = {}
        self.histograms: dict[str, dict[Labels, Histogram]] = {}
        self.clusters: dict[str, ClusterCounters] = {}
        self.live: dict[LiveConnections, None] = {}
        """By the order in which they came."""
        self.hosts_left_out = 0
        """How often the name of a host was not told because there were too many."""
        self.series_left_out = 0
        """How often a series was not told because there were too many."""
        self._series = 0
        self._hosts: dict[bytes, str] = {}

    @property
    def is_full(self) -> bool:
        """There are as many series as there may be."""
        return self._series >= MOST_SERIES

    def has_room_beside(self, known: Sized) -> bool:
        """Whether a meter may remember another series; an expression's values differ even where no label tells them."""
        return not self.is_full and len(known) < MOST_SERIES

    def counter(self, name: str, labels: Labels) -> Counter:
        """The counter of that name and labels."""
        return self._instrument(self.counters, name, labels, Counter)

    def histogram(self, name: str, labels: Labels) -> Histogram:
        """The histogram of that name and labels."""
        return self._instrument(self.histograms, name, labels, Histogram)

    def _instrument(
        self,
        families: dict[str, dict[Labels, _InstrumentT]],
        name: str,
        labels: Labels,
        make: type[_InstrumentT],
    ) -> _InstrumentT:
        family = families.setdefault(name, {})
        known = family.get(labels)
        if known is not None:
            return known
        made = make()
        if self.is_full:
            self.series_left_out += 1
            return made
        self._series += 1
        family[labels] = made
        return made

    def cluster(self, name: str) -> ClusterCounters:
        """Envoy's counters of a cluster."""
        known = self.clusters.get(name)
        if known is None:
            known = self.clusters[name] = ClusterCounters()
        return known

    def host(self, authority: bytes) -> str:
        """A ``Host`` as a label's value; ``unknown`` once a thousand other ones have been seen."""
        known = self._hosts.get(authority)
        if known is not None:
            return known
        if len(self._hosts) >= MOST_HOSTS:
            self.hosts_left_out += 1
            return UNKNOWN
        known = self._hosts[authority] = authority.decode("utf-8", "replace")
        return known

    def report_live(self, now: float) -> None:
        """Takes in what open connections have carried so far."""
        for each in list(self.live):
            each.report(now)


class MetricsRegistry:
    """The nodes of this process: the sidecar, gateways beside it, captured workloads.

    Whoever serves a node holds its metrics. Of those that nobody serves any more, the programs that have ended, the
    last ones that were served are kept, so that they can be asked for.
    """

    def __init__(self) -> None:
        self._nodes: WeakValueDictionary[str, NodeMetrics] = WeakValueDictionary()
        self._last_served: dict[str, NodeMetrics] = {}

    @property
    def nodes(self) -> Mapping[str, NodeMetrics]:
        """By ``namespace/pod``."""
        return dict(self._nodes)

    def node(self, workload: str) -> NodeMetrics:
        """The one of ``namespace/pod``."""
        known = self._nodes.get(workload)
        if known is None:
            known = self._nodes[workload] = NodeMetrics(workload)
        self._last_served.pop(workload, None)
        self._last_served[workload] = known
        if len(self._last_served) > MOST_GONE:
            del self._last_served[next(iter(self._last_served))]
        return known
