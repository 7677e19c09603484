"""The series of nodes in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from sandbox.metrics.instruments import BOUNDS, Histogram
from sandbox.metrics.node_metrics import Labels, NodeMetrics

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUILD: Final = "istio_build"
_WORDS: Final = {
    "istio_requests": "Requests that have ended.",
    "istio_request_duration_milliseconds": "How long requests took.",
    "istio_request_bytes": "Bytes of requests, with their heads.",
    "istio_response_bytes": "Bytes of responses, with their heads.",
    "istio_request_messages": "gRPC messages sent by clients.",
    "istio_response_messages": "gRPC messages sent to clients.",
    "istio_tcp_connections_opened": "TCP connections that were opened.",
    "istio_tcp_connections_closed": "TCP connections that are closed.",
    "istio_tcp_sent_bytes": "Bytes sent to clients over TCP.",
    "istio_tcp_received_bytes": "Bytes received from clients over TCP.",
    _BUILD: "The version of Istio.",
}
_TOTAL: Final = "_total"
_LE: Final = "le"


def istio_metrics(
    nodes: Sequence[NodeMetrics], versions: Sequence[str], now: float, keeps: Callable[[str], bool] = lambda _name: True
) -> str:
    """Istio's metrics of some nodes, those whose names are kept; ``versions`` of Istio are told as ``istio_build``.

    Open connections are counted first, up to ``now``.
    """
    for node in nodes:
        node.report_live(now)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(nodes, versions, keeps))
    return generate_latest(registry).decode()


class _Families(Collector):
    def __init__(self, nodes: Sequence[NodeMetrics], versions: Sequence[str], keeps: Callable[[str], bool]) -> None:
        self._nodes = nodes
        self._versions = versions
        self._keeps = keeps

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known when something was counted."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family that any of the nodes has, by name."""
        for name in sorted({name for node in self._nodes for name in node.counters if self._keeps(name)}):
            yield self._counters(name)
        for name in sorted({name for node in self._nodes for name in node.histograms if self._keeps(name)}):
            yield self._histograms(name)
        if self._keeps(_BUILD):
            yield self._build()
        yield from self._left_out()

    def _counters(self, name: str) -> Metric:
        base = name.removesuffix(_TOTAL)
        metric = Metric(base, _WORDS.get(base, ""), "counter")
        for node in self._nodes:
            for labels, counter in node.counters.get(name, {}).items():
                metric.add_sample(base + _TOTAL, dict(labels), counter.value)
        return metric

    def _histograms(self, name: str) -> Metric:
        metric = Metric(name, _WORDS.get(name, ""), "histogram")
        for node in self._nodes:
            for labels, histogram in node.histograms.get(name, {}).items():
                _add_histogram(metric, labels, histogram)
        return metric

    def _build(self) -> Metric:
        metric = Metric(_BUILD, _WORDS[_BUILD], "gauge")
        for version in sorted(set(self._versions)):
            metric.add_sample(_BUILD, {"component": "proxy", "tag": version or "unknown"}, 1)
        return metric

    def _left_out(self) -> Iterator[Metric]:
        counts = {
            "hosts": sum(node.hosts_left_out for node in self._nodes),
            "series": sum(node.series_left_out for node in self._nodes),
        }
        if any(counts.values()):
            metric = Metric("egress_sandbox_metrics_left_out", "What was too many to be told by itself.", "counter")
            for what, count in counts.items():
                metric.add_sample(metric.name + _TOTAL, {"what": what}, count)
            yield metric


def _add_histogram(metric: Metric, labels: Labels, histogram: Histogram) -> None:
    told = dict(labels)
    totals = list(accumulate(histogram.counts))
    for bound, total in zip(BOUNDS, totals, strict=False):
        metric.add_sample(f"{metric.name}_bucket", {**told, _LE: f"{bound:g}" if bound < 1 else f"{bound:.0f}"}, total)
    metric.add_sample(f"{metric.name}_bucket", {**told, _LE: "+Inf"}, totals[-1])
    metric.add_sample(f"{metric.name}_sum", told, histogram.total)
    metric.add_sample(f"{metric.name}_count", told, totals[-1])
