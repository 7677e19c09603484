"""What Telemetry changes about the labels of a metric: compiled once, applied when a new series is made.

Source: Envoy contrib/istio/filters/http/istio_stats/source/istio_stats.cc (``Config``, ``overrideTags``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from sandbox.access_log.command import FormatRefused
from sandbox.metrics.node_metrics import UNKNOWN, Labels
from sandbox.plan.metrics import STANDARD_LABELS, STANDARD_METRICS

if TYPE_CHECKING:
    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.plan.metrics import MetricConfig, StatsConfig

_OF_FILTERS: Final = "Not able to parse filter expression: "
"""What a refusal begins with where an access log's filter is meant."""
Expression = Callable[["StreamInfo"], str | None]


class LabelRules:
    """The overrides of one filter. ``values_of`` asks its expressions; ``labels_of`` applies the answers.

    For a metric, in this order: 1. it is dropped; 2. standard labels are removed or get an expression's value (one
    that cannot be parsed removes its label); 3. other labels are added, in the order of their names.
    """

    def __init__(self, config: StatsConfig) -> None:
        self._expressions: list[Expression] = []
        self._numbers: dict[str, int] = {}
        self._dropped: set[str] = set()
        self._changed: dict[str, dict[str, int | None]] = {}
        self._added: dict[str, list[tuple[str, int]]] = {}
        for metric in config.metrics:
            if metric.name in STANDARD_METRICS:
                self._read(metric)

    def _read(self, metric: MetricConfig) -> None:
        if metric.drop:
            self._dropped.add(metric.name)
            return
        changed = self._changed.setdefault(metric.name, {})
        changed.update((label, None) for label in metric.tags_to_remove if label in STANDARD_LABELS)
        for label in sorted(metric.dimensions):
            number = self._number_of(metric.dimensions[label])
            if label in STANDARD_LABELS:
                changed[label] = number
            elif number is not None:
                self._added.setdefault(metric.name, []).append((label, number))

    def _number_of(self, expression: str) -> int | None:
        if expression not in self._numbers:
            try:
                compiled = _compiled(expression)
            except FormatRefused:
                return None
            self._numbers[expression] = len(self._expressions)
            self._expressions.append(compiled)
        return self._numbers[expression]

    @property
    def expressions(self) -> Sequence[Expression]:
        """What ``values_of`` asks; empty for a filter that has nothing to ask."""
        return self._expressions

    def values_of(self, info: StreamInfo) -> tuple[str, ...]:
        """What the expressions say of a stream; ``unknown`` where one fails."""
        return tuple([UNKNOWN if (value := ask(info)) is None else value for ask in self._expressions])

    def labels_of(self, metric: str, labels: Labels, values: Sequence[str]) -> Labels | None:
        """The labels of one metric; ``None`` where it is dropped."""
        if metric in self._dropped:
            return None
        changed = self._changed.get(metric)
        if changed:
            labels = tuple(_changed_labels(labels, changed, values))
        added = self._added.get(metric)
        return labels if added is None else (*labels, *((label, values[number]) for label, number in added))


def _changed_labels(
    labels: Labels, changed: Mapping[str, int | None], values: Sequence[str]
) -> Iterator[tuple[str, str]]:
    for label, value in labels:
        if label not in changed:
            yield label, value
            continue
        number = changed[label]
        if number is not None:
            yield label, values[number]


def _compiled(expression: str) -> Expression:
    from sandbox.access_log.cel import compile_text  # most meshes have no expressions, and start without the parser

    return compile_text(expression)


def refused_expressions(configs: Sequence[StatsConfig]) -> Iterator[tuple[MetricConfig, str, str]]:
    """The labels whose expression cannot be compiled, with the reason: Istio's proxy leaves them out in silence.

    One that several metrics have is told once.
    """
    told: set[tuple[str, str]] = set()
    for metric in (metric for config in configs for metric in config.metrics):
        for label, expression in metric.dimensions.items():
            if (label, expression) in told:
                continue
            try:
                _compiled(expression)
            except FormatRefused as refusal:
                told.add((label, expression))
                yield metric, label, str(refusal).removeprefix(_OF_FILTERS)
