from __future__ import annotations

from datetime import timedelta
from textwrap import dedent

import pytest

from sandbox.compiler.find_proxy import find_proxy
from sandbox.compiler.proxy import Proxy
from sandbox.istio.load import load_texts

from .nodes import manifest
from .sidecars import mesh

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: client
  namespace: default
  labels: {app: client}
  annotations: {%s}
spec:
  serviceAccountName: sleep
  nodeName: node-1
  containers: [{name: app}]
status: {podIP: 10.0.0.9, podIPs: [{ip: 10.0.0.9}, {ip: 'fd00::9'}]}
"""
NODE = """\
apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: west}}
"""


def _proxy(*documents: str, annotations: str = "", workload: str = "default/client") -> Proxy:
    files = [(f"{place}.yaml", text) for place, text in enumerate((POD % annotations, *documents))]
    proxy = find_proxy(load_texts(files), workload)
    assert proxy is not None
    return proxy


def test_a_pod_says_who_the_proxy_is() -> None:
    proxy = _proxy(NODE)

    assert (proxy.workload, proxy.service_account, proxy.dns_domain) == (
        "default/client",
        "sleep",
        "default.svc.cluster.local",
    )
    assert (proxy.region, proxy.zone, proxy.ip_addresses) == ("eu", "west", ("10.0.0.9", "fd00::9"))
    assert proxy.supports_ipv4
    assert proxy.supports_ipv6
    assert proxy.labels["kubernetes.io/hostname"] == "node-1"


@pytest.mark.parametrize(
    ("documents", "annotation", "expected"),
    [
        ([], "", None),
        ([mesh("defaultConfig: {proxyMetadata: {ISTIO_META_IDLE_TIMEOUT: 1s}}")], "", 1),
        ([manifest("ProxyConfig", "p", "environmentVariables: {ISTIO_META_IDLE_TIMEOUT: 2s}", "istio-system")], "", 2),
        (
            [
                manifest("ProxyConfig", "p", "environmentVariables: {ISTIO_META_IDLE_TIMEOUT: 2s}", "istio-system"),
                manifest("ProxyConfig", "q", "environmentVariables: {ISTIO_META_IDLE_TIMEOUT: 3s}"),
            ],
            "",
            3,
        ),
        (
            [manifest("ProxyConfig", "q", "environmentVariables: {ISTIO_META_IDLE_TIMEOUT: 3s}")],
            "proxy.istio.io/config: 'proxyMetadata: {ISTIO_META_IDLE_TIMEOUT: 4s}'",
            4,
        ),
        (
            [
                manifest(
                    "ProxyConfig",
                    "q",
                    "selector: {matchLabels: {app: client}}\nenvironmentVariables: {ISTIO_META_IDLE_TIMEOUT: 5s}",
                )
            ],
            "proxy.istio.io/config: 'proxyMetadata: {ISTIO_META_IDLE_TIMEOUT: 4s}'",
            5,
        ),
        ([], "proxy.istio.io/config: 'proxyMetadata: {ISTIO_META_IDLE_TIMEOUT: soon}'", None),
    ],
    ids=["nothing", "mesh", "root", "namespace", "annotation", "selecting", "no duration"],
)
def test_settings_come_from_mesh_root_namespace_annotation_and_selecting_resources(
    documents: list[str], annotation: str, expected: int | None
) -> None:
    seconds = None if expected is None else timedelta(seconds=expected)

    assert _proxy(*documents, annotations=annotation).metadata.idle_timeout == seconds


@pytest.mark.parametrize(
    ("annotations", "mode"),
    [
        ("", "REDIRECT"),
        ("sidecar.istio.io/interceptionMode: NONE", "NONE"),
        ("proxy.istio.io/config: 'interceptionMode: TPROXY'", "TPROXY"),
        ("sidecar.istio.io/interceptionMode: other", "REDIRECT"),
    ],
)
def test_the_interception_mode_is_the_annotations_else_the_settings(annotations: str, mode: str) -> None:
    assert _proxy(annotations=annotations).metadata.interception_mode == mode


def test_an_annotations_zero_leaves_the_meshs_setting() -> None:
    """Istio's ``mergeWithPrecedence`` (model/proxy_config.go) merges YAML in which a zero does not stand."""
    none = mesh("defaultConfig: {interceptionMode: NONE, statusPort: 0}")
    proxy = _proxy(none, annotations="proxy.istio.io/config: 'interceptionMode: REDIRECT'")

    assert (proxy.metadata.interception_mode, proxy.metadata.status_port) == ("NONE", 15020)


def test_an_annotation_with_headers_keeps_only_some_of_the_meshs() -> None:
    """Istio's ``correctProxyHeaders`` (pkg/config/mesh/mesh.go) knows the first headers there were, not the later."""
    headers = "requestId: {disabled: true}, attemptCount: {disabled: true}, xForwardedPort: {enabled: true}"
    proxy = _proxy(
        mesh(f"defaultConfig: {{proxyHeaders: {{{headers}, preserveHttp1HeaderCase: true}}}}"),
        annotations="proxy.istio.io/config: 'proxyHeaders: {server: {value: us}, attemptCount: {disabled: false}}'",
    )
    found = proxy.metadata.proxy_config.proxy_headers

    assert found is not None
    assert found.server is not None
    assert found.server.value == "us"
    assert found.request_id is not None
    assert found.attempt_count is not None
    assert (found.request_id.disabled, found.attempt_count.disabled) == (True, False)
    assert (found.x_forwarded_port, found.preserve_http1_header_case) == (None, None)


def test_a_deployment_stands_for_its_pods() -> None:
    deployment = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: app}]}
"""
    proxy = _proxy(deployment, workload="shop/web")

    assert (proxy.labels["app"], proxy.service_account, proxy.supports_ipv4) == ("web", "web", True)


def test_a_workload_that_nobody_knows_is_none() -> None:
    assert find_proxy(load_texts([]), "default/nobody") is None


# Istio pilot/pkg/serviceregistry/kube/controller (GetProxyWorkloadLabels), pilot/pkg/xds/ads.go (setTopologyLabels).
@pytest.mark.parametrize(
    ("labels", "node", "expected"),
    [
        ("topology.kubernetes.io/region: eu", "", ("eu", "", "")),
        ("istio-locality: eu.west.1", "", ("eu", "west", "1")),
        ("istio-locality: eu.west, topology.kubernetes.io/region: us", "", ("eu", "west", "")),
        ("app: client", "n1", ("us", "east", "")),
        ("istio-locality: eu, topology.kubernetes.io/zone: z", "n1", ("eu", "z", "")),
        ("topology.istio.io/subzone: rack", "n1", ("us", "east", "rack")),
    ],
)
def test_the_locality_of_a_proxy_is_its_label_else_its_nodes_over_the_topology_labels_it_has(
    labels: str, node: str, expected: tuple[str, str, str]
) -> None:
    pod = f"""\
        apiVersion: v1
        kind: Pod
        metadata: {{name: client, namespace: default, labels: {{{labels}}}}}
        spec: {{nodeName: '{node}', containers: [{{name: app}}]}}
    """
    machine = """\
        apiVersion: v1
        kind: Node
        metadata: {name: n1, labels: {topology.kubernetes.io/region: us, topology.kubernetes.io/zone: east}}
    """
    proxy = find_proxy(load_texts([("pod.yaml", dedent(pod)), ("node.yaml", dedent(machine))]), "default/client")

    assert proxy is not None
    assert (proxy.region, proxy.zone, proxy.sub_zone) == expected
