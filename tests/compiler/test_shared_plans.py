"""Sidecars that are told the same share what they are told."""

from __future__ import annotations

import pytest

from sandbox.compiler import compile_node, find_proxy
from sandbox.compiler.push_context import PushContext
from sandbox.istio.load import load_texts
from sandbox.plan import NodePlan

from .nodes import manifest
from .sidecars import service_entry, virtual_service


def pod(name: str, address: str, version: str) -> str:
    return f"""\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default, labels: {{app: {name}, version: {version}}}}}
spec: {{containers: [{{name: app}}]}}
status: {{podIP: {address}}}
"""


PODS = (pod("one", "10.0.0.1", "v1"), pod("two", "10.0.0.2", "v1"), pod("three", "10.0.0.3", "v2"))
ENTRY = service_entry("a.example.com", "80/HTTP", "9000/TCP")
FOR_V2 = virtual_service(
    "v2",
    """
    hosts: [a.example.com]
    http:
    - match: [{sourceLabels: {version: v2}}]
      name: only-v2
      route: [{destination: {host: a.example.com}}]
    """,
)
HEADLESS = """\
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec: {clusterIP: None, selector: {app: one}, ports: [{name: tcp, port: 9001}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db, namespace: default, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: tcp, port: 9001}]
endpoints: [{addresses: [10.0.0.1]}]
"""


def plans(*documents: str) -> list[NodePlan]:
    configuration = load_texts([("world.yaml", "---\n".join((*PODS, *documents)))])
    push = PushContext(configuration)
    proxies = [find_proxy(configuration, f"default/{name}") for name in ("one", "two", "three")]
    return [compile_node(push, proxy) for proxy in proxies if proxy is not None]


def test_labels_that_no_condition_names_make_no_difference() -> None:
    one, two, three = plans(ENTRY)
    assert one.listeners is two.listeners is three.listeners
    assert one.route_configurations is two.route_configurations
    assert (one.workload, two.workload) == ("default/one", "default/two")


def test_labels_that_a_route_names_keep_sidecars_apart() -> None:
    one, two, three = plans(ENTRY, FOR_V2)
    assert one.route_configurations is two.route_configurations
    assert one.route_configurations is not three.route_configurations
    host = three.route_configurations["80"].virtual_hosts[0]
    assert [route.name for route in host.routes] == ["only-v2"]


def test_beside_headless_services_each_sidecar_skips_itself() -> None:
    one, two, _ = plans(HEADLESS)
    assert "10.0.0.1_9001" in [listener.name for listener in two.listeners]
    assert "10.0.0.1_9001" not in [listener.name for listener in one.listeners]


def test_clusters_and_names_are_made_once_for_all_who_are_told_the_same() -> None:
    one, two, three = plans(ENTRY, service_entry("b.example.com", "443/TLS", resolution="NONE"))

    assert one.clusters is two.clusters is three.clusters
    assert one.name_table is two.name_table is three.name_table


def test_headless_services_of_others_make_no_difference() -> None:
    one, two, three = plans(HEADLESS)

    assert one.listeners is not two.listeners
    assert two.listeners is three.listeners


def test_selectors_keep_apart_only_whom_they_select() -> None:
    rule = manifest(
        "DestinationRule",
        "for-v2",
        "host: a.example.com\nworkloadSelector: {matchLabels: {version: v2}}\n"
        "trafficPolicy: {loadBalancer: {simple: RANDOM}}",
    )
    foreign = manifest(
        "DestinationRule", "for-nobody", "host: a.example.com\nworkloadSelector: {matchLabels: {app: none}}"
    )
    one, two, three = plans(ENTRY, rule, foreign)

    assert one.clusters is two.clusters
    assert [plan.clusters["outbound|80||a.example.com"].lb_policy for plan in (two, three)] == [
        "LEAST_REQUEST",
        "RANDOM",
    ]


@pytest.mark.parametrize(
    ("rule", "shared"),
    [
        ("loadBalancer: {simple: RANDOM}", True),
        ("outlierDetection: {}\nloadBalancer: {localityLbSetting: {failoverPriority: [version]}}", False),
    ],
)
def test_labels_that_are_compared_with_those_of_endpoints_keep_clusters_apart(rule: str, shared: bool) -> None:
    policy = "".join(f"  {line}\n" for line in rule.splitlines())
    one, _, three = plans(ENTRY, manifest("DestinationRule", "r", f"host: a.example.com\ntrafficPolicy:\n{policy}"))

    assert (one.clusters is three.clusters) is shared


def test_sidecars_elsewhere_have_clusters_of_their_own() -> None:
    configuration = load_texts(
        [
            ("one.yaml", PODS[0].replace("version: v1", "istio-locality: eu.west")),
            ("two.yaml", PODS[1]),
            ("entry.yaml", ENTRY),
        ]
    )
    push = PushContext(configuration)
    one, two = (find_proxy(configuration, f"default/{name}") for name in ("one", "two"))
    assert one is not None
    assert two is not None
    first, second = compile_node(push, one), compile_node(push, two)

    assert first.clusters is not second.clusters
    assert first.listeners is second.listeners
