"""Telemetry's changes to the labels of a metric."""

from __future__ import annotations

import pytest

from sandbox.access_log.stream_info import StreamInfo
from sandbox.metrics.label_rules import LabelRules, refused_expressions
from sandbox.plan.metrics import MetricConfig, StatsConfig

STANDARD = (("reporter", "source"), ("source_app", "shop"), ("response_code", "200"))


def stream() -> StreamInfo:
    info = StreamInfo(0.0, 0.0)
    info.is_http = True
    info.method, info.authority, info.response_code = b"GET", b"api.example", 200
    info.request_headers = [(b"x-team", b"red")]
    info.downstream_local_address = "192.0.2.1:443"
    return info


def labels_of(metric: str, *configs: MetricConfig) -> tuple[tuple[str, str], ...] | None:
    rules = LabelRules(StatsConfig(metrics=configs))
    return rules.labels_of(metric, STANDARD, rules.values_of(stream()))


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        pytest.param(MetricConfig(name="requests_total"), STANDARD, id="nothing said"),
        pytest.param(MetricConfig(name="requests_total", drop=True), None, id="dropped"),
        pytest.param(MetricConfig(name="request_bytes", drop=True), STANDARD, id="another metric is dropped"),
        pytest.param(
            MetricConfig(name="requests_total", tags_to_remove=("source_app",)),
            (("reporter", "source"), ("response_code", "200")),
            id="a label is removed",
        ),
        pytest.param(
            MetricConfig(name="requests_total", dimensions={"source_app": "'fixed'"}),
            (("reporter", "source"), ("source_app", "fixed"), ("response_code", "200")),
            id="a standard label gets another value, in its place",
        ),
        pytest.param(
            MetricConfig(
                name="requests_total", dimensions={"team": "request.headers['x-team']", "host": "request.host"}
            ),
            (*STANDARD, ("host", "api.example"), ("team", "red")),
            id="labels are added by name",
        ),
        pytest.param(
            MetricConfig(name="requests_total", dimensions={"team": "request.headers['x-none']"}),
            (*STANDARD, ("team", "unknown")),
            id="an expression that fails is unknown",
        ),
        pytest.param(
            MetricConfig(name="requests_total", dimensions={"source_app": "request.", "team": "("}),
            (("reporter", "source"), ("response_code", "200")),
            id="what cannot be parsed removes a standard label and adds none",
        ),
        pytest.param(
            MetricConfig(
                name="requests_total", dimensions={"good": "response.code < 400", "code": "response.code + 1"}
            ),
            (*STANDARD, ("code", "201"), ("good", "true")),
            id="numbers and truths are printed",
        ),
        pytest.param(
            MetricConfig(name="requests_total", dimensions={"port": "string(destination.port)"}),
            (*STANDARD, ("port", "443")),
            id="a number as text, as Istio's documentation adds the port",
        ),
        pytest.param(
            MetricConfig(name="requests_total", dimensions={"to": "request.method + ' ' + request.host"}),
            (*STANDARD, ("to", "GET api.example")),
            id="joined texts",
        ),
        pytest.param(MetricConfig(name="mine", tags_to_remove=("reporter",)), STANDARD, id="no metric of Istio's"),
    ],
)
def test_labels_after_an_override(config: MetricConfig, labels: tuple[tuple[str, str], ...] | None) -> None:
    assert labels_of("requests_total", config) == labels


def test_an_expression_is_asked_once_however_many_metrics_want_it() -> None:
    configs = tuple(MetricConfig(name=name, dimensions={"host": "request.host"}) for name in ("requests_total", "x"))

    assert len(LabelRules(StatsConfig(metrics=configs)).expressions) == 1


def test_what_cannot_be_parsed_is_named() -> None:
    config = StatsConfig(metrics=(MetricConfig(name="requests_total", dimensions={"team": "(", "ok": "'x'"}),))

    ((metric, label, words),) = refused_expressions([config])

    assert (metric.name, label) == ("requests_total", "team")
    assert words
