"""What a proxy measures: the metrics filters that Telemetry and the mesh's default providers add up to.

Source: Istio pilot/pkg/model/telemetry.go (``mergeMetrics``, ``generateStatsConfig``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sandbox.compiler.telemetry import applicable_telemetries, find_provider
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.telemetry import Metrics, MetricSelector, MetricsOverrides, TagOverride
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.metrics import STANDARD_LABELS, STANDARD_METRICS, MetricConfig, StatsConfig

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

STANDARD_NAMES: Final[Mapping[str, str]] = {
    "GRPC_REQUEST_MESSAGES": "request_messages_total",
    "GRPC_RESPONSE_MESSAGES": "response_messages_total",
    "REQUEST_COUNT": "requests_total",
    "REQUEST_DURATION": "request_duration_milliseconds",
    "REQUEST_SIZE": "request_bytes",
    "RESPONSE_SIZE": "response_bytes",
    "TCP_CLOSED_CONNECTIONS": "tcp_connections_closed_total",
    "TCP_OPENED_CONNECTIONS": "tcp_connections_opened_total",
    "TCP_RECEIVED_BYTES": "tcp_received_bytes_total",
    "TCP_SENT_BYTES": "tcp_sent_bytes_total",
}
"""The API's word to the metric, without ``istio_``; in the order in which istiod tells them."""
_ALL_METRICS: Final = "ALL_METRICS"


@dataclass(slots=True)
class _Override:
    """What all Telemetry levels together say about one metric; later ones refine earlier ones."""

    disabled: bool = False
    tags: dict[str, TagOverride] = field(default_factory=dict)
    because: list[Because] = field(default_factory=list)


@dataclass(slots=True)
class _Provider:
    """One provider's settings for clients, while levels are merged."""

    overrides: dict[str, _Override] = field(default_factory=dict)
    all_disabled: bool = False
    interval: timedelta | None = None
    setting: Metrics | None = None
    because: list[Because] = field(default_factory=list)


def build_stats(push: PushContext, proxy: Proxy) -> tuple[StatsConfig, ...]:
    """One filter for each Prometheus provider, by the provider's name; none where nobody asks for metrics."""
    metrics = [item for level in applicable_telemetries(push, proxy) for item in level.spec.metrics]
    found: list[StatsConfig] = []
    for name, settings in sorted(_merge(metrics, _default_providers(push)).items()):
        provider = find_provider(push.mesh, name)
        if provider is None or provider.prometheus is None:
            _report_provider(push, name, settings)
        elif not settings.all_disabled:
            found.append(_config(push, proxy, settings))
    return tuple(found)


def _default_providers(push: PushContext) -> Sequence[str]:
    defaults = push.mesh.default_providers
    return defaults.metrics if defaults is not None else ()


def _merge(metrics: Sequence[Metrics], defaults: Sequence[str]) -> dict[str, _Provider]:
    """Providers to their settings. Steps:

    1. without Telemetry: the mesh's default providers;
    2. in scope are the providers that the last level names, else the default ones;
    3. a level that names no providers speaks of those of the level before it;
    4. overrides refine each other metric by metric; "all metrics, disabled" drops the whole filter, until a later
       override says anything else.
    """
    if not metrics:
        return {name: _Provider() for name in defaults}
    in_scope: Sequence[str] = defaults
    for item in metrics:
        in_scope = _names(item) or in_scope
    merged: dict[str, _Provider] = {}
    current: Sequence[str] = defaults
    for item in metrics:
        current = _names(item) or current
        for name in current:
            if name in in_scope:
                _refine(merged.setdefault(name, _Provider()), item)
    return merged


def _names(metrics: Metrics) -> tuple[str, ...]:
    return tuple(provider.name for provider in metrics.providers)


def _refine(provider: _Provider, metrics: Metrics) -> None:
    provider.setting = metrics
    provider.interval = metrics.reporting_interval or provider.interval
    provider.because.append(Because("metrics", metrics.origin))
    for override in metrics.overrides:
        match = override.match or MetricSelector()
        if match.mode == "SERVER":
            continue
        if _means_all(match) and override.disabled:
            provider.all_disabled = True
            provider.because.append(Because("all metrics disabled", override.origin))
            continue
        provider.all_disabled = False
        for name in _metrics_of(match):
            _refine_metric(provider.overrides.setdefault(name, _Override()), override)


def _refine_metric(known: _Override, override: MetricsOverrides) -> None:
    if override.disabled is not None:
        known.disabled = override.disabled
    known.tags.update(override.tag_overrides)
    known.because.append(Because("metrics override", override.origin))


def _means_all(match: MetricSelector) -> bool:
    return match.custom_metric is None and match.metric in (None, _ALL_METRICS)


def _metrics_of(match: MetricSelector) -> Iterable[str]:
    if match.custom_metric is not None:
        return (match.custom_metric,)
    return STANDARD_NAMES if match.metric in (None, _ALL_METRICS) else (match.metric or "",)


def _config(push: PushContext, proxy: Proxy, settings: _Provider) -> StatsConfig:
    config = StatsConfig(
        metrics=tuple(_metric(push, name, settings.overrides[name]) for name in sorted(settings.overrides)),
        disable_host_header_fallback=not proxy.is_sidecar,
        because=tuple(settings.because) or _default_reason(push),
    )
    return config if settings.interval is None else replace(config, tcp_reporting_duration=settings.interval)


def _metric(push: PushContext, name: str, override: _Override) -> MetricConfig:
    metric = STANDARD_NAMES.get(name, name)
    if metric not in STANDARD_METRICS:
        _report_override(push, override, f'no metric is called "{metric}", and none can be defined')
    removed = tuple(label for label in sorted(override.tags) if override.tags[label].operation == "REMOVE")
    for label in removed:
        if label not in STANDARD_LABELS:
            _report_override(push, override, f'"{label}" is no label that Istio sets, so there is nothing to remove')
    return MetricConfig(
        name=metric,
        dimensions={label: tag.value for label, tag in sorted(override.tags.items()) if label not in removed},
        tags_to_remove=removed,
        drop=override.disabled,
        because=tuple(override.because),
    )


def _default_reason(push: PushContext) -> tuple[Because, ...]:
    if push.mesh.written("default_providers"):
        return (Because("metrics", push.mesh.origin_of("default_providers")),)
    return (Because("metrics", IstioDefault("an installation measures for Prometheus")),)


def _report_provider(push: PushContext, name: str, settings: _Provider) -> None:
    where = settings.setting.origin if settings.setting is not None else push.mesh.origin_of("default_providers")
    message = f'the metrics provider "{name}" does not exist, or is not Prometheus: nothing is measured for it'
    push.problems.report("SBX0531", message, where, hint="see extensionProviders of the mesh configuration")


def _report_override(push: PushContext, override: _Override, message: str) -> None:
    origin = override.because[-1].origin
    push.problems.report("SBX0533", message, None if isinstance(origin, IstioDefault) else origin)
