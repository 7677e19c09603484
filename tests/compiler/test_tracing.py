"""Tracing settings of connection managers: who decides, which provider, how much is sampled."""

from __future__ import annotations

import pytest

from sandbox.plan.http_connection_manager import HttpConnectionManager, UuidRequestIdConfig
from sandbox.plan.tracing import OpenTelemetryConfig, ZipkinConfig

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
