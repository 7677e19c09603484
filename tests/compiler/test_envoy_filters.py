"""EnvoyFilter at gateways: which patches are applied, to what, and what becomes of the others."""

from __future__ import annotations

import textwrap

import pytest

from sandbox.compiler import PushContext, compile_node, find_proxy
from sandbox.istio.load import load_texts
from sandbox.plan import NodePlan
from sandbox.plan.base import EnvoyInternalAddress
from sandbox.plan.listener import TcpProxy
from sandbox.yaml_source.problems import Problem

MESH = """\
apiVersion: v1
kind: Pod
metadata: {name: gateway, namespace: istio-system, labels: {istio: egressgateway}}
status: {podIP: 10.1.1.1}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: out, namespace: istio-system}
spec:
  selector: {istio: egressgateway}
  servers:
  - {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ["*"]}
  - {port: {number: 9001, name: tcp-more, protocol: TCP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: out, namespace: istio-system}
spec:
  hosts: ["*"]
  gateways: [out]
  tcp:
  - match: [{port: 9000}]
    route: [{destination: {host: a.example.com}, weight: 50}, {destination: {host: b.example.com}, weight: 50}]
  - match: [{port: 9001}]
    route: [{destination: {host: a.example.com}}]
---
"""
TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
CLUSTER = "{applyTo: CLUSTER, match: {context: GATEWAY}, patch: {operation: ADD, value: {name: added}}}"
LISTENER = (
    "{applyTo: LISTENER, match: {context: GATEWAY},"
    " patch: {operation: ADD, value: {name: inside, internalListener: {}}}}"
)


def tcp_proxy(fields: str, listener: str = "{}", context: str = "GATEWAY", more: str = "") -> str:
    return (
        f"{{applyTo: NETWORK_FILTER, match: {{context: {context}, listener: {listener}{more}}},"
        f' patch: {{operation: MERGE, value: {{typed_config: {{"@type": {TCP_PROXY}, {fields}}}}}}}}}'
    )


def envoy_filter(*patches: str, name: str = "patch", namespace: str = "istio-system", more: str = "") -> str:
    listed = "".join(f"  - {patch}\n" for patch in patches)
    kind = "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n"
    head = f"{kind}metadata: {{name: {name}, namespace: {namespace}}}\n"
    return f"{head}spec:\n{textwrap.indent(more, '  ')}  configPatches:\n{listed}---\n"


def gateway(*texts: str) -> tuple[NodePlan, list[Problem]]:
    configuration = load_texts([("mesh.yaml", MESH + "".join(texts))])
    push = PushContext(configuration)
    proxy = find_proxy(configuration, "istio-system/gateway", "router")
    assert proxy is not None
    plan = compile_node(push, proxy)
    return plan, [*configuration.problems, *push.problems]


def clusters_of(plan: NodePlan) -> dict[str, str | None]:
    """By listener, the cluster of its TCP proxy."""
    proxies = {
        listener.name: network_filter.typed_config
        for listener in plan.listeners
        for chain in listener.filter_chains
        for network_filter in chain.filters
        if isinstance(network_filter.typed_config, TcpProxy)
    }
    return {name: None if proxy.weighted_clusters is not None else proxy.cluster for name, proxy in proxies.items()}


def is_applied(plan: NodePlan, problems: list[Problem]) -> bool:
    codes = [problem.code for problem in problems if problem.code == "SBX0202"]
    assert ("added" in plan.clusters) is (not codes)
    return not codes


ROWS = {
    "an added cluster": (envoy_filter(CLUSTER), True),
    "an internal listener beside it": (envoy_filter(CLUSTER, LISTENER), True),
    "a change of the TCP proxy": (envoy_filter(CLUSTER, tcp_proxy("cluster: added")), True),
    "for its own labels": (envoy_filter(CLUSTER, more="workloadSelector: {labels: {istio: egressgateway}}\n"), True),
    "a field that the plan does not have": (
        envoy_filter(CLUSTER.replace("name: added", "name: added, lrs_report_endpoint_metrics: [x]")),
        False,
    ),
    "a value of another form": (envoy_filter(CLUSTER.replace("name: added", "name: added, load_assignment: 5")), False),
    "an extension that the plan does not have": (
        envoy_filter(CLUSTER, tcp_proxy('access_log: [{name: x, typed_config: {"@type": type.googleapis.com/x.Y}}]')),
        False,
    ),
    "any context": (envoy_filter(CLUSTER.replace("GATEWAY", "ANY")), False),
    "a sidecar's": (envoy_filter(CLUSTER, tcp_proxy("cluster: added", context="SIDECAR_OUTBOUND")), False),
    "one of a proxy's version": (
        envoy_filter(CLUSTER, tcp_proxy("cluster: added", more=", proxy: {proxyVersion: '^1.*'}")),
        False,
    ),
    "a listener with a port": (envoy_filter(CLUSTER, LISTENER.replace(", internalListener: {}", "")), False),
    "a removal": (
        envoy_filter(CLUSTER, "{applyTo: CLUSTER, match: {context: GATEWAY}, patch: {operation: REMOVE}}"),
        False,
    ),
    "a filter that is inserted": (
        envoy_filter(CLUSTER, tcp_proxy("cluster: added").replace("MERGE", "INSERT_BEFORE")),
        False,
    ),
}


@pytest.mark.parametrize(("text", "applied"), ROWS.values(), ids=list(ROWS))
def test_an_envoy_filter_is_applied_as_a_whole_or_reported(text: str, applied: bool) -> None:
    assert is_applied(*gateway(text)) is applied


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        pytest.param(tcp_proxy("clustr: a"), "TcpProxy has no field clustr", id="a misspelt field"),
        pytest.param(CLUSTER.replace("name: added", "name: a, connect_timeout: [1]"), "not of the type", id="a list"),
        pytest.param(LISTENER.replace("name: inside", "filter_chains: 5"), "not of the type", id="no list"),
    ],
)
def test_a_patch_that_cannot_be_read_is_told_at_its_line(patch: str, said: str) -> None:
    _, problems = gateway(envoy_filter(CLUSTER, patch))

    (problem,) = [problem for problem in problems if problem.code == "SBX0202"]
    assert problem.message.startswith("EnvoyFilter istio-system/patch is not applied: ")
    assert said in problem.message
    assert problem.path.endswith("configPatches[1]")


def test_names_that_a_map_gives_its_values_stay_as_they_are() -> None:
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    added = (
        f'name: added, typedExtensionProtocolOptions: {{{options}: {{"@type": type.googleapis.com/{options},'
        " explicitHttpConfig: {http2ProtocolOptions: {}}}}, metadata: {filterMetadata: {myFilter: {someKey: 1}}}"
    )

    plan, problems = gateway(envoy_filter(CLUSTER.replace("name: added", added)))

    assert [problem.message for problem in problems if problem.code == "SBX0202"] == []
    cluster = plan.clusters["added"]
    assert list(cluster.typed_extension_protocol_options or {}) == [options]
    assert cluster.metadata is not None
    assert cluster.metadata.filter_metadata == {"myFilter": {"someKey": 1}}


def test_a_filter_of_other_pods_or_another_namespace_is_not_this_gateway_s() -> None:
    elsewhere = envoy_filter(CLUSTER, namespace="default")
    others = envoy_filter(CLUSTER, name="others", more="workloadSelector: {labels: {app: other}}\n")

    plan, problems = gateway(elsewhere, others)

    assert "added" not in plan.clusters
    assert "SBX0202" not in [problem.code for problem in problems]


@pytest.mark.parametrize(
    ("listener", "changed"),
    [
        pytest.param("{}", ["0.0.0.0_9000", "0.0.0.0_9001"], id="every listener's"),
        pytest.param("{portNumber: 9001}", ["0.0.0.0_9001"], id="of a port"),
        pytest.param("{name: 0.0.0.0_9000}", ["0.0.0.0_9000"], id="of a name"),
        pytest.param("{filterChain: {filter: {name: envoy.filters.network.tcp_proxy}}}", None, id="of a filter"),
        pytest.param("{filterChain: {filter: {name: mixer}}}", [], id="of a filter that is not there"),
        pytest.param("{filterChain: {sni: a.example.com}}", [], id="of a server name"),
        pytest.param("{filterChain: {applicationProtocols: istio}}", [], id="of an application protocol"),
        pytest.param("{filterChain: {destinationPort: 9000}}", [], id="of a chain for a port"),
    ],
)
def test_which_tcp_proxies_a_change_is_for(listener: str, changed: list[str] | None) -> None:
    before = clusters_of(gateway()[0])

    after = clusters_of(gateway(envoy_filter(CLUSTER, LISTENER, tcp_proxy("cluster: added", listener)))[0])

    names = [name for name, cluster in after.items() if cluster == "added"]
    assert names == (list(before) if changed is None else changed)


OWN = "workloadSelector: {labels: {istio: egressgateway}}\n"


@pytest.mark.parametrize(
    ("listener", "more", "severity", "why"),
    [
        pytest.param(
            "{portNumber: 443}", OWN, "warning", "it has only the listeners 0.0.0.0_9000, 0.0.0.0_9001", id="a port"
        ),
        pytest.param(
            "{portNumber: 9001, filterChain: {sni: a.example.com}}",
            OWN,
            "warning",
            "no filter chain of 0.0.0.0_9001 has what filterChain asks for",
            id="a chain",
        ),
        pytest.param(
            "{portNumber: 9001, filterChain: {filter: {name: mixer}}}",
            OWN,
            "warning",
            "the filters of 0.0.0.0_9001 are envoy.filters.network.tcp_proxy",
            id="a filter",
        ),
        pytest.param(
            "{portNumber: 443}", "", "info", "it has only the listeners 0.0.0.0_9000, 0.0.0.0_9001", id="of any gateway"
        ),
    ],
)
def test_a_patch_that_fits_nothing_is_told_with_how_far_it_gets(
    listener: str, more: str, severity: str, why: str
) -> None:
    _, problems = gateway(envoy_filter(CLUSTER, tcp_proxy("cluster: added", listener), more=more))

    (problem,) = [problem for problem in problems if problem.code == "SBX0546"]
    assert problem.severity == severity
    assert problem.message == (
        f"the patch fits no TCP proxy of the gateway istio-system/gateway, and changes nothing: {why}"
    )
    assert problem.path.endswith("configPatches[1]")


def test_the_cluster_of_a_change_takes_the_place_of_weighted_ones_and_other_fields_stay() -> None:
    plan, _ = gateway(envoy_filter(CLUSTER, tcp_proxy("cluster: added, max_connect_attempts: 7")))

    (proxy, *_) = (chain.filters[-1].typed_config for listener in plan.listeners for chain in listener.filter_chains)
    assert isinstance(proxy, TcpProxy)
    assert (proxy.cluster, proxy.weighted_clusters, proxy.max_connect_attempts) == ("added", None, 7)
    assert proxy.stat_prefix
    assert str(proxy.because[-1].origin).startswith("mesh.yaml:")


def test_a_later_filter_changes_what_an_earlier_one_has_changed() -> None:
    first = envoy_filter(CLUSTER, tcp_proxy("cluster: first"), name="a", more="priority: -1\n")
    second = envoy_filter(CLUSTER, tcp_proxy("cluster: second"), name="b", more="priority: -2\n")

    assert set(clusters_of(gateway(first, second)[0]).values()) == {"first"}


def test_an_internal_address_is_one_of_envoy_s() -> None:
    to_listener = CLUSTER.replace(
        "name: added",
        "name: added, load_assignment: {cluster_name: added, endpoints: [{lb_endpoints: [{endpoint: {address:"
        " {envoy_internal_address: {server_listener_name: inside}}}}]}]}",
    )

    plan, _ = gateway(envoy_filter(to_listener, LISTENER))

    assignment = plan.clusters["added"].load_assignment
    assert assignment is not None
    endpoint = assignment.endpoints[0].lb_endpoints[0].endpoint
    assert endpoint is not None
    assert isinstance(endpoint.address, EnvoyInternalAddress)
    assert endpoint.address.path == "envoy://inside/"
    assert plan.listeners[-1].name == "inside"
