"""``/stats`` and ``/stats/prometheus``: what was counted.

Source: Envoy source/server/admin/stats_handler.cc, prometheus_stats.cc.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from sandbox.admin.answers import JSON, AdminRequest, Answer, Refused
from sandbox.admin.envoy_stats import COUNTER, GAUGE, Stat, envoy_stats, in_prometheus_format
from sandbox.admin.name_filter import name_filter
from sandbox.admin.nodes import chosen_metrics, chosen_nodes

if TYPE_CHECKING:
    from sandbox.app import Sandbox

_FORMATS: Final = ("text", "json", "prometheus")
_TYPES: Final = {"All": (COUNTER, GAUGE), "Counters": (COUNTER,), "Gauges": (GAUGE,), "Histograms": ()}
_NO_METRICS: Final = (
    "# Istio's own metrics are off: neither meshConfig.defaultProviders.metrics nor a Telemetry names a Prometheus"
    " provider.\n"
)


def stats(sandbox: Sandbox, request: AdminRequest) -> Answer:
    """One line for each number, or ``?format=json``; ``?filter=`` is RE2, ``?usedonly``, ``?type=Counters``."""
    query = request.query
    form = query.get("format", "text")
    kinds = _TYPES.get(query.get("type", "All"))
    if form not in _FORMATS:
        raise Refused("usage: /stats?format=(html|active-html|json|prometheus|text)\n")
    if kinds is None:
        raise Refused(f"usage: /stats?type=({'|'.join(_TYPES)})\n")
    if form == "prometheus":
        return prometheus(sandbox, request)
    found = [*_envoy_stats(sandbox, request), *_istio_counters(sandbox, request)]
    shown = sorted(stat for stat in _filtered(found, request) if stat.kind in kinds)
    if form == "json":
        told = {"stats": [{"name": stat.name, "value": stat.value} for stat in shown]}
        return Answer(json.dumps(told, separators=(",", ":"), ensure_ascii=False), content_type=JSON)
    return Answer("".join(f"{stat.name}: {stat.value}\n" for stat in shown))


def prometheus(sandbox: Sandbox, request: AdminRequest) -> Answer:
    """Istio's metrics and Envoy's, in Prometheus's text format."""
    from sandbox.metrics.exposition import CONTENT_TYPE, istio_metrics  # nobody needs the library before

    nodes = chosen_nodes(sandbox, request)
    versions = [node.plan.node_metadata.istio_version for node in nodes]
    istio = istio_metrics(chosen_metrics(sandbox, request), versions, time.monotonic(), name_filter(request))
    envoy = in_prometheus_format(_filtered(_envoy_stats(sandbox, request), request))
    off = _NO_METRICS if nodes and not any(node.plan.stats for node in nodes) else ""
    return Answer(f"{off}{istio}{envoy}", content_type=CONTENT_TYPE)


def _envoy_stats(sandbox: Sandbox, request: AdminRequest) -> list[Stat]:
    return envoy_stats(chosen_nodes(sandbox, request), sandbox.process)


def _filtered(found: Iterable[Stat], request: AdminRequest) -> list[Stat]:
    keeps, only_used = name_filter(request), "usedonly" in request.query
    return [stat for stat in found if keeps(stat.name) and (stat.is_used or not only_used)]


def _istio_counters(sandbox: Sandbox, request: AdminRequest) -> Iterator[Stat]:
    """Their names hold the labels, as those of any tagged statistic of Envoy."""
    now = time.monotonic()
    for node in chosen_metrics(sandbox, request):
        node.report_live(now)
        for name, family in node.counters.items():
            for labels, counter in family.items():
                yield Stat(stat_name(name, labels), counter.value)


def stat_name(name: str, labels: Sequence[tuple[str, str]]) -> str:
    """``istiocustom.istio_requests_total.reporter.source…``; an empty value leaves nothing behind."""
    return ".".join(["istiocustom", name, *(part for label in labels for part in label if part)])
