"""Virtual hosts of a sidecar's route configurations: names, domains, who keeps a domain."""

from __future__ import annotations

import pytest

from sandbox.compiler.alternative_names import alternative_names
from sandbox.compiler.push_context import PushContext
from sandbox.istio.load import load_texts
from sandbox.plan.route import DirectResponseAction, RouteAction

from .sidecars import mesh, service_entry, told, virtual_service

KUBERNETES = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.7
  ports: [{name: http, port: 80}]
"""


def route_to(name: str, hosts: str, prefix: str, namespace: str = "default") -> str:
    return virtual_service(
        name,
        f"hosts: {hosts}\nhttp:\n- name: {prefix}\n  route: [{{destination: {{host: a.example.com}}}}]",
        namespace,
    )


def names(world_routes: str, *documents: str) -> list[str]:
    return [host.name for host in told(*documents).routes[world_routes].virtual_hosts]


def test_an_external_host_has_its_name_and_the_absolute_one() -> None:
    world = told(service_entry("a.example.com", "80/HTTP"))
    assert world.host("80", "a.example.com:80").domains == ("a.example.com", "a.example.com.")


def test_a_service_of_another_namespace_has_its_short_names_and_its_address() -> None:
    assert told(KUBERNETES).host("80", "web.shop.svc.cluster.local:80").domains == (
        "web.shop.svc.cluster.local",
        "web.shop.svc.cluster.local.",
        "web.shop",
        "web.shop.svc",
        "10.96.0.7",
    )


@pytest.mark.parametrize(
    ("host", "port", "domain", "expected"),
    [
        ("web.shop.svc.cluster.local", 0, "shop.svc.cluster.local", ["web", "web.shop.svc", "web.shop"]),
        ("web.shop.svc.cluster.local", 80, "other.svc.cluster.local", ["web.shop", "web.shop:80"]),
        ("a.example.com", 0, "shop.svc.cluster.local", []),
        ("a.b.campus.net", 0, "b.campus.net", ["a"]),
        ("a.b.campus.net", 0, "c.campus.net", ["a.b", "a.b.campus"]),
        ("a.campus.org", 0, "b.campus.net", []),
    ],
    ids=["own namespace", "with port", "external", "own domain", "shared domain", "no shared domain"],
)
def test_a_host_is_reached_by_its_shorter_names_too(host: str, port: int, domain: str, expected: list[str]) -> None:
    push = PushContext(load_texts([("mesh.yaml", mesh("trustDomain: cluster.local"))]))
    found = [name for name in alternative_names(push, host, port, domain) if not name.startswith(f"{host}.")]
    assert found[: len(expected)] == expected
    assert bool(found) is bool(expected)


@pytest.mark.parametrize(
    ("settings", "name", "cluster"),
    [
        ("outboundTrafficPolicy: {mode: REGISTRY_ONLY}", "block_all", None),
        ("outboundTrafficPolicy: {mode: ALLOW_ANY}", "allow_any", "PassthroughCluster"),
        (
            "outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}",
            "allow_any_dynamic_dns",
            "AllowAnyDynamicDNSCluster",
        ),
    ],
)
def test_the_last_virtual_host_takes_unknown_hosts(settings: str, name: str, cluster: str | None) -> None:
    catch_all = told(mesh(settings), service_entry("a.example.com", "80/HTTP")).routes["80"].virtual_hosts[-1]
    (route,) = catch_all.routes
    assert (catch_all.name, catch_all.domains, route.name) == (name, ("*",), name)
    if cluster is None:
        assert route.action == DirectResponseAction(status=502)
    else:
        assert isinstance(route.action, RouteAction)
        assert route.action.cluster == cluster
        assert route.action.retry_policy is None


def test_a_virtual_service_without_service_works_on_port_80_only() -> None:
    rules = route_to("rules", "[www.example.org]", "r")
    entry = service_entry("a.example.com", "80/HTTP", "8080/HTTP")
    assert names("80", entry, rules) == ["a.example.com:80", "www.example.org:80", "allow_any"]
    assert names("8080", entry, rules) == ["a.example.com:8080", "allow_any"]


def test_of_two_virtual_services_for_one_host_the_first_one_counts_and_the_other_is_told() -> None:
    entry = service_entry("a.example.com", "80/HTTP")
    world = told(entry, route_to("second", "[a.example.com]", "two"), route_to("first", "[a.example.com]", "one"))
    assert [route.name for route in world.routes_of("80", "a.example.com:80")] == ["one"]
    assert world.codes.count("SBX0522") == 1


def test_a_private_virtual_service_comes_before_a_public_one() -> None:
    private = route_to("z", "[a.example.com]", "private").replace("spec:\n", "spec:\n  exportTo: [.]\n")
    world = told(service_entry("a.example.com", "80/HTTP"), route_to("a", "[a.example.com]", "public"), private)
    assert [route.name for route in world.routes_of("80", "a.example.com:80")] == ["private"]


def test_a_wildcard_virtual_service_routes_services_that_no_other_names_more_closely() -> None:
    world = told(
        service_entry("a.example.com", "80/HTTP"),
        service_entry("b.example.com", "80/HTTP"),
        route_to("any", "['*.example.com']", "any"),
        route_to("exact", "[b.example.com]", "exact"),
    )
    assert [route.name for route in world.routes_of("80", "a.example.com:80")] == ["any"]
    assert [route.name for route in world.routes_of("80", "b.example.com:80")] == ["exact"]


def test_attempt_counts_can_be_turned_off() -> None:
    settings = mesh("defaultConfig: {proxyHeaders: {attemptCount: {disabled: true}}}")
    world = told(settings, service_entry("a.example.com", "80/HTTP"))
    assert world.host("80", "a.example.com:80").include_request_attempt_count is False


def test_the_egress_proxy_of_a_sidecar_takes_unknown_hosts() -> None:
    sidecar = """\
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: own, namespace: default}
spec:
  outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: proxy.example.net, port: {number: 3128}}}
"""
    world = told(service_entry("a.example.com", "80/HTTP"), sidecar)
    action = world.routes["80"].virtual_hosts[-1].routes[0].action
    assert isinstance(action, RouteAction)
    assert action.cluster == "outbound|3128||proxy.example.net"


def test_a_virtual_service_that_names_a_host_twice_is_not_its_own_rival() -> None:
    world = told(
        service_entry("a.example.com", "80/HTTP"),
        virtual_service(
            "one", "hosts: [a.example.com, '*.example.com']\nhttp: [{route: [{destination: {host: a.example.com}}]}]"
        ),
    )
    assert "SBX0522" not in world.codes
    assert world.host("80", "a.example.com:80").routes[0].because[0].what == "route"
