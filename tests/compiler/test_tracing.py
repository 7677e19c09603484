"""Tracing settings of connection managers: who decides, which provider, how much is sampled."""

from __future__ import annotations

import pytest

from sandbox.plan.http_connection_manager import HttpConnectionManager, UuidRequestIdConfig
from sandbox.plan.tracing import DynatraceSamplerConfig, OpenTelemetryConfig, ZipkinConfig

from .sidecars import manager, mesh, service_entry, told

COLLECTOR = service_entry("collector.example.net", "4317/GRPC")
PROVIDERS = mesh(
    """
    extensionProviders:
    - name: zip
      zipkin: {service: collector.example.net, port: 4317}
    - name: otel
      opentelemetry: {service: collector.example.net, port: 4317, http: {path: /v1/traces, timeout: 3s}}
    - name: nowhere
      zipkin: {service: unknown.example.net, port: 4317}
    - name: files
      envoyFileAccessLog: {path: /dev/stdout}
    """
)


def telemetry(tracing: str) -> str:
    return f"""\
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: tracing, namespace: istio-system}}
spec: {{tracing: [{tracing}]}}
"""


def settings(tracing: str) -> tuple[HttpConnectionManager, list[str]]:
    world = told(COLLECTOR, PROVIDERS, telemetry(tracing))
    return manager(world.chains("0.0.0.0_4317")[0]), world.codes


def test_zipkin_is_told_of_the_services_cluster() -> None:
    found, _ = settings("{providers: [{name: zip}], randomSamplingPercentage: 12.5}")
    assert found.tracing is not None
    assert found.tracing.random_sampling is not None
    assert found.tracing.random_sampling.value == 12.5
    assert found.tracing.provider is not None
    config = found.tracing.provider.typed_config
    assert isinstance(config, ZipkinConfig)
    assert config.collector_service is not None
    assert config.collector_service.http_uri is not None
    assert config.collector_service.http_uri.cluster == "outbound|4317||collector.example.net"
    assert config.collector_service.http_uri.uri == "http://collector.example.net/api/v2/spans"


def test_open_telemetry_over_http_names_the_client() -> None:
    found, _ = settings("{providers: [{name: otel}]}")
    assert found.tracing is not None
    assert found.tracing.provider is not None
    config = found.tracing.provider.typed_config
    assert isinstance(config, OpenTelemetryConfig)
    assert config.service_name == "client.default"
    assert config.grpc_service is None
    assert config.http_service is not None
    assert config.http_service.http_uri is not None
    assert config.http_service.http_uri.uri == "collector.example.net/v1/traces"


@pytest.mark.parametrize("provider", ["nowhere", "files"])
def test_a_provider_that_cannot_trace_turns_tracing_off_and_is_told(provider: str) -> None:
    found, codes = settings(f"{{providers: [{{name: {provider}}}]}}")
    assert found.tracing is None
    assert "SBX0531" in codes


@pytest.mark.parametrize(
    "tracing",
    ["{providers: [{name: zip}], disableSpanReporting: true}", "{randomSamplingPercentage: 5}"],
    ids=["switched off", "no provider"],
)
def test_tracing_without_reporting_is_off(tracing: str) -> None:
    assert settings(tracing)[0].tracing is None


def test_settings_for_servers_do_not_count() -> None:
    both = "{providers: [{name: zip}]}, {match: {mode: SERVER}, disableSpanReporting: true}"
    assert settings(both)[0].tracing is not None


def test_whether_the_request_id_carries_the_decision() -> None:
    found, _ = settings("{providers: [{name: zip}], useRequestIdForTraceSampling: false}")
    assert found.request_id_extension is not None
    assert found.request_id_extension.typed_config == UuidRequestIdConfig(use_request_id_for_trace_sampling=False)


def open_telemetry(provider: str, *documents: str) -> tuple[OpenTelemetryConfig | None, list[str]]:
    """What Envoy is told of an OpenTelemetry provider of our collector, and the codes of problems."""
    providers = mesh(
        "extensionProviders:\n- name: otel\n"
        f"  opentelemetry: {{service: collector.example.net, port: 4317, {provider}}}\n"
    )
    world = told(COLLECTOR, providers, telemetry("{providers: [{name: otel}]}"), *documents)
    found = manager(world.chains("0.0.0.0_4317")[0])
    if found.tracing is None or found.tracing.provider is None:
        return None, world.codes
    config = found.tracing.provider.typed_config
    assert isinstance(config, OpenTelemetryConfig)
    return config, world.codes


@pytest.mark.parametrize(
    ("provider", "detectors"),
    [
        ("resourceDetectors: {dynatrace: {}, environment: {}}", ["environment", "dynatrace"]),
        ("serviceAttributeEnrichment: OTEL_SEMANTIC_CONVENTIONS", ["environment"]),
        (
            "serviceAttributeEnrichment: OTEL_SEMANTIC_CONVENTIONS, resourceDetectors: {dynatrace: {}}",
            ["dynatrace", "environment"],
        ),
    ],
)
def test_the_naming_convention_adds_its_detector_behind_those_asked_for(provider: str, detectors: list[str]) -> None:
    """Istio's ``otelConfig`` (networking/core/tracing.go)."""
    config, _ = open_telemetry(provider)
    assert config is not None
    assert [each.name.rpartition(".")[2] for each in config.resource_detectors] == detectors


def test_a_sampler_of_dynatrace_asks_where_spans_go_unless_it_has_a_service() -> None:
    """Istio's ``configureDynatraceSampler`` (networking/core/tracing.go)."""
    over_http = "http: {path: /otlp, timeout: 3s, headers: [{name: authorization, envName: DT_TOKEN}]}"
    config, _ = open_telemetry(
        f"{over_http}, dynatraceSampler: {{tenant: abc, clusterId: 7, rootSpansPerMinute: 60}}",
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {name: istio}\n"
        "spec: {values: {pilot: {env: {DT_TOKEN: secret}}}}\n",
    )
    assert config is not None
    assert config.sampler is not None
    sampler = config.sampler.typed_config
    assert isinstance(sampler, DynatraceSamplerConfig)
    assert (sampler.tenant, sampler.cluster_id, sampler.root_spans_per_minute) == ("abc", 7, 60)
    assert sampler.http_service is not None
    assert sampler.http_service.http_uri is not None
    assert sampler.http_service.http_uri.uri == "collector.example.net/api/v2/samplingConfiguration"
    (header,) = sampler.http_service.request_headers_to_add
    assert header.header is not None
    assert (header.header.key, header.header.value) == ("authorization", "secret")


def test_a_sampler_nobody_can_ask_turns_tracing_off_and_is_told() -> None:
    config, codes = open_telemetry("dynatraceSampler: {tenant: abc, clusterId: 7}")
    assert config is None
    assert "SBX0531" in codes
