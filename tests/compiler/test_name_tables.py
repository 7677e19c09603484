from __future__ import annotations

import pytest

from .nodes import compiled, manifest
from .sidecars import CLIENT, service_entry

CAPTURING = CLIENT.replace(
    "  labels: {app: client}\n",
    "  labels: {app: client}\n"
    "  annotations:\n    proxy.istio.io/config: 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: \"true\"}'\n",
)
KUBERNETES = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.7, ports: [{name: http, port: 80}]}
"""


def test_allocated_addresses_are_told_only_where_dns_is_captured() -> None:
    entry = service_entry("a.example", "80/HTTP")

    assert dict(compiled(entry).plan.name_table.hosts) == {}
    assert compiled(entry, client=CAPTURING).plan.name_table.hosts["a.example"].addresses == ("240.240.0.1",)


def test_own_addresses_are_told_but_blocks_are_not() -> None:
    spec = "hosts: [a.example]\naddresses: [10.5.5.5, 10.6.0.0/16]\nports: [{number: 80, name: http, protocol: HTTP}]"
    table = compiled(manifest("ServiceEntry", "a", f"{spec}\nresolution: NONE"), KUBERNETES).plan.name_table

    assert table.hosts["a.example"].addresses == ("10.5.5.5",)
    entry = table.hosts["web.shop.svc.cluster.local"]
    assert (entry.addresses, entry.short_name, entry.namespace) == (("10.96.0.7",), "web", "shop")


@pytest.mark.parametrize(("flag", "told"), [("false", ("10.96.0.7",)), ("true", ("10.96.0.7", "fd01::7"))])
def test_of_two_families_the_first_is_told_unless_istiod_serves_both(flag: str, told: tuple[str, ...]) -> None:
    dual = CAPTURING.replace("  podIP: 10.0.0.9\n", "  podIP: 10.0.0.9\n  podIPs: [{ip: 10.0.0.9}, {ip: 'fd00::9'}]\n")
    service = KUBERNETES.replace("clusterIP: 10.96.0.7,", "clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7, 'fd01::7'],")
    env = f"spec: {{values: {{pilot: {{env: {{ISTIO_DUAL_STACK: '{flag}'}}}}}}}}"
    operator = f"apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {{name: i}}\n{env}\n"
    table = compiled(service, operator, client=dual).plan.name_table

    assert table.hosts["web.shop.svc.cluster.local"].addresses == told


def test_services_that_a_sidecar_hides_are_not_in_the_table() -> None:
    hidden = manifest("Sidecar", "s", "egress: [{hosts: ['./*']}]")

    assert dict(compiled(KUBERNETES, hidden).plan.name_table.hosts) == {}


def _headless(name: str, port: int, more: str) -> str:
    return manifest(
        "ServiceEntry",
        name,
        "hosts: [h.example]\nresolution: NONE\nlocation: MESH_INTERNAL\n"
        f"ports: [{{number: {port}, name: tcp-{port}, protocol: TCP}}]\n" + more,
    )


POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {0}, namespace: default, labels: {{app: web{2}}}}}
spec: {{containers: [{{name: app}}]}}
status: {{podIP: {1}, conditions: [{{type: Ready, status: "True"}}]}}
"""


SELECTING = "workloadSelector: {labels: {app: web}}"


# Istio pkg/dns/server/name_table.go: push.ServiceEndpoints(svc.Key()) has the ports of all objects of the host.
def test_every_entry_of_a_headless_host_adds_the_pods_of_all_of_them() -> None:
    other = "workloadSelector: {labels: {app: db}}"
    pods = POD.format("web", "10.244.0.3", ""), POD.format("db", "10.244.0.4", "").replace("app: web", "app: db")
    table = compiled(_headless("a", 80, SELECTING), _headless("b", 81, other), *pods).plan.name_table

    assert table.hosts["h.example"].addresses == ("10.244.0.3", "10.244.0.4") * 2


def test_endpoints_nobody_knows_to_be_healthy_have_no_name() -> None:
    endpoints = "endpoints: [{address: 10.1.1.1}]"

    assert "h.example" not in compiled(_headless("a", 80, endpoints)).plan.name_table.hosts


def test_pods_of_another_network_have_no_name() -> None:
    network = ", topology.istio.io/network: "
    client = CLIENT.replace("labels: {app: client}", "labels: {app: client, topology.istio.io/network: one}")
    here, there = POD.format("w1", "10.244.0.3", f"{network}one"), POD.format("w2", "10.244.0.4", f"{network}two")
    table = compiled(_headless("a", 80, SELECTING), here, there, client=client).plan.name_table

    assert table.hosts["h.example"].addresses == ("10.244.0.3",)
