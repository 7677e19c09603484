"""Capture settings out of annotations and Helm values."""

from __future__ import annotations

import pytest

from sandbox.compiler.capture import CaptureInputs, build_capture_settings, capture_inputs
from sandbox.compiler.find_proxy import find_proxy
from sandbox.istio.load import load_texts
from sandbox.plan.because import IstioDefault
from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.span import Origin

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    traffic.sidecar.istio.io/{name}: "{value}"
"""


def inputs_of(name: str, value: str) -> CaptureInputs:
    configuration = load_texts([("pod.yaml", POD.format(name=name, value=value))])
    return CaptureInputs(metadata=configuration.resources("Pod")[0].metadata)


def test_by_default_everything_is_captured_and_the_default_is_named() -> None:
    settings = build_capture_settings(CaptureInputs(), Problems())

    assert settings.include_ip_ranges == ("*",)
    assert settings.reasons["include_ip_ranges"].origin == IstioDefault("all addresses are captured")


@pytest.mark.parametrize(
    ("annotation", "value", "field", "expected"),
    [
        ("includeOutboundIPRanges", "10.0.0.0/24,192.0.2.0/24", "include_ip_ranges", ("10.0.0.0/24", "192.0.2.0/24")),
        ("includeOutboundIPRanges", "", "include_ip_ranges", ()),
        ("excludeOutboundIPRanges", "198.51.100.0/24", "exclude_ip_ranges", ("198.51.100.0/24",)),
        ("includeOutboundPorts", "443, 8443", "include_ports", (443, 8443)),
        ("excludeOutboundPorts", "3306", "exclude_ports", (3306,)),
        ("excludeInterfaces", "eth1,eth2", "exclude_interfaces", ("eth1", "eth2")),
    ],
)
def test_an_annotation_sets_a_field_and_is_its_reason(
    annotation: str, value: str, field: str, expected: tuple[object, ...]
) -> None:
    problems = Problems()

    settings = build_capture_settings(inputs_of(annotation, value), problems)

    assert getattr(settings, field) == expected
    assert not problems
    origin = settings.reasons[field].origin
    assert isinstance(origin, Origin)
    assert str(origin) == "pod.yaml:6"


@pytest.mark.parametrize(
    ("annotation", "value", "sentence"),
    [
        ("includeOutboundIPRanges", "10.0.0.1", "'10.0.0.1' is no address range such as 10.0.0.0/24"),
        ("includeOutboundIPRanges", "10.0.0.0/24, 10.1.0.0/24", "' 10.1.0.0/24' is no address range"),
        ("excludeOutboundIPRanges", "*", "'*' cannot be excluded"),
        ("excludeOutboundPorts", "http", "'http' is no port"),
        ("excludeOutboundPorts", "70000", "'70000' is no port"),
    ],
)
def test_wrong_annotation_is_reported_with_its_line(annotation: str, value: str, sentence: str) -> None:
    problems = Problems()

    settings = build_capture_settings(inputs_of(annotation, value), problems)

    (problem,) = problems
    assert sentence in problem.message
    assert str(problem.span) == "pod.yaml:6"
    assert settings == build_capture_settings(CaptureInputs(), Problems())


def test_helm_values_hold_where_no_annotation_says_otherwise() -> None:
    values = {"global": {"proxy": {"includeIPRanges": "10.0.0.0/8", "excludeOutboundPorts": 25}}}

    settings = build_capture_settings(CaptureInputs(values=values), Problems())

    assert (settings.include_ip_ranges, settings.exclude_ports) == (("10.0.0.0/8",), (25,))


def test_command_line_wins() -> None:
    inputs = CaptureInputs(overrides={"include_ip_ranges": "192.0.2.0/24"})

    assert build_capture_settings(inputs, Problems()).include_ip_ranges == ("192.0.2.0/24",)


CONSOLE = """\
apiVersion: egress-sandbox/v1alpha1
kind: SidecarProxySetting
metadata: {name: everywhere, namespace: istio-system}
spec: {includeIPRanges: 10.0.0.0/8, excludeIPRanges: 10.9.0.0/16, excludeOutboundPorts: "25", dnsProxyingEnabled: true}
---
apiVersion: egress-sandbox/v1alpha1
kind: SidecarProxySetting
metadata: {name: shop, namespace: shop}
spec: {includeIPRanges: 172.16.0.0/12, includeOutboundPorts: "443", interceptionMode: TPROXY}
---
apiVersion: egress-sandbox/v1alpha1
kind: SidecarProxySetting
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  excludeIPRanges: ""
  dnsProxyingEnabled: false
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
---
apiVersion: v1
kind: Pod
metadata:
  name: annotated
  namespace: shop
  labels: {app: web}
  annotations:
    traffic.sidecar.istio.io/includeOutboundIPRanges: "*"
    sidecar.istio.io/interceptionMode: REDIRECT
    proxy.istio.io/config: '{proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}}'
---
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: batch}
"""


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        pytest.param("batch/job", (("10.0.0.0/8",), ("10.9.0.0/16",), (), (25,), True, "REDIRECT"), id="all sidecars"),
        pytest.param(
            "shop/other", (("172.16.0.0/12",), ("10.9.0.0/16",), (443,), (25,), True, "TPROXY"), id="a namespace"
        ),
        pytest.param("shop/web", (("172.16.0.0/12",), (), (443,), (25,), False, "TPROXY"), id="a selected workload"),
        pytest.param("shop/annotated", (("*",), (), (443,), (25,), True, "REDIRECT"), id="annotations win"),
    ],
)
def test_settings_as_a_vendors_console_has_them(workload: str, expected: tuple[object, ...]) -> None:
    configuration = load_texts([("console.yaml", CONSOLE)])
    proxy = find_proxy(configuration, workload)
    assert proxy is not None

    found = build_capture_settings(capture_inputs(configuration, proxy, ("10.96.0.10",)), problems := Problems())

    assert not (*configuration.problems, *problems)
    lists = (found.include_ip_ranges, found.exclude_ip_ranges, found.include_ports, found.exclude_ports)
    assert (*lists, found.redirect_dns, found.interception_mode) == expected


def test_settings_of_a_console_are_told_by_their_line() -> None:
    configuration = load_texts([("console.yaml", CONSOLE.replace("10.9.0.0/16", "10.9.0.0"))])
    proxy = find_proxy(configuration, "batch/job")
    assert proxy is not None

    found = build_capture_settings(capture_inputs(configuration, proxy), problems := Problems())

    assert [str(problem.span) for problem in problems] == ["console.yaml:4"]
    assert str(found.reasons["include_ip_ranges"].origin) == "console.yaml:4"


def test_interception_mode_of_the_mesh_holds_where_no_annotation_says_otherwise() -> None:
    mesh = "meshConfig: {defaultConfig: {interceptionMode: NONE}}"
    configuration = load_texts([("pod.yaml", POD.format(name="x", value=""))], mesh=("mesh.yaml", mesh))
    proxy = find_proxy(configuration, "default/web")
    assert proxy is not None

    assert build_capture_settings(capture_inputs(configuration, proxy), Problems()).interception_mode == "NONE"
