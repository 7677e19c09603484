"""Gateways: which servers a pod opens, how they merge, and where conflicts end."""

from __future__ import annotations

import pytest

from sandbox.compiler.gateways import resolve_server_hosts
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import TcpProxy

from .gateways import (
    POD,
    SERVICE,
    domains,
    gateway,
    http_server,
    listeners,
    route_name,
    routed,
    router,
    tls_of,
    tls_server,
)
from .nodes import Compiled, compiled, manifest
from .sidecars import criteria, service_entry

EARLY, LATE = "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("hosts", "resolved"),
    [
        pytest.param(("a.b",), ("a.b",), id="a host"),
        pytest.param(("./a.b",), ("ns/a.b",), id="own namespace"),
        pytest.param(("*/a.b",), ("a.b",), id="any namespace"),
        pytest.param(("other/a.b",), ("other/a.b",), id="another namespace"),
        pytest.param(("a.b", "*/*"), ("*",), id="everything"),
    ],
)
def test_hosts_name_the_namespaces_they_serve(hosts: tuple[str, ...], resolved: tuple[str, ...]) -> None:
    assert resolve_server_hosts(hosts, "ns") == resolved


def test_the_listener_has_the_port_of_the_pod_and_the_routes_that_of_the_service() -> None:
    world = router(gateway("gw", http_server("a.example.com")), routed("vs", "a.example.com"))
    (listener,) = world.plan.listeners
    assert listener.name == "0.0.0.0_8080"
    assert [route_name(chain) for chain in listener.filter_chains] == ["http.8080"]
    assert domains(world.plan.route_configurations["http.8080"])["a.example.com:80"] == ("a.example.com",)


def test_a_port_that_no_service_has_is_the_pods_own() -> None:
    world = router(gateway("gw", http_server("*", port=9090)), routed("vs", "a.example.com"))
    assert list(listeners(world)) == ["0.0.0.0_9090"]


# GetProxyServiceTargetsByPod: one target for each port of the pod and protocol.
def test_of_two_service_ports_for_one_port_of_the_pod_the_first_is_translated() -> None:
    more = SERVICE + "  - {name: http-more, port: 81, targetPort: 8080}\n"
    world = compiled(
        more,
        gateway("gw", http_server("a.example.com"), http_server("b.example.com", port=81, name="more")),
        routed("va", "a.example.com"),
        routed("vb", "b.example.com"),
        client=POD,
        node="router",
    )
    assert sorted(listeners(world)) == ["0.0.0.0_8080", "0.0.0.0_81"]


# GetProxyServiceTargets, "Headless service without selector"
def test_a_service_without_selector_translates_ports_by_the_endpoints_somebody_wrote() -> None:
    service = SERVICE.replace("  selector: {istio: gateway}\n", "")
    endpoints = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: gateway-1, namespace: default, labels: {kubernetes.io/service-name: gateway}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.9]}]
ports: [{name: http, port: 9080}]
"""
    servers = gateway("gw", http_server("a.example.com"))
    world = compiled(service, endpoints, servers, routed("va", "a.example.com"), client=POD, node="router")
    assert list(listeners(world)) == ["0.0.0.0_9080"]


@pytest.mark.parametrize("bind", ["127.0.0.1", "10.9.9.9"])
def test_a_bind_address_stands_in_the_name_of_listener_and_routes(bind: str) -> None:
    world = router(gateway("gw", http_server("*", more=f", bind: {bind}")), routed("vs", "a.example.com"))
    (listener,) = world.plan.listeners
    assert listener.name == f"{bind}_8080"
    assert route_name(listener.filter_chains[0]) == f"http.8080.{bind}"


def test_a_gateway_for_other_pods_is_not_ours() -> None:
    other = gateway("gw", http_server("*")).replace("istio: gateway", "istio: other")
    assert not router(other, routed("vs", "a.example.com")).plan.listeners


def test_servers_of_one_plain_port_merge_into_one_route_configuration() -> None:
    world = router(
        gateway("gw", http_server("a.example.com"), http_server("b.example.com", name="more")),
        gateway("gx", http_server("c.example.com")),
        routed("va", "a.example.com"),
        routed("vb", "b.example.com"),
        routed("vc", "c.example.com", gateways="gx"),
    )
    assert len(world.plan.listeners) == 1
    found = domains(world.plan.route_configurations["http.8080"])
    assert sorted(found) == ["a.example.com:80", "b.example.com:80", "c.example.com:80"]


@pytest.mark.parametrize(
    ("created", "winner"),
    [
        pytest.param((EARLY, LATE), "HTTP", id="the older is plain"),
        pytest.param((LATE, EARLY), "TCP", id="the older is TCP"),
    ],
)
def test_of_two_protocols_on_one_port_the_older_gateway_wins(created: tuple[str, str], winner: str) -> None:
    plain, tcp = created
    world = router(
        gateway("gw", http_server("*"), creationTimestamp=plain),
        gateway("gx", "{port: {number: 80, name: tcp, protocol: TCP}, hosts: ['*']}", creationTimestamp=tcp),
        routed("vs", "a.example.com"),
        manifest(
            "VirtualService",
            "vt",
            "hosts: ['*']\ngateways: [gx]\ntcp: [{route: [{destination: {host: a.example.com}}]}]",
        ),
        service_entry("a.example.com", "80/TCP"),
    )
    config = world.plan.listeners[0].filter_chains[0].filters[-1].typed_config
    assert isinstance(config, HttpConnectionManager if winner == "HTTP" else TcpProxy)
    assert "SBX0541" in world.codes


def test_one_host_of_two_tls_servers_belongs_to_the_first() -> None:
    world = router(
        gateway("gw", tls_server("a.example.com", tls="{mode: SIMPLE, credentialName: one}"), creationTimestamp=EARLY),
        gateway("gx", tls_server("a.example.com", tls="{mode: SIMPLE, credentialName: two}"), creationTimestamp=LATE),
        routed("vs", "a.example.com", gateways="gw, gx"),
    )
    (listener,) = world.plan.listeners
    assert [secret_names(world, chain) for chain in range(len(listener.filter_chains))] == [["kubernetes://one"]]


def test_tls_servers_are_told_apart_by_server_name() -> None:
    world = router(
        gateway(
            "gw",
            tls_server("a.example.com", "b.example.com", tls="{mode: SIMPLE, credentialName: one}"),
            tls_server("*.example.org", tls="{mode: SIMPLE, credentialName: two}", name="https-two"),
            tls_server("*", tls="{mode: SIMPLE, credentialName: three}", name="https-three"),
        ),
        routed("va", "a.example.com"),
        routed("vb", "x.example.org"),
        routed("vc", "*"),
    )
    (listener,) = world.plan.listeners
    assert [criteria(chain) for chain in listener.filter_chains] == [
        ("a.example.com", "b.example.com"),
        ("*.example.org",),
        (),
    ]
    assert [route_name(chain) for chain in listener.filter_chains] == [
        "https.443.https.gw.default",
        "https.443.https-two.gw.default",
        "https.443.https-three.gw.default",
    ]


def test_passthrough_takes_its_clusters_from_tls_routes() -> None:
    world = router(
        gateway("gw", tls_server("a.example.com", tls="{mode: PASSTHROUGH}", protocol="TLS")),
        manifest(
            "VirtualService",
            "vs",
            "hosts: [a.example.com]\ngateways: [gw]\n"
            "tls: [{match: [{sniHosts: [a.example.com]}], route: [{destination: {host: a.example.com}}]}]",
        ),
        service_entry("a.example.com", "443/TLS"),
    )
    ((chain,),) = [listener.filter_chains for listener in world.plan.listeners]
    assert criteria(chain) == ("a.example.com",)
    assert tls_of(chain) is None
    proxy = chain.filters[-1].typed_config
    assert isinstance(proxy, TcpProxy)
    assert proxy.cluster == "outbound|443||a.example.com"


def test_passthrough_without_routes_opens_nothing_and_is_reported() -> None:
    world = router(gateway("gw", tls_server("a.example.com", tls="{mode: PASSTHROUGH}", protocol="TLS")))
    assert not world.plan.listeners
    assert "SBX0542" in world.codes


def test_auto_passthrough_routes_by_the_name_of_the_cluster() -> None:
    world = router(
        gateway("gw", tls_server("*.global", tls="{mode: AUTO_PASSTHROUGH}", protocol="TLS", port=15443)),
        service_entry("a.global", "80/HTTP", more="location: MESH_INTERNAL"),
    )
    ((chain,),) = [listener.filter_chains for listener in world.plan.listeners]
    assert criteria(chain)[:2] == ("outbound_.80_._.a.global", "istio")
    proxy = chain.filters[-1].typed_config
    assert isinstance(proxy, TcpProxy)
    assert proxy.cluster == "outbound_.80_._.a.global"
    assert "outbound_.80_._.a.global" in world.plan.clusters


# gateway.go, mergeGateways: the flag is set before a server is found to conflict.
def test_auto_passthrough_gives_its_clusters_even_where_its_port_is_taken() -> None:
    world = router(
        gateway("gw", http_server("*"), tls_server("*", tls="{mode: AUTO_PASSTHROUGH}", protocol="TLS", port=80)),
        service_entry("a.global", "80/HTTP", more="location: MESH_INTERNAL"),
    )
    assert "SBX0541" in world.codes
    assert "outbound_.80_._.a.global" in world.plan.clusters


def secret_names(world: Compiled, chain: int) -> list[str]:
    """The certificates of one chain of the only listener."""
    context = tls_of(world.plan.listeners[0].filter_chains[chain])
    assert context is not None
    assert context.common_tls_context is not None
    return [config.name for config in context.common_tls_context.tls_certificate_sds_secret_configs]
