from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.plan.cluster import Cluster

from .nodes import Compiled, compiled, manifest
from .sidecars import mesh, service_entry

ENTRY = service_entry("a.example.com", "80/HTTP")


def _timeout(seconds: int, host: str = "a.example.com", more: str = "") -> str:
    return f"host: '{host}'\ntrafficPolicy: {{connectionPool: {{tcp: {{connectTimeout: {seconds}s}}}}}}\n{more}"


def _seconds(cluster: Cluster) -> int:
    assert cluster.connect_timeout is not None
    return cluster.connect_timeout // timedelta(seconds=1)


def _chosen(node: Compiled) -> int:
    return _seconds(node.cluster("outbound|80||a.example.com"))


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], 10),
        ([manifest("DestinationRule", "r", _timeout(1))], 1),
        ([manifest("DestinationRule", "r", _timeout(1, "*.example.com"))], 1),
        (
            [
                manifest("DestinationRule", "r", _timeout(1, "*.com")),
                manifest("DestinationRule", "s", _timeout(2, "*.example.com")),
            ],
            2,
        ),
        (
            [
                manifest("DestinationRule", "r", _timeout(1, "*.example.com")),
                manifest("DestinationRule", "s", _timeout(2)),
            ],
            2,
        ),
        ([manifest("DestinationRule", "r", _timeout(1), namespace="istio-system")], 1),
        ([manifest("DestinationRule", "r", _timeout(1), namespace="shop")], 10),
        (
            [
                manifest("DestinationRule", "r", _timeout(1), namespace="istio-system"),
                manifest("DestinationRule", "s", _timeout(2, "*.com")),
            ],
            2,
        ),
        ([manifest("DestinationRule", "r", _timeout(1, more="exportTo: [.]"), namespace="istio-system")], 10),
    ],
    ids=[
        "none",
        "exact",
        "pattern",
        "longer pattern",
        "exact before pattern",
        "root namespace",
        "foreign namespace",
        "own before root",
        "root kept private",
    ],
)
def test_the_nearest_namespace_with_the_most_specific_host_decides(rules: list[str], expected: int) -> None:
    assert _chosen(compiled(ENTRY, *rules)) == expected


def test_of_two_rules_for_one_host_the_older_policy_counts_subsets_add_up_and_both_are_told() -> None:
    subset = "subsets: [{{name: {0}, labels: {{version: {0}}}}}]"
    spec = "hosts: [a.example.com]\nports: [{number: 80, name: http, protocol: HTTP}]\nresolution: STATIC\n"
    node = compiled(
        manifest("ServiceEntry", "a", spec + "endpoints: [{address: 10.1.1.1, labels: {version: v1}}]"),
        manifest("DestinationRule", "late", _timeout(2, more=subset.format("v2"))),
        manifest("DestinationRule", "early", _timeout(1, more=subset.format("v1"))),
    )

    assert node.outbound() == [f"outbound|80|{name}|a.example.com" for name in ("v1", "v2", "")]
    assert _chosen(node) == 1
    assert "SBX0414" in node.codes


def test_a_rule_that_selects_the_workload_comes_before_one_for_all() -> None:
    selecting = "workloadSelector: {matchLabels: {app: client}}"
    foreign = "workloadSelector: {matchLabels: {app: other}}"
    node = compiled(
        ENTRY,
        manifest("DestinationRule", "all", _timeout(1)),
        manifest("DestinationRule", "mine", _timeout(2, more=selecting)),
        manifest("DestinationRule", "theirs", _timeout(3, more=foreign)),
    )

    assert _chosen(node) == 2


def test_a_port_level_policy_replaces_the_general_one_and_inherits_nothing() -> None:
    rule = """
        host: a.example.com
        trafficPolicy:
          connectionPool: {tcp: {connectTimeout: 1s}}
          loadBalancer: {simple: RANDOM}
          portLevelSettings:
          - {port: {number: 80}, loadBalancer: {simple: ROUND_ROBIN}}
    """
    node = compiled(service_entry("a.example.com", "80/HTTP", "81/HTTP"), manifest("DestinationRule", "r", rule))

    assert (_chosen(node), node.cluster("outbound|80||a.example.com").lb_policy) == (10, "ROUND_ROBIN")
    other = node.cluster("outbound|81||a.example.com")
    assert (_seconds(other), other.lb_policy) == (1, "RANDOM")


def test_a_subset_replaces_block_by_block() -> None:
    rule = """
        host: a.example.com
        trafficPolicy:
          connectionPool: {tcp: {connectTimeout: 1s}}
          loadBalancer: {simple: RANDOM}
        subsets:
        - {name: v1, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
    """
    subset = compiled(ENTRY, manifest("DestinationRule", "r", rule)).cluster("outbound|80|v1|a.example.com")

    assert (_seconds(subset), subset.lb_policy) == (1, "ROUND_ROBIN")


def test_the_mesh_gives_blocks_that_a_rule_leaves_out() -> None:
    settings = mesh("defaultTrafficPolicy: {connectionPool: {tcp: {connectTimeout: 4s}}}")

    assert _chosen(compiled(ENTRY, settings)) == 4
    assert _chosen(compiled(ENTRY, settings, manifest("DestinationRule", "r", _timeout(1)))) == 1


def test_a_subset_without_endpoints_has_no_cluster_where_names_are_resolved_and_it_is_told() -> None:
    spec = "hosts: [a.example.com]\nports: [{number: 80, name: http, protocol: HTTP}]\nresolution: DNS\n"
    node = compiled(
        manifest("ServiceEntry", "a", spec + "endpoints: [{address: b.example, labels: {version: v1}}]"),
        manifest("DestinationRule", "r", "host: a.example.com\nsubsets: [{name: v2, labels: {version: v2}}]"),
    )

    assert node.outbound() == ["outbound|80||a.example.com"]
    assert node.codes == ["SBX0401"]


def test_a_cluster_names_the_lines_that_decided_it() -> None:
    node = compiled(ENTRY, manifest("DestinationRule", "r", _timeout(1)))
    reasons = {reason.what: str(reason.origin) for reason in node.cluster("outbound|80||a.example.com").because}

    assert reasons == {"port": "1.yaml:6", "resolution": "1.yaml:7", "connection pool": "2.yaml:8"}


# Istio pilot/pkg/model/push_context.go, setDestinationRules: ResolveShortnameToFQDN(rule.Host, configs[i].Meta).
def test_short_hosts_are_completed_with_the_domain_of_the_cluster() -> None:
    domain = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n" + (
        "spec: {values: {global: {proxy: {clusterDomain: corp.example}}}}\n"
    )
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\n" + (
        "spec: {clusterIP: 10.96.0.7, ports: [{name: http, port: 80}]}\n"
    )
    node = compiled(domain, service, manifest("DestinationRule", "r", _timeout(3, "web")))

    assert _seconds(node.cluster("outbound|80||web.default.svc.corp.example")) == 3


# Istio pilot/pkg/model/destination_rule.go, mergeDestinationRule, without the enhanced merge.
def test_without_the_enhanced_merge_a_rule_for_all_stands_beside_one_that_selects() -> None:
    plain = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n" + (
        "spec: {values: {pilot: {env: {ENABLE_ENHANCED_DESTINATIONRULE_MERGE: 'false'}}}}\n"
    )
    rules = (
        manifest("DestinationRule", "all", _timeout(1)),
        manifest("DestinationRule", "theirs", _timeout(3, more="workloadSelector: {matchLabels: {app: other}}")),
    )

    assert _chosen(compiled(plain, ENTRY, *rules)) == 1
