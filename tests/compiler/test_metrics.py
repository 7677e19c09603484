"""What a proxy measures: Telemetry's metrics, merged as istiod merges them, and the proxy's own workload."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.compiler import PushContext, find_proxy
from sandbox.compiler.metrics import build_stats
from sandbox.compiler.node_metadata import node_metadata, stats_matcher
from sandbox.compiler.proxy import Proxy
from sandbox.istio.load import load_texts
from sandbox.plan.metrics import STANDARD_METRICS, MetricConfig, StatsConfig

POD = """
apiVersion: v1
kind: Pod
metadata:
  generateName: frontend-7d9c5-
  name: frontend-7d9c5-abcde
  namespace: shop
  labels: {app: frontend, version: v2, pod-template-hash: 7d9c5, app.kubernetes.io/name: web}
spec: {serviceAccountName: buyer, containers: [{name: app, image: x}]}
status: {podIP: 10.1.1.1}
"""
CHART = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: mesh, namespace: istio-system}
spec:
  meshConfig: {accessLogFile: /dev/stdout}
"""
CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    accessLogFile: /dev/stdout
"""
RENDERED = CONFIG_MAP + "    defaultConfig: {discoveryAddress: 'istiod.istio-system.svc:15012'}\n"
CONFIG_MAP_WITH_PROVIDER = RENDERED + "    defaultProviders: {metrics: [prometheus]}\n"


def telemetry(metrics: str, name: str = "metrics", namespace: str = "shop", selector: str = "") -> str:
    return f"""
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  {selector}
  metrics: {metrics}
"""


def compiled(*documents: str, gateway: bool = False) -> tuple[PushContext, Proxy]:
    configuration = load_texts([("mesh.yaml", "---".join((POD, *documents)))])
    proxy = find_proxy(configuration, "shop/frontend-7d9c5-abcde", "router" if gateway else "sidecar")
    assert proxy is not None
    return PushContext(configuration), proxy


def stats(*documents: str, gateway: bool = False) -> tuple[StatsConfig, ...]:
    return build_stats(*compiled(*documents, gateway=gateway))


@pytest.mark.parametrize(
    ("documents", "measures"),
    [
        pytest.param((), True, id="a default installation, of which nothing is said"),
        pytest.param((CHART,), True, id="the chart adds its provider to what an IstioOperator says"),
        pytest.param(
            (CHART.replace("accessLogFile: /dev/stdout", "defaultProviders: {accessLogging: [envoy]}"),),
            False,
            id="default providers of the user's own take the chart's place",
        ),
        pytest.param(
            (CHART + "  values: {telemetry: {v2: {prometheus: {enabled: false}}}}\n",),
            False,
            id="switched off by value",
        ),
        pytest.param((RENDERED,), False, id="a ConfigMap that the chart has made says all there is"),
        pytest.param((CONFIG_MAP,), True, id="one that was written by hand is completed as the chart would"),
        pytest.param((CONFIG_MAP_WITH_PROVIDER,), True, id="a ConfigMap with the provider"),
        pytest.param((RENDERED, telemetry("[{providers: [{name: Prometheus}]}]")), True, id="Telemetry names it"),
        pytest.param(
            (telemetry("[{providers: [{name: stackdriver}]}]"),), False, id="only Prometheus counts in the proxy"
        ),
        pytest.param((telemetry("[{overrides: [{disabled: true}]}]"),), False, id="all metrics are off"),
        pytest.param(
            (telemetry("[{overrides: [{match: {mode: SERVER}, disabled: true}]}]"),),
            True,
            id="off for servers says nothing about clients",
        ),
        pytest.param(
            (
                telemetry("[{overrides: [{disabled: true}]}]", namespace="istio-system"),
                telemetry("[{overrides: [{match: {metric: REQUEST_COUNT}, disabled: false}]}]"),
            ),
            True,
            id="off in the root namespace, on again in the workload's",
        ),
    ],
)
def test_whether_anything_is_measured(documents: tuple[str, ...], measures: bool) -> None:
    assert bool(stats(*documents)) is measures


def test_without_overrides_every_metric_is_as_istio_has_it() -> None:
    assert stats() == (StatsConfig(),)


def test_a_gateway_does_not_tell_the_host_header() -> None:
    assert stats(gateway=True) == (StatsConfig(disable_host_header_fallback=True),)


def test_overrides_of_later_levels_refine_earlier_ones() -> None:
    (found,) = stats(
        telemetry(
            "[{reportingInterval: 7s, overrides: [{match: {metric: REQUEST_COUNT}, tagOverrides: "
            "{method: {value: request.method}, source_app: {operation: REMOVE}}}]}]",
            namespace="istio-system",
        ),
        telemetry("[{overrides: [{match: {metric: REQUEST_COUNT}, tagOverrides: {method: {value: request.host}}}]}]"),
        telemetry(
            "[{overrides: [{match: {metric: TCP_SENT_BYTES, mode: CLIENT}, disabled: true}]}]",
            name="own",
            selector="selector: {matchLabels: {app: frontend}}",
        ),
    )

    assert found.tcp_reporting_duration == timedelta(seconds=7)
    assert found.metrics == (
        MetricConfig(
            name="requests_total", dimensions={"method": "request.host"}, tags_to_remove=("source_app",), drop=False
        ),
        MetricConfig(name="tcp_sent_bytes_total", drop=True),
    )


def test_an_override_of_all_metrics_is_one_of_each() -> None:
    (found,) = stats(telemetry("[{overrides: [{tagOverrides: {zone: {value: \"'eu'\"}}}]}]"))

    assert {metric.name for metric in found.metrics} == set(STANDARD_METRICS)
    assert all(metric.dimensions == {"zone": "'eu'"} for metric in found.metrics)


@pytest.mark.parametrize(
    ("metrics", "code", "words"),
    [
        pytest.param("[{providers: [{name: nobody}]}]", "SBX0531", '"nobody" does not exist', id="an unknown provider"),
        pytest.param(
            "[{overrides: [{match: {customMetric: mine}, disabled: true}]}]",
            "SBX0533",
            '"mine"',
            id="an unknown metric",
        ),
        pytest.param(
            "[{overrides: [{match: {metric: REQUEST_COUNT}, tagOverrides: {colour: {operation: REMOVE}}}]}]",
            "SBX0533",
            '"colour" is no label',
            id="a label to remove that is none",
        ),
    ],
)
def test_what_has_no_effect_is_told_with_its_line(metrics: str, code: str, words: str) -> None:
    push, proxy = compiled(telemetry(metrics))

    build_stats(push, proxy)

    (told,) = push.problems
    assert (told.code, told.span is not None) == (code, True)
    assert words in told.message


def test_the_reasons_are_the_lines_of_telemetry() -> None:
    (found,) = stats(telemetry("[{providers: [{name: prometheus}]}]"))

    assert "mesh.yaml:" in str(found.because[0].origin)


def test_the_workload_is_told_as_the_injected_pod_would_tell_it() -> None:
    found = node_metadata(*compiled())

    assert (found.workload_name, found.namespace, found.cluster_id) == ("frontend", "shop", "Kubernetes")
    assert (found.canonical_name, found.canonical_revision) == ("web", "v2")
    assert (found.app, found.version) == ("frontend", "v2")
    assert found.principal == "spiffe://cluster.local/ns/shop/sa/buyer"


def test_statistics_kept_are_those_asked_for_and_those_istio_needs() -> None:
    chart = CHART.replace(
        "accessLogFile: /dev/stdout", "defaultConfig: {proxyStatsMatcher: {inclusionPrefixes: [cluster.outbound]}}"
    )
    _, proxy = compiled(chart)

    assert stats_matcher(proxy).prefixes == (
        "cluster.outbound", "cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm",
    )  # fmt: skip
