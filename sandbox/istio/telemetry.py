"""Telemetry: tracing, metrics, access logging."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.selector import PolicyTargetReference, WorkloadSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogFilter(Message):
    """``istio.telemetry.v1alpha1.AccessLogging.Filter``: a CEL expression, true for what is logged."""

    expression: str = ""


WorkloadMode = Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"]
"""``istio.telemetry.v1alpha1.WorkloadMode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSelector(Message):
    """``istio.telemetry.v1alpha1.AccessLogging.LogSelector``: clients, servers or both."""

    mode: WorkloadMode = "CLIENT_AND_SERVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRef(Message):
    """``istio.telemetry.v1alpha1.ProviderRef``: an extension provider by name."""

    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogging(Message):
    """``istio.telemetry.v1alpha1.AccessLogging``: access logs by provider, with an optional filter."""

    match: LogSelector | None = None
    providers: tuple[ProviderRef, ...] = ()
    disabled: bool | None = None
    filter: AccessLogFilter | None = None


IstioMetric = Literal[
    "ALL_METRICS",
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
]
"""``istio.telemetry.v1alpha1.MetricSelector.IstioMetric``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSelector(Message):
    """``istio.telemetry.v1alpha1.MetricSelector``: a metric of Istio, or one by its own name."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("metric", "custom_metric"),)

    metric: IstioMetric | None = None
    custom_metric: str | None = None
    mode: WorkloadMode = "CLIENT_AND_SERVER"


TagOperation = Literal["UPSERT", "REMOVE"]
"""``istio.telemetry.v1alpha1.MetricsOverrides.TagOverride.Operation``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOverride(Message):
    """``istio.telemetry.v1alpha1.MetricsOverrides.TagOverride``: a tag set or removed."""

    operation: TagOperation = "UPSERT"
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsOverrides(Message):
    """``istio.telemetry.v1alpha1.MetricsOverrides``: changes to the metrics that match."""

    match: MetricSelector | None = None
    disabled: bool | None = None
    tag_overrides: Mapping[str, TagOverride] = EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics(Message):
    """``istio.telemetry.v1alpha1.Metrics``: metrics sent to some providers."""

    providers: tuple[ProviderRef, ...] = ()
    overrides: tuple[MetricsOverrides, ...] = ()
    reporting_interval: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentTag(Message):
    """``istio.telemetry.v1alpha1.Tracing.Environment``: an environment variable of the proxy."""

    name: str = ""
    default_value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatterTag(Message):
    """``istio.telemetry.v1alpha1.Tracing.Formatter``: a text with access log operators."""

    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralTag(Message):
    """``istio.telemetry.v1alpha1.Tracing.Literal``: a fixed value."""

    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHeaderTag(Message):
    """``istio.telemetry.v1alpha1.Tracing.RequestHeader``: a request header."""

    name: str = ""
    default_value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomTag(Message):
    """``istio.telemetry.v1alpha1.Tracing.CustomTag``: where the value of a tag comes from."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("literal", "environment", "header", "formatter"),)

    literal: LiteralTag | None = None
    environment: EnvironmentTag | None = None
    header: RequestHeaderTag | None = None
    formatter: FormatterTag | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSelector(Message):
    """``istio.telemetry.v1alpha1.Tracing.TracingSelector``: clients, servers or both."""

    mode: WorkloadMode = "CLIENT_AND_SERVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing(Message):
    """``istio.telemetry.v1alpha1.Tracing``: sampling and tags of spans."""

    match: TracingSelector | None = None
    providers: tuple[ProviderRef, ...] = ()
    random_sampling_percentage: float | None = None
    disable_span_reporting: bool | None = None
    custom_tags: Mapping[str, CustomTag] = EMPTY
    use_request_id_for_trace_sampling: bool | None = None
    enable_istio_tags: bool | None = None
    disable_context_propagation: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry(Message):
    """``istio.telemetry.v1alpha1.Telemetry``: tracing, metrics and access logs of workloads."""

    selector: WorkloadSelector | None = None
    targetRef: PolicyTargetReference | None = None
    targetRefs: tuple[PolicyTargetReference, ...] = ()
    tracing: tuple[Tracing, ...] = ()
    metrics: tuple[Metrics, ...] = ()
    access_logging: tuple[AccessLogging, ...] = ()
