"""Tracing settings of connection managers: sampling, provider, and what it does to ``x-request-id``.

Source: Istio pilot/pkg/networking/core/tracing.go. No spans are sent; sampling decides a digit of the request id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sandbox.compiler.open_telemetry import headers_to_add, open_telemetry, service_cluster
from sandbox.compiler.provenance import written
from sandbox.compiler.provider_clusters import ProviderCluster, lookup_cluster
from sandbox.compiler.telemetry import TelemetryResource, TracingSettings, merge_tracing
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.extension_provider import ExtensionProvider
from sandbox.istio.tracing_providers import ZipkinTracingProvider
from sandbox.plan.base import Extension, Percent
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.http_connection_manager import RequestIdExtension, Tracing, TracingProvider, UuidRequestIdConfig
from sandbox.plan.tracing import (
    DatadogConfig,
    EnvoyGrpc,
    GrpcService,
    HttpService,
    HttpUri,
    SkyWalkingConfig,
    ZipkinConfig,
)

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

_ALWAYS: Final = Percent(value=100.0)
_DEFAULT_SAMPLING: Final = 1.0
_ZIPKIN_TIMEOUT: Final = timedelta(seconds=5)


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
    typed_config = config(given, target, proxy, push)
    if typed_config is None:
        return None
    percent = _sampling(push, proxy) if settings.sampling is None else settings.sampling
    return Tracing(
        client_sampling=_ALWAYS,
        overall_sampling=_ALWAYS,
        random_sampling=_ALWAYS if sampled_elsewhere else Percent(value=percent),
        provider=TracingProvider(name=name, typed_config=typed_config),
        spawn_upstream_span=True if not proxy.is_sidecar or kind == "skywalking" else None,
        no_context_propagation=settings.disable_context_propagation,
    )


def _zipkin(provider: ZipkinTracingProvider, target: ProviderCluster, _proxy: Proxy, push: PushContext) -> Extension:
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
        collector_service=HttpService(http_uri=uri, request_headers_to_add=headers_to_add(push, provider.headers)),
    )


def _datadog(_provider: object, target: ProviderCluster, proxy: Proxy, _push: PushContext) -> Extension:
    return DatadogConfig(
        collector_cluster=target.cluster, service_name=service_cluster(proxy), collector_hostname=target.host
    )


def _skywalking(_provider: object, target: ProviderCluster, _proxy: Proxy, _push: PushContext) -> Extension:
    grpc = EnvoyGrpc(cluster_name=target.cluster, authority=target.host)
    return SkyWalkingConfig(grpc_service=GrpcService(envoy_grpc=grpc))


_KINDS: Final[Mapping[str, tuple[str, Callable[..., Extension | None]]]] = {
    "zipkin": ("envoy.tracers.zipkin", _zipkin),
    "datadog": ("envoy.tracers.datadog", _datadog),
    "skywalking": ("envoy.tracers.skywalking", _skywalking),
    "opentelemetry": ("envoy.tracers.opentelemetry", open_telemetry),
}
"""Provider kinds that can trace: Envoy's name of the tracer, and its settings."""
