"""Routes of gateways: virtual hosts, who may attach, redirects to HTTPS."""

from __future__ import annotations

import pytest

from sandbox.plan.route import RedirectAction, Route, RouteAction, VirtualHost

from .gateways import domains, gateway, http_server, routed, router, tls_server
from .nodes import Compiled, manifest
from .sidecars import service_entry

ROUTES = "http.8080"


def host_of(world: Compiled, host: str, routes: str = ROUTES) -> VirtualHost:
    found = world.plan.route_configurations[routes].virtual_hosts
    return next(each for each in found if each.domains[0] == host)


def paths(routes: tuple[Route, ...]) -> list[str]:
    """Where the redirects of these routes lead."""
    actions = [route.action for route in routes]
    return [action.path_redirect or "" for action in actions if isinstance(action, RedirectAction)]


@pytest.mark.parametrize(
    ("servers", "host", "served"),
    [
        pytest.param("a.example.com", "a.example.com", ["a.example.com"], id="the same host"),
        pytest.param("*.example.com", "a.example.com", ["a.example.com"], id="the wildcard covers the host"),
        pytest.param("a.example.com", "*.example.com", ["a.example.com"], id="the host narrows the wildcard"),
        pytest.param("*", "a.example.com", ["a.example.com"], id="everything"),
        pytest.param("b.example.com", "a.example.com", [], id="another host"),
        pytest.param("./a.example.com", "a.example.com", ["a.example.com"], id="own namespace"),
        pytest.param("other/a.example.com", "a.example.com", [], id="another namespace"),
    ],
)
def test_hosts_are_what_server_and_virtual_service_share(servers: str, host: str, served: list[str]) -> None:
    world = router(gateway("gw", http_server(servers)), routed("vs", host))
    routes = world.plan.route_configurations[ROUTES]
    assert [names[0] for name, names in domains(routes).items() if name != "blackhole:80"] == served


def test_a_gateway_without_routes_answers_404_with_a_black_hole() -> None:
    world = router(gateway("gw", http_server("a.example.com")))
    assert domains(world.plan.route_configurations[ROUTES]) == {"blackhole:80": ("*",)}


@pytest.mark.parametrize(
    ("namespace", "gateways", "attached"),
    [
        pytest.param("default", "gw", True, id="same namespace"),
        pytest.param("other", "default/gw", True, id="by namespace"),
        pytest.param("other", "gw", False, id="a gateway of its own namespace"),
        pytest.param("default", "mesh", False, id="only the mesh"),
    ],
)
def test_virtual_services_name_their_gateways(namespace: str, gateways: str, attached: bool) -> None:
    world = router(gateway("gw", http_server("*")), routed("vs", "a.example.com", gateways, namespace))
    assert ("a.example.com:80" in domains(world.plan.route_configurations[ROUTES])) == attached


def test_virtual_services_of_one_host_add_their_routes_up() -> None:
    first = routed("one", "a.example.com", rule="{match: [{uri: {prefix: /one}}], redirect: {uri: /1}}")
    second = routed("two", "a.example.com", rule="{match: [{uri: {prefix: /two}}], redirect: {uri: /2}}")
    world = router(gateway("gw", http_server("*")), first, second)
    assert paths(host_of(world, "a.example.com").routes) == ["/1", "/2"]


def test_a_catch_all_comes_after_the_routes_of_other_virtual_services() -> None:
    first = routed("one", "a.example.com", rule="{redirect: {uri: /all}}")
    second = routed("two", "a.example.com", rule="{match: [{uri: {prefix: /two}}], redirect: {uri: /2}}")
    world = router(gateway("gw", http_server("*")), first, second)
    assert paths(host_of(world, "a.example.com").routes) == ["/2", "/all"]


@pytest.mark.parametrize(
    ("match", "used"),
    [
        pytest.param("{port: 80}", True, id="the server's port"),
        pytest.param("{port: 8080}", False, id="the pod's port"),
        pytest.param("{gateways: [gw]}", True, id="our gateway"),
        pytest.param("{gateways: [mesh]}", False, id="the mesh"),
        pytest.param("{sourceLabels: {istio: gateway}}", True, id="our labels"),
    ],
)
def test_matches_ask_for_port_and_gateway(match: str, used: bool) -> None:
    rule = f"{{match: [{match}], redirect: {{uri: /x}}}}"
    world = router(gateway("gw", http_server("*")), routed("vs", "a.example.com", "gw, mesh", rule=rule))
    routes = world.plan.route_configurations[ROUTES]
    found = [path for host in routes.virtual_hosts for path in paths(host.routes)]
    assert found == (["/x"] if used else [])


def test_a_server_that_redirects_asks_for_https() -> None:
    world = router(gateway("gw", http_server("a.example.com", more=", tls: {httpsRedirect: true}")))
    assert host_of(world, "a.example.com").require_tls == "ALL"


def test_each_tls_server_has_routes_of_its_own() -> None:
    world = router(
        gateway("gw", tls_server("a.example.com", tls="{mode: SIMPLE, credentialName: one}")),
        routed("vs", "a.example.com"),
    )
    assert list(world.plan.route_configurations) == ["https.443.https.gw.default"]
    assert domains(world.plan.route_configurations["https.443.https.gw.default"]) == {
        "a.example.com:443": ("a.example.com",)
    }


def test_routes_lead_to_clusters_of_the_gateway() -> None:
    world = router(
        gateway("gw", http_server("a.example.com")),
        manifest(
            "VirtualService",
            "vs",
            "hosts: [a.example.com]\ngateways: [gw]\n"
            "http: [{route: [{destination: {host: a.example.com, port: {number: 443}}}]}]",
        ),
        service_entry("a.example.com", "443/HTTP"),
    )
    (route,) = host_of(world, "a.example.com").routes
    assert isinstance(route.action, RouteAction)
    assert route.action.cluster == "outbound|443||a.example.com"
    assert route.action.cluster in world.plan.clusters
