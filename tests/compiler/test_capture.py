"""Capture settings out of annotations and Helm values."""

from __future__ import annotations

import pytest

from sandbox.compiler.capture import CaptureInputs, build_capture_settings
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
def test_annotation(annotation: str, value: str, field: str, expected: tuple[object, ...]) -> None:
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
