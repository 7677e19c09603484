"""Tracing settings of connection managers: sampling, provider, and what it does to ``x-request-id``.

Source: Istio pilot/pkg/networking/core/tracing.go. No spans are sent; sampling decides a digit of the request id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from sandbox.compiler.provenance import written
from sandbox.compiler.provider_clusters import ProviderCluster, lookup_cluster
from sandbox.compiler.telemetry import TelemetryResource, TracingSettings, merge_tracing
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.extension_provider import ExtensionProvider
from sandbox.istio.provider_services import HttpHeader
from sandbox.istio.provider_services import HttpService as ProviderHttpService
from sandbox.istio.tracing_providers import OpenTelemetryTracingProvider, ZipkinTracingProvider
from sandbox.plan.base import Extension, HeaderValue, HeaderValueOption, Percent, TypedExtensionConfig
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.http_connection_manager import RequestIdExtension, Tracing, TracingProvider, UuidRequestIdConfig
from sandbox.plan.tracing import (
    DatadogConfig,
    DynatraceResourceDetector,
    EnvironmentResourceDetector,
    EnvoyGrpc,
    GrpcService,
    HttpService,
    HttpUri,
    OpenTelemetryConfig,
    SkyWalkingConfig,
    ZipkinConfig,
)

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

_ALWAYS: Final = Percent(value=100.0)
_DEFAULT_SAMPLING: Final = 1.0
_ZIPKIN_TIMEOUT: Final = timedelta(seconds=5)
_PROXY: Final = "istio-proxy"
_CANONICAL_NAME: Final = "service.istio.io/canonical-name"
_APP_NAME: Final = "app.kubernetes.io/name"
_ENVIRONMENT_DETECTOR: Final = TypedExtensionConfig(
    name="envoy.tracers.opentelemetry.resource_detectors.environment", typed_config=EnvironmentResourceDetector()
)
_DYNATRACE_DETECTOR: Final = TypedExtensionConfig(
    name="envoy.tracers.opentelemetry.resource_detectors.dynatrace", typed_config=DynatraceResourceDetector()
)


@dataclass(frozen=True, slots=True)
class ProxyTracing:
    """What every connection manager of a proxy says about tracing."""

    tracing: Tracing | None
    request_id_extension: RequestIdExtension
    because: tuple[Because, ...] = ()


def build(push: PushContext, proxy: Proxy, telemetries: tuple[TelemetryResource, ...]) -> ProxyTracing:
    """Telemetry decides where it speaks of tracing, else ``enableTracing`` of the mesh."""
    settings = merge_tracing(telemetries, push.mesh)
    if settings is None:
        return _from_mesh(push, proxy)
    if settings.disabled or settings.provider is None:
        return ProxyTracing(None, _request_id(True), settings.because)
    tracing = _from_provider(push, proxy, settings, settings.provider)
    if tracing is None:
        push.problems.report(
            "SBX0531",
            f'the tracing provider "{settings.provider.name}" has no known service, or cannot trace',
            settings.provider.origin,
        )
        return ProxyTracing(None, _request_id(True), settings.because)
    because = (*settings.because, written("tracing provider", settings.provider))
    return ProxyTracing(tracing, _request_id(settings.use_request_id), because)


def _request_id(use_for_sampling: bool) -> RequestIdExtension:
    return RequestIdExtension(typed_config=UuidRequestIdConfig(use_request_id_for_trace_sampling=use_for_sampling))


def _from_mesh(push: PushContext, proxy: Proxy) -> ProxyTracing:
    if not push.mesh.enable_tracing:
        because = written("no tracing", push.mesh, "enable_tracing")
        return ProxyTracing(None, _request_id(True), (because,))
    tracing = Tracing(
        client_sampling=_ALWAYS, overall_sampling=_ALWAYS, random_sampling=Percent(value=_sampling(push, proxy))
    )
    return ProxyTracing(tracing, _request_id(True), (_because_sampling(proxy),))


def _because_sampling(proxy: Proxy) -> Because:
    given = proxy.metadata.proxy_config.tracing
    if given is None or not given.sampling:
        return Because("tracing", IstioDefault("one request in a hundred is sampled (PILOT_TRACE_SAMPLING)"))
    return written("tracing", given, "sampling")


def _sampling(push: PushContext, proxy: Proxy) -> float:
    """Per cent: of the ProxyConfig, else of istiod's environment; what is above 100 counts as 1."""
    given = proxy.metadata.proxy_config.tracing
    if given is not None and given.sampling:
        return given.sampling if given.sampling <= _ALWAYS.value else _DEFAULT_SAMPLING
    try:
        percent = float(push.configuration.pilot_env.get("PILOT_TRACE_SAMPLING", ""))
    except ValueError:
        return _DEFAULT_SAMPLING
    return percent if 0 <= percent <= _ALWAYS.value else _DEFAULT_SAMPLING


def _from_provider(
    push: PushContext, proxy: Proxy, settings: TracingSettings, provider: ExtensionProvider
) -> Tracing | None:
    kind = next((kind for kind in _KINDS if getattr(provider, kind) is not None), None)
    if kind is None:
        return None
    given = getattr(provider, kind)
    target = lookup_cluster(push, given.service, given.port)
    if target is None:
        return None
    name, config = _KINDS[kind]
    sampled_elsewhere = kind == "opentelemetry" and given.dynatrace_sampler is not None
    percent = _sampling(push, proxy) if settings.sampling is None else settings.sampling
    return Tracing(
        client_sampling=_ALWAYS,
        overall_sampling=_ALWAYS,
        random_sampling=_ALWAYS if sampled_elsewhere else Percent(value=percent),
        provider=TracingProvider(name=name, typed_config=config(given, target, proxy)),
        spawn_upstream_span=True if not proxy.is_sidecar or kind == "skywalking" else None,
        no_context_propagation=settings.disable_context_propagation,
    )


def _zipkin(provider: ZipkinTracingProvider, target: ProviderCluster, _proxy: Proxy) -> Extension:
    uri = HttpUri(
        uri=f"http://{target.host}{provider.path or '/api/v2/spans'}",
        cluster=target.cluster,
        timeout=_ZIPKIN_TIMEOUT if provider.timeout is None else provider.timeout,
    )
    return ZipkinConfig(
        trace_id_128bit=not provider.enable_64bit_trace_id,
        shared_span_context=False,
        collector_endpoint_version="HTTP_JSON",
        trace_context_option=provider.trace_context_option,
        collector_service=HttpService(http_uri=uri, request_headers_to_add=_headers(provider.headers)),
    )


def _datadog(_provider: object, target: ProviderCluster, proxy: Proxy) -> Extension:
    return DatadogConfig(
        collector_cluster=target.cluster, service_name=_service_cluster(proxy), collector_hostname=target.host
    )


def _skywalking(_provider: object, target: ProviderCluster, _proxy: Proxy) -> Extension:
    grpc = EnvoyGrpc(cluster_name=target.cluster, authority=target.host)
    return SkyWalkingConfig(grpc_service=GrpcService(envoy_grpc=grpc))


def _open_telemetry(provider: OpenTelemetryTracingProvider, target: ProviderCluster, proxy: Proxy) -> Extension:
    semantic = provider.service_attribute_enrichment == "OTEL_SEMANTIC_CONVENTIONS"
    detectors = provider.resource_detectors
    environment = semantic or (detectors is not None and detectors.environment is not None)
    dynatrace = detectors is not None and detectors.dynatrace is not None
    over_http = _otlp_http(provider.http, target) if provider.http is not None else None
    return OpenTelemetryConfig(
        http_service=over_http,
        grpc_service=_otlp_grpc(provider, target) if over_http is None else None,
        service_name=_semantic_name(proxy) if semantic else _service_cluster(proxy),
        resource_detectors=(
            *((_ENVIRONMENT_DETECTOR,) if environment else ()),
            *((_DYNATRACE_DETECTOR,) if dynatrace else ()),
        ),
    )


def _otlp_http(service: ProviderHttpService, target: ProviderCluster) -> HttpService:
    uri = urljoin(f"{target.host}/", service.path.lstrip("/")) if service.path else target.host
    return HttpService(
        http_uri=HttpUri(uri=uri, cluster=target.cluster, timeout=service.timeout),
        request_headers_to_add=_headers(service.headers),
    )


def _otlp_grpc(provider: OpenTelemetryTracingProvider, target: ProviderCluster) -> GrpcService:
    given = provider.grpc
    metadata = given.initial_metadata if given is not None else ()
    return GrpcService(
        envoy_grpc=EnvoyGrpc(cluster_name=target.cluster, authority=target.host),
        timeout=given.timeout if given is not None else None,
        initial_metadata=tuple(HeaderValue(key=item.name, value=item.value or "") for item in metadata),
    )


def _headers(headers: Iterable[HttpHeader]) -> tuple[HeaderValueOption, ...]:
    return tuple(
        HeaderValueOption(
            header=HeaderValue(key=item.name, value=item.value or ""), append_action="OVERWRITE_IF_EXISTS_OR_ADD"
        )
        for item in headers
    )


def _service_cluster(proxy: Proxy) -> str:
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


_KINDS: Final[Mapping[str, tuple[str, Callable[..., Extension]]]] = {
    "zipkin": ("envoy.tracers.zipkin", _zipkin),
    "datadog": ("envoy.tracers.datadog", _datadog),
    "skywalking": ("envoy.tracers.skywalking", _skywalking),
    "opentelemetry": ("envoy.tracers.opentelemetry", _open_telemetry),
}
"""Provider kinds that can trace: Envoy's name of the tracer, and its settings."""
