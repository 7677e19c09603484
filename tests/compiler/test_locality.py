from __future__ import annotations

import pytest

from .nodes import addresses, compiled, manifest

CLIENT = """\
apiVersion: v1
kind: Pod
metadata:
  name: client
  namespace: default
  labels: {app: client, istio-locality: eu.west.1, topology.kubernetes.io/region: eu}
spec: {containers: [{name: app}]}
status: {podIP: 10.0.0.9}
"""
ENTRY = manifest(
    "ServiceEntry",
    "a",
    """
    hosts: [a.example]
    ports: [{number: 80, name: http, protocol: HTTP}]
    resolution: STATIC
    endpoints:
    - {address: 10.1.1.1, locality: us/east}
    - {address: 10.1.1.2, locality: eu/west}
    - {address: 10.1.1.3, locality: eu/east}
    - {address: 10.1.1.4, locality: ap}
    """,
)


def _rule(policy: str) -> str:
    return manifest("DestinationRule", "r", f"host: a.example\ntrafficPolicy:\n{policy}")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("  loadBalancer: {simple: RANDOM}", ["10.1.1.4:80", "10.1.1.3:80", "10.1.1.2:80", "10.1.1.1:80"]),
        ("  outlierDetection: {}", ["10.1.1.4:80@1", "10.1.1.3:80", "10.1.1.2:80", "10.1.1.1:80@1"]),
        (
            "  outlierDetection: {}\n  loadBalancer: {localityLbSetting: {failover: [{from: eu, to: ap}]}}",
            ["10.1.1.4:80@1", "10.1.1.3:80", "10.1.1.2:80", "10.1.1.1:80@2"],
        ),
        (
            "  outlierDetection: {}\n  loadBalancer: {localityLbSetting: {enabled: false}}",
            ["10.1.1.4:80", "10.1.1.3:80", "10.1.1.2:80", "10.1.1.1:80"],
        ),
        (
            "  outlierDetection: {}\n"
            "  loadBalancer: {localityLbSetting: {failoverPriority: [topology.kubernetes.io/region]}}",
            ["10.1.1.4:80@1", "10.1.1.3:80", "10.1.1.2:80", "10.1.1.1:80@1"],
        ),
    ],
    ids=["no ejection", "nearer first", "to one region", "switched off", "by label"],
)
def test_nearer_endpoints_have_priority_where_endpoints_are_ejected(policy: str, expected: list[str]) -> None:
    node = compiled(ENTRY, _rule(policy), client=CLIENT.replace("istio-locality: eu.west.1, ", ""))

    assert addresses(node.cluster("outbound|80||a.example")) == expected


def test_weights_are_distributed_and_localities_without_a_share_lose_their_endpoints() -> None:
    policy = """\
  loadBalancer:
    localityLbSetting:
      distribute: [{from: 'eu/*', to: {'eu/*': 80, us: 20}}]
"""
    cluster = compiled(ENTRY, _rule(policy), client=CLIENT).cluster("outbound|80||a.example")
    assert cluster.load_assignment is not None
    weights = {
        item.locality.region + item.locality.zone: (item.load_balancing_weight, len(item.lb_endpoints))
        for item in cluster.load_assignment.endpoints
        if item.locality is not None
    }

    assert weights == {"ap": (1, 0), "eueast": (40, 1), "euwest": (40, 1), "useast": (20, 1)}


# Istio pilot/pkg/serviceregistry/kube/controller/controller.go, Network: label, system namespace, mesh networks.
def test_pods_are_in_the_network_that_the_namespace_of_istiod_names() -> None:
    system = (
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system, labels: {topology.istio.io/network: one}}\n"
    )
    pod = """\
        apiVersion: v1
        kind: Pod
        metadata: {{name: {0}, namespace: default, labels: {{app: web{2}}}}}
        spec: {{containers: [{{name: app}}]}}
        status: {{podIP: {1}, conditions: [{{type: Ready, status: "True"}}]}}
    """
    entry = """
        hosts: [a.example]
        ports: [{number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        workloadSelector: {labels: {app: web}}
    """
    rule = """
        host: a.example
        trafficPolicy:
          outlierDetection: {interval: 1s}
          loadBalancer: {localityLbSetting: {failoverPriority: [topology.istio.io/network]}}
    """
    node = compiled(
        system,
        pod.format("here", "10.244.0.3", ""),
        pod.format("there", "10.244.0.4", ", topology.istio.io/network: two"),
        manifest("ServiceEntry", "a", entry),
        manifest("DestinationRule", "r", rule),
        client=CLIENT.replace("{app: client,", "{app: client, topology.istio.io/network: one,"),
    )

    assert addresses(node.cluster("outbound|80||a.example")) == ["10.244.0.3:80", "10.244.0.4:80@1"]
