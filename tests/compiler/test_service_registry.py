from __future__ import annotations

import pytest

from .nodes import addresses, compiled, manifest
from .sidecars import mesh

KUBERNETES_SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.7
  selector: {app: web}
  ports: [{name: http-web, port: 80, targetPort: 8080}]
"""


def _slice(ready: str, more: str = "") -> str:
    return f"""\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
endpoints:
- addresses: [10.244.1.5]
  conditions: {{{ready}}}
{more}
ports: [{{name: http-web, port: 8080}}]
"""


@pytest.mark.parametrize(
    ("resolution", "more", "kind"),
    [
        ("NONE", "", "ORIGINAL_DST"),
        ("STATIC", "endpoints: [{address: 10.1.1.1}]", "EDS"),
        ("DNS", "", "STRICT_DNS"),
        ("DNS_ROUND_ROBIN", "", "LOGICAL_DNS"),
    ],
)
def test_the_resolution_decides_the_type_of_the_cluster(resolution: str, more: str, kind: str) -> None:
    spec = f"hosts: [a.example]\nports: [{{number: 80, name: http, protocol: HTTP}}]\nresolution: {resolution}\n{more}"

    assert compiled(manifest("ServiceEntry", "a", spec)).cluster("outbound|80||a.example").type == kind


def test_an_endpoint_port_comes_from_the_endpoint_then_the_target_port_then_the_number() -> None:
    spec = """
        hosts: [a.example]
        ports:
        - {number: 80, name: http, protocol: HTTP, targetPort: 8080}
        - {number: 81, name: plain, protocol: HTTP}
        resolution: STATIC
        endpoints:
        - {address: 10.1.1.1, ports: {http: 9000}}
        - {address: 10.1.1.2}
        - {address: "unix:///run/a.sock"}
    """
    node = compiled(manifest("ServiceEntry", "a", spec))

    assert addresses(node.cluster("outbound|80||a.example")) == ["10.1.1.1:9000", "10.1.1.2:8080", "/run/a.sock"]
    assert addresses(node.cluster("outbound|81||a.example")) == ["10.1.1.1:81", "10.1.1.2:81", "/run/a.sock"]


def test_entries_of_one_host_and_namespace_add_up_their_endpoints() -> None:
    spec = """
        hosts: [a.example]
        ports: [{{number: 80, name: http, protocol: HTTP}}]
        resolution: STATIC
        endpoints: [{{address: {address}}}]
    """
    node = compiled(
        manifest("ServiceEntry", "one", spec.format(address="10.1.1.1")),
        manifest("ServiceEntry", "two", spec.format(address="10.1.1.2")),
    )

    assert addresses(node.cluster("outbound|80||a.example")) == ["10.1.1.1:80", "10.1.1.2:80"]


def test_entries_of_one_host_that_differ_in_resolution_do_not_add_up_and_it_is_told() -> None:
    ports = "ports: [{{number: {0}, name: p{0}, protocol: HTTP}}]"
    node = compiled(
        manifest("ServiceEntry", "one", f"hosts: [a.example]\nresolution: DNS\n{ports.format(80)}"),
        manifest("ServiceEntry", "two", f"hosts: [a.example]\nresolution: NONE\n{ports.format(81)}"),
    )

    assert node.outbound() == ["outbound|80||a.example"]
    assert "SBX0404" in node.codes


def test_a_selector_picks_ready_pods_and_workload_entries_of_its_namespace() -> None:
    entry = """
        hosts: [a.example]
        ports: [{number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        workloadSelector: {labels: {app: vm}}
    """
    pod = """\
        apiVersion: v1
        kind: Pod
        metadata: {name: vm-pod, namespace: default, labels: {app: vm}}
        spec: {containers: [{name: app}]}
        status: {podIP: 10.244.0.3, conditions: [{type: Ready, status: "True"}]}
    """
    node = compiled(
        manifest("ServiceEntry", "a", entry),
        manifest("WorkloadEntry", "vm", "address: 10.9.9.9\nlabels: {app: vm}"),
        manifest("WorkloadEntry", "named", "address: vm.example\nlabels: {app: vm}"),
        manifest("WorkloadEntry", "elsewhere", "address: 10.9.9.8\nlabels: {app: vm}", namespace="shop"),
        pod,
    )

    assert addresses(node.cluster("outbound|80||a.example")) == ["10.244.0.3:80", "10.9.9.9:80"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ("ready: true", ["10.244.1.5:8080"]),
        ("", ["10.244.1.5:8080"]),
        ("ready: false, terminating: false", ["10.244.1.5:8080"]),
        ("ready: false, terminating: true", []),
    ],
    ids=["ready", "nothing said", "not ready is told as unhealthy", "ending"],
)
def test_endpoint_slices_give_kubernetes_services_their_endpoints(conditions: str, expected: list[str]) -> None:
    cluster = compiled(KUBERNETES_SERVICE, _slice(conditions)).cluster("outbound|80||web.shop.svc.cluster.local")

    assert addresses(cluster) == expected


def test_an_endpoint_of_a_pod_that_nobody_knows_is_left_out() -> None:
    reference = "  targetRef: {kind: Pod, name: gone, namespace: shop}"
    cluster = compiled(KUBERNETES_SERVICE, _slice("ready: true", reference)).cluster(
        "outbound|80||web.shop.svc.cluster.local"
    )

    assert addresses(cluster) == []


@pytest.mark.parametrize(
    ("export_to", "seen"),
    [
        ("", True),
        ("exportTo: ['*']", True),
        ("exportTo: [default]", True),
        ("exportTo: [.]", False),
        ("exportTo: ['~']", False),
    ],
)
def test_export_to_decides_which_namespaces_see_an_entry(export_to: str, seen: bool) -> None:
    spec = f"hosts: [a.example]\nports: [{{number: 80, name: http, protocol: HTTP}}]\nresolution: DNS\n{export_to}"
    node = compiled(manifest("ServiceEntry", "a", spec, namespace="shop"))

    assert ("outbound|80||a.example" in node.plan.clusters) is seen


def test_every_host_without_addresses_gets_one_of_each_family_in_the_order_of_the_documents() -> None:
    spec = "hosts: [{hosts}]\nports: [{{number: 80, name: http, protocol: HTTP}}]\nresolution: {resolution}"
    node = compiled(
        manifest("ServiceEntry", "z", spec.format(hosts="b.example, a.example", resolution="DNS")),
        manifest("ServiceEntry", "none", spec.format(hosts="n.example", resolution="NONE")),
        manifest("ServiceEntry", "a", spec.format(hosts="c.example", resolution="DNS")),
    )
    found = {
        service.host: (service.auto_allocated_ipv4, service.auto_allocated_ipv6) for service in node.push.services()
    }

    assert found == {
        "b.example": ("240.240.0.1", "2001:2::1"),
        "a.example": ("240.240.0.2", "2001:2::2"),
        "c.example": ("240.240.0.3", "2001:2::3"),
        "n.example": ("", ""),
    }


# Istio pilot/pkg/serviceregistry/kube/controller/pod.go: getPortMap, shouldPodBeInEndpoints.
def test_ports_of_native_sidecars_count_but_pods_being_deleted_do_not() -> None:
    entry = """
        hosts: [a.example]
        ports: [{number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        workloadSelector: {labels: {app: vm}}
    """
    pod = """\
        apiVersion: v1
        kind: Pod
        metadata: {{name: {0}, namespace: default, labels: {{app: vm}}{1}}}
        spec:
          containers: [{{name: app}}]
          initContainers:
          - {{name: once, ports: [{{name: http, containerPort: 1}}]}}
          - {{name: stays, restartPolicy: Always, ports: [{{name: http, containerPort: 8080, protocol: TCP}}]}}
        status: {{podIP: {2}, conditions: [{{type: Ready, status: "True"}}]}}
    """
    node = compiled(
        manifest("ServiceEntry", "a", entry),
        pod.format("stays", "", "10.244.0.3"),
        pod.format("goes", ", deletionTimestamp: 2024-01-01T00:00:00Z", "10.244.0.4"),
    )

    assert addresses(node.cluster("outbound|80||a.example")) == ["10.244.0.3:8080"]


TWO_PROTOCOLS = """\
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: shop}
spec:
  clusterIP: 10.96.0.10
  selector: {app: dns}
  ports:
  - {name: dns, port: 53, protocol: UDP, targetPort: 5353}
  - {name: tcp-dns, port: 53, protocol: TCP, targetPort: 5354}
"""


def test_a_host_and_an_address_that_are_written_twice_count_once() -> None:
    spec = "hosts: [a.example, a.example]\nports: [{number: 80, name: http, protocol: HTTP}]\nresolution: DNS\n"
    node = compiled(manifest("ServiceEntry", "a", spec))
    assert addresses(node.cluster("outbound|80||a.example")) == ["a.example:80"]

    node = compiled(manifest("ServiceEntry", "a", f"{spec}addresses: [10.5.5.5, 10.5.5.5/32]\n"))
    assert [service.default_address for service in node.push.services()] == ["10.5.5.5"]


# push_context.go, initServiceRegistry: each object of a host overwrites what the older ones gave for the port.
def test_of_several_objects_for_a_host_the_youngest_says_which_endpoints_a_port_has() -> None:
    old, new = "creationTimestamp: '2024-01-01T00:00:00Z'", "2025-01-01T00:00:00Z"
    headless = KUBERNETES_SERVICE.replace("10.96.0.7", "None").replace("namespace: shop}", f"namespace: shop, {old}}}")
    spec = "hosts: [web.shop.svc.cluster.local]\nports: [{number: 80, name: tls, protocol: TLS}]\nresolution: STATIC\n"
    entry = manifest(
        "ServiceEntry", "w", f"{spec}endpoints: [{{address: 10.9.9.9}}]", "shop", creationTimestamp=f"'{new}'"
    )

    def found(*documents: str) -> list[str]:
        push = compiled(headless, _slice("ready: true"), *documents).push
        service = next(service for service in push.services() if service.is_kubernetes)
        return [endpoint.addresses[0] for endpoint in push.endpoints_of(service, 80)]

    assert found() == ["10.244.1.5"]
    assert found(entry) == ["10.9.9.9"]


# endpoint_builder.go, servicePort: asked for by its number; controller.go, serviceInstancesFromWorkloadInstances.
def test_of_two_ports_with_one_number_the_first_gives_the_endpoints() -> None:
    ports = "ports: [{name: dns, port: 5353, protocol: UDP}, {name: tcp-dns, port: 5354}]\n"
    text = _slice("ready: true").replace("web", "dns").replace("ports: [{name: http-dns, port: 8080}]\n", ports)
    entry = manifest("WorkloadEntry", "vm", "address: 10.9.9.9\nlabels: {app: dns}", namespace="shop")
    node = compiled(TWO_PROTOCOLS, text, entry)

    assert addresses(node.cluster("outbound|53||dns.shop.svc.cluster.local")) == ["10.244.1.5:5353", "10.9.9.9:5353"]


# serviceentry/conversion.go: convertServices takes what netip.ParsePrefix reads, and spells a single address anew.
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10.0.0.1/32", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("2001:DB8::0001/128", "2001:db8::1"),
        ("2001:DB8::0001", "2001:DB8::0001"),
    ],
)
def test_a_block_of_one_address_is_that_address(written: str, expected: str) -> None:
    spec = f"hosts: [a.example]\naddresses: ['{written}']\nports: [{{number: 80, name: tcp, protocol: TCP}}]"
    node = compiled(manifest("ServiceEntry", "a", f"{spec}\nresolution: NONE"))

    assert [service.default_address for service in node.push.services()] == [expected]


# Istio pilot/pkg/serviceregistry/serviceentry/conversion.go, isHealthy; features.WorkloadEntryHealthChecks.
@pytest.mark.parametrize(
    ("annotation", "status", "setting", "expected"),
    [
        ("", "{}", "", ["10.9.9.9:80"]),
        ("'true'", "{}", "", []),
        ("'true'", "{conditions: [{type: Healthy, status: 'True'}]}", "", ["10.9.9.9:80"]),
        ("'true'", "{conditions: [{type: Healthy, status: 'False'}]}", "", []),
        ("'true'", "{}", "PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS: 'false'", ["10.9.9.9:80"]),
    ],
    ids=["without checks", "not yet checked", "healthy", "unhealthy", "checks switched off"],
)
def test_unhealthy_workload_entries_are_not_picked(
    annotation: str, status: str, setting: str, expected: list[str]
) -> None:
    spec = """
        hosts: [a.example]
        ports: [{number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        workloadSelector: {labels: {app: vm}}
    """
    entry = manifest(
        "WorkloadEntry",
        "vm",
        "address: 10.9.9.9\nlabels: {app: vm}",
        annotations=f"{{proxy.istio.io/health-checks-enabled: {annotation or chr(39) * 2}}}",
    )
    operator = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n"
    settings = f"{operator}spec: {{values: {{pilot: {{env: {{{setting}}}}}}}}}\n"
    node = compiled(manifest("ServiceEntry", "a", spec), f"{entry}status: {status}\n", settings)

    assert addresses(node.cluster("outbound|80||a.example")) == expected


# Istio pilot/pkg/model/proxy_view.go, newProxyView and IsVisible.
@pytest.mark.parametrize(
    ("view", "expected"),
    [("", ["10.1.1.1:80", "10.1.1.2:80", "10.1.1.3:80"]), ("one", ["10.1.1.1:80", "10.1.1.3:80"])],
)
def test_a_proxy_may_ask_for_the_endpoints_of_some_networks(view: str, expected: list[str]) -> None:
    entry = """
        hosts: [a.example]
        ports: [{number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        endpoints: [{address: 10.1.1.1, network: one}, {address: 10.1.1.2, network: two}, {address: 10.1.1.3}]
    """
    settings = mesh(f"defaultConfig: {{proxyMetadata: {{ISTIO_META_REQUESTED_NETWORK_VIEW: '{view}'}}}}")
    node = compiled(manifest("ServiceEntry", "a", entry), settings)

    assert addresses(node.cluster("outbound|80||a.example")) == expected
