"""Extension providers of the mesh configuration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.log_providers import (
    EnvoyFileAccessLogProvider,
    EnvoyHttpGrpcV3LogProvider,
    EnvoyOpenTelemetryLogProvider,
    EnvoyTcpGrpcV3LogProvider,
)
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import UInt32
from sandbox.istio.tracing_providers import (
    DatadogTracingProvider,
    LightstepTracingProvider,
    OpenCensusAgentTracingProvider,
    OpenTelemetryTracingProvider,
    SkyWalkingTracingProvider,
    StackdriverProvider,
    ZipkinTracingProvider,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyExternalAuthorizationRequestBody(Message):
    """How much of a request's body an authorizer sees.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.EnvoyExternalAuthorizationRequestBody``
    """

    max_request_bytes: UInt32 = 0
    allow_partial_message: bool = False
    pack_as_bytes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyExternalAuthorizationGrpcProvider(Message):
    """An authorizer asked by gRPC.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.EnvoyExternalAuthorizationGrpcProvider``
    """

    service: str = ""
    port: UInt32 = 0
    timeout: timedelta | None = None
    fail_open: bool = False
    clear_route_cache: bool = False
    status_on_error: str = ""
    include_request_body_in_check: EnvoyExternalAuthorizationRequestBody | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyExternalAuthorizationHttpProvider(Message):
    """An authorizer asked by HTTP.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.EnvoyExternalAuthorizationHttpProvider``
    """

    service: str = ""
    port: UInt32 = 0
    timeout: timedelta | None = None
    path_prefix: str = ""
    fail_open: bool = False
    clear_route_cache: bool = False
    status_on_error: str = ""
    include_headers_in_check: tuple[str, ...] = ()
    include_request_headers_in_check: tuple[str, ...] = ()
    include_additional_headers_in_check: Mapping[str, str] = EMPTY
    include_request_body_in_check: EnvoyExternalAuthorizationRequestBody | None = None
    headers_to_upstream_on_allow: tuple[str, ...] = ()
    headers_to_downstream_on_deny: tuple[str, ...] = ()
    headers_to_downstream_on_allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusMetricsProvider(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.PrometheusMetricsProvider``: metrics for Prometheus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SDSProvider(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.SDSProvider``: a server of secrets."""

    name: str = ""
    service: str = ""
    port: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionProvider(Message):
    """A named provider of logs, traces, metrics or authorization.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider``
    """

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (
        (
            "envoy_ext_authz_http",
            "envoy_ext_authz_grpc",
            "zipkin",
            "lightstep",
            "datadog",
            "stackdriver",
            "opencensus",
            "skywalking",
            "opentelemetry",
            "prometheus",
            "envoy_file_access_log",
            "envoy_http_als",
            "envoy_tcp_als",
            "envoy_otel_als",
            "sds",
        ),
    )

    name: str = ""
    envoy_ext_authz_http: EnvoyExternalAuthorizationHttpProvider | None = None
    envoy_ext_authz_grpc: EnvoyExternalAuthorizationGrpcProvider | None = None
    zipkin: ZipkinTracingProvider | None = None
    lightstep: LightstepTracingProvider | None = None
    datadog: DatadogTracingProvider | None = None
    stackdriver: StackdriverProvider | None = None
    opencensus: OpenCensusAgentTracingProvider | None = None
    skywalking: SkyWalkingTracingProvider | None = None
    opentelemetry: OpenTelemetryTracingProvider | None = None
    prometheus: PrometheusMetricsProvider | None = None
    envoy_file_access_log: EnvoyFileAccessLogProvider | None = None
    envoy_http_als: EnvoyHttpGrpcV3LogProvider | None = None
    envoy_tcp_als: EnvoyTcpGrpcV3LogProvider | None = None
    envoy_otel_als: EnvoyOpenTelemetryLogProvider | None = None
    sds: SDSProvider | None = None
