"""Tracing providers as Envoy is told of them (``envoy.config.trace.v3``): exported, no spans are sent."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.base import Extension, HeaderValue, HeaderValueOption, TypedExtensionConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpUri:
    """``envoy.config.core.v3.HttpUri``."""

    uri: str = ""
    cluster: str = ""
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpService:
    """``envoy.config.core.v3.HttpService``."""

    http_uri: HttpUri | None = None
    request_headers_to_add: tuple[HeaderValueOption, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyGrpc:
    """``envoy.config.core.v3.GrpcService.EnvoyGrpc``."""

    cluster_name: str = ""
    authority: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcService:
    """``envoy.config.core.v3.GrpcService``."""

    envoy_grpc: EnvoyGrpc | None = None
    timeout: timedelta | None = None
    initial_metadata: tuple[HeaderValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipkinConfig(Extension):
    """``envoy.config.trace.v3.ZipkinConfig``."""

    TYPE: ClassVar[str] = "envoy.config.trace.v3.ZipkinConfig"

    trace_id_128bit: bool = False
    shared_span_context: bool | None = None
    collector_endpoint_version: str = "DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE"
    trace_context_option: str = "USE_B3"
    collector_service: HttpService | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatadogConfig(Extension):
    """``envoy.config.trace.v3.DatadogConfig``."""

    TYPE: ClassVar[str] = "envoy.config.trace.v3.DatadogConfig"

    collector_cluster: str = ""
    service_name: str = ""
    collector_hostname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyWalkingConfig(Extension):
    """``envoy.config.trace.v3.SkyWalkingConfig``."""

    TYPE: ClassVar[str] = "envoy.config.trace.v3.SkyWalkingConfig"

    grpc_service: GrpcService | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentResourceDetector(Extension):
    """Reads ``OTEL_RESOURCE_ATTRIBUTES``."""

    TYPE: ClassVar[str] = (
        "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DynatraceResourceDetector(Extension):
    """Reads Dynatrace's metadata files."""

    TYPE: ClassVar[str] = "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.DynatraceResourceDetectorConfig"


@dataclass(frozen=True, slots=True, kw_only=True)
class DynatraceSamplerConfig(Extension):
    """Asks Dynatrace how much is sampled."""

    TYPE: ClassVar[str] = "envoy.extensions.tracers.opentelemetry.samplers.v3.DynatraceSamplerConfig"

    tenant: str = ""
    cluster_id: int = 0
    http_service: HttpService | None = None
    root_spans_per_minute: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTelemetryConfig(Extension):
    """``envoy.config.trace.v3.OpenTelemetryConfig``: ``grpc_service`` or ``http_service``."""

    TYPE: ClassVar[str] = "envoy.config.trace.v3.OpenTelemetryConfig"

    grpc_service: GrpcService | None = None
    http_service: HttpService | None = None
    service_name: str = ""
    resource_detectors: tuple[TypedExtensionConfig, ...] = ()
    sampler: TypedExtensionConfig | None = None
