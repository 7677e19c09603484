from __future__ import annotations

import pytest

from .nodes import compiled, manifest
from .sidecars import service_entry, virtual_service


def _entry(host: str, namespace: str, *ports: str) -> str:
    text = service_entry(host, *(ports or ("80/HTTP",)))
    return text.replace("namespace: default", f"namespace: {namespace}")


WORLD = (
    _entry("a.example.com", "default"),
    _entry("b.example.com", "shop"),
    _entry("c.other.org", "shop", "80/HTTP", "443/TLS"),
)


def _sidecar(hosts: str, more: str = "", namespace: str = "default") -> str:
    return manifest("Sidecar", "s", f"egress:\n- hosts: {hosts}\n{more}", namespace)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("['*/*']", ["a.example.com", "b.example.com", "c.other.org"]),
        ("['./*']", ["a.example.com"]),
        ("['shop/*']", ["b.example.com", "c.other.org"]),
        ("['*/*.example.com']", ["a.example.com", "b.example.com"]),
        ("['shop/b.example.com']", ["b.example.com"]),
        ("['default/b.example.com']", []),
        ("['~/*']", []),
        ("['*/*', '~shop/c.other.org']", ["a.example.com", "b.example.com"]),
        ("['*/*', '~/*.example.com']", ["c.other.org"]),
    ],
)
def test_hosts_of_an_egress_listener_import_services(hosts: str, expected: list[str]) -> None:
    node = compiled(*WORLD, _sidecar(hosts))

    assert sorted({name.split("|")[3] for name in node.outbound()}) == expected


def test_a_listener_with_a_port_keeps_only_that_port_of_its_services() -> None:
    node = compiled(*WORLD, _sidecar("['*/*']", "  port: {number: 443, protocol: TLS, name: tls}"))

    assert node.outbound() == ["outbound|443||c.other.org"]


def test_a_destination_of_an_imported_virtual_service_becomes_a_cluster() -> None:
    routed = virtual_service(
        "v", "hosts: [a.example.com]\nhttp:\n- route: [{destination: {host: c.other.org, port: {number: 443}}}]"
    )
    node = compiled(*WORLD, routed, _sidecar("['./*']"))

    assert node.outbound() == ["outbound|443||c.other.org", "outbound|80||a.example.com"]


def test_of_one_host_in_several_namespaces_the_clients_own_counts() -> None:
    node = compiled(_entry("a.example.com", "shop", "443/TLS"), _entry("a.example.com", "default", "80/HTTP"))

    assert node.outbound() == ["outbound|80||a.example.com"]


@pytest.mark.parametrize(
    ("sidecars", "expected"),
    [
        ([_sidecar("['./*']", namespace="istio-system")], ["outbound|80||a.example.com"]),
        (
            [_sidecar("['shop/b.example.com']"), _sidecar("['./*']", namespace="istio-system")],
            ["outbound|80||b.example.com"],
        ),
        (
            [
                _sidecar("['shop/b.example.com']"),
                manifest("Sidecar", "mine", "workloadSelector: {labels: {app: client}}\negress: [{hosts: ['./*']}]"),
            ],
            ["outbound|80||a.example.com"],
        ),
    ],
    ids=["root", "own namespace before root", "selecting before the namespace's"],
)
def test_one_sidecar_holds_for_a_workload(sidecars: list[str], expected: list[str]) -> None:
    assert compiled(*WORLD, *sidecars).outbound() == expected


def test_an_empty_outbound_policy_means_registry_only() -> None:
    node = compiled(manifest("Sidecar", "s", "outboundTrafficPolicy: {}"))
    (listener,) = node.plan.listeners
    catch_all = listener.filter_chains[-1].filters[-1].typed_config

    assert getattr(catch_all, "cluster", None) == "BlackHoleCluster"
