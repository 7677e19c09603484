from __future__ import annotations

import pytest

from sandbox.compiler.features import features_of

from .nodes import compiled, manifest
from .sidecars import service_entry


def _operator(name: str, value: str) -> str:
    head = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n"
    return f"{head}spec: {{values: {{pilot: {{env: {{{name}: '{value}'}}}}}}}}\n"


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("1", True), ("false", False), ("no", False), ("", False)]
)
def test_flags_are_booleans_as_go_reads_them(text: str, expected: bool) -> None:
    assert features_of({"PILOT_HTTP10": text}).http10 is expected


def test_a_variable_that_is_not_emulated_is_told() -> None:
    assert compiled(_operator("PILOT_ENABLE_QUIC_LISTENERS", "true")).codes == ["SBX0405"]
    assert compiled(_operator("PILOT_SOMETHING_ELSE", "true")).codes == ["SBX0406"]
    assert compiled(_operator("PILOT_HTTP10", "true")).codes == []


@pytest.mark.parametrize("export_to", ["'*'", "'~'", "elsewhere"])
def test_gateways_may_get_only_the_clusters_their_routes_need(export_to: str) -> None:
    world = (
        service_entry("used.example", "80/HTTP"),
        service_entry("unused.example", "80/HTTP"),
        manifest(
            "Gateway",
            "gw",
            "selector: {app: client}\nservers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]",
        ),
        manifest(
            "VirtualService",
            "v",
            f"hosts: ['*']\ngateways: [gw]\nexportTo: [{export_to}]\n"
            "http: [{route: [{destination: {host: used.example}}]}]",
        ),
    )
    filtered = _operator("PILOT_FILTER_GATEWAY_CLUSTER_CONFIG", "true")

    assert compiled(*world, node="router").outbound() == ["outbound|80||unused.example", "outbound|80||used.example"]
    assert compiled(*world, filtered, node="router").outbound() == ["outbound|80||used.example"]
