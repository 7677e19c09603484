"""Spans for an OpenTelemetry collector: how Envoy is told of it, and of who samples.

Source: Istio pilot/pkg/networking/core/tracing.go (``otelConfig``). No spans are sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from sandbox.compiler.provider_clusters import ProviderCluster, lookup_cluster
from sandbox.istio.provider_services import HttpHeader
from sandbox.istio.provider_services import HttpService as ProviderHttpService
from sandbox.istio.tracing_providers import DynatraceSampler, OpenTelemetryTracingProvider
from sandbox.plan.base import HeaderValue, HeaderValueOption, TypedExtensionConfig
from sandbox.plan.tracing import (
    DynatraceResourceDetector,
    DynatraceSamplerConfig,
    EnvironmentResourceDetector,
    EnvoyGrpc,
    GrpcService,
    HttpService,
    HttpUri,
    OpenTelemetryConfig,
)

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

_PROXY: Final = "istio-proxy"
_CANONICAL_NAME: Final = "service.istio.io/canonical-name"
_APP_NAME: Final = "app.kubernetes.io/name"
_SAMPLING_PATH: Final = "api/v2/samplingConfiguration"
_ENVIRONMENT_DETECTOR: Final = TypedExtensionConfig(
    name="envoy.tracers.opentelemetry.resource_detectors.environment", typed_config=EnvironmentResourceDetector()
)
_DYNATRACE_DETECTOR: Final = TypedExtensionConfig(
    name="envoy.tracers.opentelemetry.resource_detectors.dynatrace", typed_config=DynatraceResourceDetector()
)


def open_telemetry(
    provider: OpenTelemetryTracingProvider, target: ProviderCluster, proxy: Proxy, push: PushContext
) -> OpenTelemetryConfig | None:
    """The tracer's settings; None where the sampler it asks for cannot be reached."""
    semantic = provider.service_attribute_enrichment == "OTEL_SEMANTIC_CONVENTIONS"
    sampler = None
    if provider.dynatrace_sampler is not None:
        sampler = _dynatrace_sampler(provider.dynatrace_sampler, provider.http, target, push)
        if sampler is None:
            return None
    over_http = None
    if provider.http is not None:
        over_http = _http_service(push, target, provider.http, provider.http.path)
    return OpenTelemetryConfig(
        http_service=over_http,
        grpc_service=_grpc_service(push, provider, target) if over_http is None else None,
        service_name=_semantic_name(proxy) if semantic else service_cluster(proxy),
        resource_detectors=_detectors(provider, semantic=semantic),
        sampler=sampler,
    )


def _detectors(provider: OpenTelemetryTracingProvider, *, semantic: bool) -> tuple[TypedExtensionConfig, ...]:
    """Those asked for; the environment's last where only the naming convention asks for it."""
    given = provider.resource_detectors
    environment = given is not None and given.environment is not None
    dynatrace = given is not None and given.dynatrace is not None
    return (
        *((_ENVIRONMENT_DETECTOR,) if environment else ()),
        *((_DYNATRACE_DETECTOR,) if dynatrace else ()),
        *((_ENVIRONMENT_DETECTOR,) if semantic and not environment else ()),
    )


def _dynatrace_sampler(
    sampler: DynatraceSampler, exporter: ProviderHttpService | None, target: ProviderCluster, push: PushContext
) -> TypedExtensionConfig | None:
    """Dynatrace's own service, or the one that spans go to by HTTP (``configureDynatraceSampler``)."""
    asked = sampler.http_service
    if asked is not None:
        found = lookup_cluster(push, asked.service, asked.port)
        http = asked.http or ProviderHttpService()
        service = _http_service(push, found, http, http.path) if found is not None else None
    else:
        service = _http_service(push, target, exporter, _SAMPLING_PATH) if exporter is not None else None
    if service is None:
        return None
    config = DynatraceSamplerConfig(
        tenant=sampler.tenant,
        cluster_id=sampler.cluster_id,
        http_service=service,
        root_spans_per_minute=sampler.root_spans_per_minute,
    )
    return TypedExtensionConfig(name="envoy.tracers.opentelemetry.samplers.dynatrace", typed_config=config)


def _http_service(push: PushContext, target: ProviderCluster, service: ProviderHttpService, path: str) -> HttpService:
    uri = urljoin(f"{target.host}/", path.lstrip("/")) if path else target.host
    return HttpService(
        http_uri=HttpUri(uri=uri, cluster=target.cluster, timeout=service.timeout),
        request_headers_to_add=headers_to_add(push, service.headers),
    )


def _grpc_service(push: PushContext, provider: OpenTelemetryTracingProvider, target: ProviderCluster) -> GrpcService:
    given = provider.grpc
    metadata = given.initial_metadata if given is not None else ()
    return GrpcService(
        envoy_grpc=EnvoyGrpc(cluster_name=target.cluster, authority=target.host),
        timeout=given.timeout if given is not None else None,
        initial_metadata=tuple(HeaderValue(key=item.name, value=_value(push, item)) for item in metadata),
    )


def headers_to_add(push: PushContext, headers: Iterable[HttpHeader]) -> tuple[HeaderValueOption, ...]:
    """Headers of every export; ``envName`` is a variable of istiod's environment."""
    return tuple(
        HeaderValueOption(
            header=HeaderValue(key=item.name, value=_value(push, item)), append_action="OVERWRITE_IF_EXISTS_OR_ADD"
        )
        for item in headers
    )


def _value(push: PushContext, header: HttpHeader) -> str:
    if header.env_name is not None:
        return push.configuration.pilot_env.get(header.env_name, "")
    return header.value or ""


def service_cluster(proxy: Proxy) -> str:
    """The node's cluster as the agent names it (Istio pkg/bootstrap/config.go ``getServiceCluster``)."""
    config, labels = proxy.metadata.proxy_config, proxy.labels
    workload = proxy.metadata.raw.get("WORKLOAD_NAME") or proxy.name
    canonical = labels.get(_CANONICAL_NAME) or labels.get(_APP_NAME) or labels.get("app") or workload
    if config.tracing_service_name == "CANONICAL_NAME_AND_NAMESPACE":
        return f"{canonical}.{proxy.namespace}"
    name = canonical if config.tracing_service_name == "CANONICAL_NAME_ONLY" else config.service_cluster
    if name and name != _PROXY:
        return name
    application = next((labels[key] for key in ("app", _APP_NAME, _CANONICAL_NAME) if key in labels), workload)
    return f"{application}.{proxy.namespace}"


def _semantic_name(proxy: Proxy) -> str:
    """``service.name`` after OpenTelemetry's conventions for Kubernetes."""
    return (
        proxy.metadata.annotations.get("resource.opentelemetry.io/service.name")
        or proxy.labels.get("app.kubernetes.io/instance")
        or proxy.labels.get("app.kubernetes.io/name")
        or proxy.metadata.raw.get("WORKLOAD_NAME")
        or proxy.name
    )
