"""Envoy's own statistics of a node: those that this proxy can tell truthfully, where the bootstrap keeps them.

Names are Envoy's; which exist is for ``proxyStatsMatcher`` and Istio's own list to say, as in a pod.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from sandbox.match.regex import RegexRefused, compile_search
from sandbox.metrics.cluster_counters import OutlierCounters

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster
    from sandbox.plan.metrics import StatsMatcher
    from sandbox.proxy.cluster_manager import ClusterManager
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.snapshot import Snapshot

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
_KILOBYTE: Final = 1024


class Stat(NamedTuple):
    """One number: its whole name, the name without the tags that Istio's bootstrap takes out of it, and these."""

    name: str
    value: int
    kind: str = COUNTER
    bare_name: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def is_used(self) -> bool:
        """Somebody has written to it."""
        return self.value != 0 or self.kind == GAUGE


class ProcessFacts(NamedTuple):
    """What is told about the process as a whole."""

    started: float
    """Monotonic seconds."""
    connections: int
    """Of clients, open now."""
    is_live: bool = True

    @property
    def uptime_seconds(self) -> int:
        """How long it has been running."""
        return int(time.monotonic() - self.started)


def envoy_stats(nodes: Iterable[Snapshot], process: ProcessFacts) -> list[Stat]:
    """By name; of several nodes what belongs to the process is told once."""
    found: dict[str, Stat] = {}
    for node in nodes:
        keeps = compile_matcher(node.plan.stats_matcher)
        for stat in _stats_of(node, process):
            if keeps(stat.name):
                known = found.get(stat.name)
                is_sum = known is not None and not stat.name.startswith("server.")
                found[stat.name] = stat._replace(value=stat.value + known.value) if known and is_sum else stat
    return [found[name] for name in sorted(found)]


def compile_matcher(matcher: StatsMatcher) -> Callable[[str], bool]:
    """Whether a name is kept: by its beginning, its end, or an expression (RE2) for the whole."""
    searches = [search for pattern in matcher.regexps if (search := _whole(pattern)) is not None]

    def keeps(name: str) -> bool:
        if name.startswith(matcher.prefixes) or name.endswith(matcher.suffixes):
            return True
        return any(search(name) for search in searches)

    return keeps


def _whole(pattern: str) -> Callable[[str], bool] | None:
    try:
        return compile_search(f"^(?:{pattern})$")
    except RegexRefused:
        return None


def _stats_of(node: Snapshot, process: ProcessFacts) -> Iterator[Stat]:
    yield from _server(process)
    plan = node.plan
    active = len(plan.clusters)
    yield Stat("cluster_manager.active_clusters", active, GAUGE)
    yield Stat("cluster_manager.cluster_added", active)
    yield Stat("cluster_manager.warming_clusters", 0, GAUGE)
    yield Stat("listener_manager.listener_added", len(plan.listeners))
    yield Stat("listener_manager.total_listeners_active", len(plan.listeners), GAUGE)
    yield Stat("listener_manager.total_listeners_draining", 0, GAUGE)
    yield Stat("listener_manager.total_listeners_warming", 0, GAUGE)
    yield Stat("listener_manager.workers_started", 1, GAUGE)
    for cluster in plan.clusters.values():
        yield from _cluster(cluster, node.node.clusters)


def _server(process: ProcessFacts) -> Iterator[Stat]:
    yield Stat("server.concurrency", 1, GAUGE)
    yield Stat("server.live", int(process.is_live), GAUGE)
    yield Stat("server.memory_physical_size", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTE, GAUGE)
    yield Stat("server.state", 0 if process.is_live else 1, GAUGE)
    yield Stat("server.total_connections", process.connections, GAUGE)
    yield Stat("server.uptime", process.uptime_seconds, GAUGE)


def _cluster(plan: Cluster, manager: ClusterManager) -> Iterator[Stat]:
    """istiod ends the name of a cluster with a semicolon here, by which the bootstrap finds the tag."""
    runtime = manager.running.get(plan.name)
    tags = (("cluster_name", plan.name),)

    def stat(name: str, value: int, kind: str = COUNTER) -> Stat:
        return Stat(f"cluster.{plan.name};.{name}", value, kind, f"cluster.{name}", tags)

    for name, value in _gauges(runtime).items():
        yield stat(name, value, GAUGE)
    counters = runtime.counters if runtime is not None else None
    yield stat("upstream_cx_total", counters.connections if counters else 0)
    yield stat("upstream_cx_connect_fail", counters.connect_failures if counters else 0)
    yield stat("upstream_cx_connect_timeout", counters.connect_timeouts if counters else 0)
    yield stat("upstream_rq_total", counters.requests if counters else 0)
    yield stat("upstream_rq_retry", counters.retries if counters else 0)
    yield stat("upstream_rq_timeout", counters.timeouts if counters else 0)
    yield stat("upstream_cx_overflow", counters.connection_overflows if counters else 0)
    yield stat("upstream_rq_pending_overflow", counters.pending_overflows if counters else 0)
    yield stat("upstream_rq_active_overflow", counters.active_overflows if counters else 0)
    yield stat("upstream_rq_retry_overflow", counters.retry_overflows if counters else 0)
    yield stat("upstream_rq_retry_limit_exceeded", counters.retries_exhausted if counters else 0)
    if plan.outlier_detection is not None:
        outlier = counters.outlier if counters is not None else OutlierCounters()
        for name, value in _ejections(outlier).items():
            yield stat(f"outlier_detection.{name}", value)
        yield stat("outlier_detection.ejections_active", outlier.active, GAUGE)
    yield stat("upstream_rq_completed", sum(counters.codes.values()) if counters else 0)
    yield from _by_status(plan.name, sorted(counters.codes.items()) if counters else ())


def _ejections(outlier: OutlierCounters) -> dict[str, int]:
    """Two of them are older names, which Envoy still counts."""
    return {
        "ejections_enforced_total": sum(outlier.enforced.values()),
        "ejections_overflow": outlier.overflows,
        "ejections_consecutive_5xx": outlier.detected["consecutive_5xx"],
        "ejections_total": outlier.enforced["consecutive_5xx"],
        **{f"ejections_detected_{kind}": count for kind, count in outlier.detected.items()},
        **{f"ejections_enforced_{kind}": count for kind, count in outlier.enforced.items()},
    }


def _gauges(runtime: ClusterRuntime | None) -> dict[str, int]:
    hosts = runtime.hosts if runtime is not None else ()
    resources = runtime.resources if runtime is not None else None
    return {
        "membership_healthy": sum(host.healthy for host in hosts),
        "membership_total": len(hosts),
        "upstream_cx_active": resources.connections.active if resources else 0,
        "upstream_rq_active": resources.requests.active if resources else 0,
        "upstream_rq_pending_active": resources.pending_requests.active if resources else 0,
        "circuit_breakers.default.cx_open": int(bool(resources and resources.connections.is_full)),
        "circuit_breakers.default.rq_open": int(bool(resources and resources.requests.is_full)),
        "circuit_breakers.default.rq_pending_open": int(bool(resources and resources.pending_requests.is_full)),
        "circuit_breakers.default.rq_retry_open": int(bool(resources and resources.retries.is_full)),
    }


def _by_status(cluster: str, codes: Sequence[tuple[int, int]]) -> Iterator[Stat]:
    classes: dict[int, int] = {}
    name = ("cluster_name", cluster)
    for code, count in codes:
        classes[code // 100] = classes.get(code // 100, 0) + count
        tags = (("response_code", str(code)), name)
        yield Stat(f"cluster.{cluster};.upstream_rq_{code}", count, COUNTER, "cluster.upstream_rq", tags)
    for first, count in sorted(classes.items()):
        tags = (("response_code_class", f"{first}xx"), name)
        yield Stat(f"cluster.{cluster};.upstream_rq_{first}xx", count, COUNTER, "cluster.upstream_rq", tags)


# --- Prometheus ---


def in_prometheus_format(stats: Iterable[Stat]) -> str:
    """As Envoy writes them: counters, then gauges; names with underscores, a line with the type of each."""
    lines: list[str] = []
    for kind in (COUNTER, GAUGE):
        families: dict[str, list[str]] = {}
        for stat in stats:
            if stat.kind == kind:
                name = f"envoy_{_legal(stat.bare_name or stat.name)}"
                families.setdefault(name, []).append(f"{name}{{{_labels(stat)}}} {stat.value}")
        for name in sorted(families):
            lines += [f"# TYPE {name} {kind}", *families[name]]
    return "".join(f"{line}\n" for line in lines)


def _legal(name: str) -> str:
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign == "_") else "_" for sign in name)


def _labels(stat: Stat) -> str:
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return ",".join(f'{name}="{value.translate(escapes)}"' for name, value in stat.tags)
