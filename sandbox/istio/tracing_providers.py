"""Tracing and metrics providers of the mesh configuration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.provider_services import GrpcService, HttpHeader, HttpService
from sandbox.istio.scalars import Int32, Int64, UInt32

TraceContextOption = Literal["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"]
"""``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.ZipkinTracingProvider.TraceContextOption``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipkinTracingProvider(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.ZipkinTracingProvider``: spans in Zipkin's format."""

    service: str = ""
    port: UInt32 = 0
    max_tag_length: UInt32 = 0
    enable_64bit_trace_id: bool = False
    path: str = ""
    trace_context_option: TraceContextOption = "USE_B3"
    timeout: timedelta | None = None
    headers: tuple[HttpHeader, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LightstepTracingProvider(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.LightstepTracingProvider``: spans for Lightstep."""

    service: str = ""
    port: UInt32 = 0
    access_token: str = ""
    max_tag_length: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatadogTracingProvider(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.DatadogTracingProvider``: spans for Datadog."""

    service: str = ""
    port: UInt32 = 0
    max_tag_length: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyWalkingTracingProvider(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.SkyWalkingTracingProvider``: spans for SkyWalking."""

    service: str = ""
    port: UInt32 = 0
    access_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackdriverLogging(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.StackdriverProvider.Logging``: labels of the log entries."""

    labels: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class StackdriverProvider(Message):
    """Logs, metrics and spans for Google Cloud.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.StackdriverProvider``
    """

    debug: bool = False
    max_number_of_attributes: Int64 | None = None
    max_number_of_annotations: Int64 | None = None
    max_number_of_message_events: Int64 | None = None
    max_tag_length: UInt32 = 0
    logging: StackdriverLogging | None = None


TraceContext = Literal["UNSPECIFIED", "W3C_TRACE_CONTEXT", "GRPC_BIN", "CLOUD_TRACE_CONTEXT", "B3"]
"""``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.OpenCensusAgentTracingProvider.TraceContext``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCensusAgentTracingProvider(Message):
    """Spans for an OpenCensus agent.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.OpenCensusAgentTracingProvider``
    """

    service: str = ""
    port: UInt32 = 0
    context: tuple[TraceContext, ...] = ()
    max_tag_length: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DynatraceApi(Message):
    """Where Dynatrace is asked.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.OpenTelemetryTracingProvider.DynatraceSampler.DynatraceApi``
    """

    service: str = ""
    port: UInt32 = 0
    http: HttpService | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DynatraceSampler(Message):
    """Sampling as Dynatrace decides.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.OpenTelemetryTracingProvider.DynatraceSampler``
    """

    tenant: str = ""
    cluster_id: Int32 = 0
    root_spans_per_minute: UInt32 = 0
    http_service: DynatraceApi | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DynatraceResourceDetector(Message):
    """Facts from Dynatrace's files.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.ResourceDetectors.DynatraceResourceDetector``
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentResourceDetector(Message):
    """Facts from the environment.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.ResourceDetectors.EnvironmentResourceDetector``
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceDetectors(Message):
    """Which facts about the process go with spans.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.ResourceDetectors``
    """

    environment: EnvironmentResourceDetector | None = None
    dynatrace: DynatraceResourceDetector | None = None


ServiceAttributeEnrichment = Literal["ISTIO_CANONICAL", "OTEL_SEMANTIC_CONVENTIONS"]
"""``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.ServiceAttributeEnrichment``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTelemetryTracingProvider(Message):
    """Spans for an OpenTelemetry collector.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.OpenTelemetryTracingProvider``
    """

    service: str = ""
    port: UInt32 = 0
    max_tag_length: UInt32 = 0
    http: HttpService | None = None
    grpc: GrpcService | None = None
    resource_detectors: ResourceDetectors | None = None
    service_attribute_enrichment: ServiceAttributeEnrichment = "ISTIO_CANONICAL"
    dynatrace_sampler: DynatraceSampler | None = None
