"""Istio's own tests of outbound route configurations: virtual hosts, their domains, and simulated calls."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.compiler.proxy import Proxy
from sandbox.compiler.push_context import PushContext
from sandbox.compiler.sidecar_routes import build_sidecar_routes
from sandbox.compiler.virtual_hosts import service_domains
from sandbox.plan.http_connection_manager import HttpConnectionManager, Rds
from sandbox.plan.listener import Filter, FilterChain, Listener
from sandbox.plan.route import Route, RouteAction, RouteConfiguration

from .istio_cases import compile_case, model_service, proxy, push_context, read_cases
from .ratchet import NotApplicable, compare_with_list, run_case
from .simulation import check_call, virtual_hosts_by_domain

TABLES = read_cases("core_httproute")
DOMAINS = read_cases("core_vhost_domains")
SIDECAR_ROUTES = read_cases("sim_sidecar_routes")

pytestmark = pytest.mark.skipif(not TABLES, reason="the case files do not lie beside the checkout")

INBOUND_PORT = 15006
"""Calls to it are not ours."""
CATCH_ALLS = {"allow_any", "block_all", "allow_any_dynamic_dns"}


def _configuration(push: PushContext, node: Proxy, name: str) -> RouteConfiguration:
    """The route configuration of a name, whether a listener asks for it or not."""
    manager = HttpConnectionManager(rds=Rds(route_config_name=name))
    listener = Listener(filter_chains=(FilterChain(filters=(Filter(typed_config=manager),)),))
    scope = push.sidecar_scope(node)
    return build_sidecar_routes(push, node, scope, (listener,), push.plan_parts(scope, ()))[name]


def _check_table(case: dict[str, Any]) -> None:
    push, node = push_context(case), proxy(case)
    expect = case["expect_route_config"]
    found = _configuration(push, node, expect["name"])
    hosts = {host.name: host for host in found.virtual_hosts}
    wanted = expect["virtual_hosts_exact"]
    if not CATCH_ALLS & wanted.keys():
        hosts = {name: host for name, host in hosts.items() if name not in CATCH_ALLS}
    actual = {name: sorted(host.domains) for name, host in hosts.items()}
    expected = {name: sorted(domains) for name, domains in wanted.items()}
    assert actual == expected, f"{actual} instead of {expected}"
    if "total_routes" in expect:
        assert sum(len(host.routes) for host in hosts.values()) == expect["total_routes"]
    for name, cluster in (expect.get("first_route_cluster") or {}).items():
        assert _cluster(hosts[name].routes[0]) == cluster, f"{_cluster(hosts[name].routes[0])} instead of {cluster}"


def _cluster(route: Route) -> str:
    if not isinstance(route.action, RouteAction):
        return ""
    weighted = route.action.weighted_clusters
    return route.action.cluster or (weighted.clusters[0].name if weighted is not None else "")


def _check_domains(case: dict[str, Any]) -> None:
    node = proxy(case)
    service = model_service(case["service"], node.metadata.cluster_id)
    push = push_context(case, services=[])
    actual = sorted(service_domains(push, node, service, 0).domains)
    expected = sorted(case["expect"]["domains"])
    assert actual == expected, f"{actual} instead of {expected}"


def _check_sidecar_routes(case: dict[str, Any]) -> None:
    if case["gateway_api"]:
        raise NotApplicable("Kubernetes Gateway API")
    push, node = push_context(case), proxy(case)
    expect = case["expect_route_config"]
    domains = virtual_hosts_by_domain(_configuration(push, node, expect["name"]))
    for domain, clusters in (expect["virtual_hosts"] or {}).items():
        host = domains.get(domain)
        actual = None if host is None else [_cluster(route) for route in host.routes]
        assert actual == clusters, f"{domain}: {actual} instead of {clusters}"


def _check_calls(case: dict[str, Any]) -> None:
    plan = compile_case(case).plan
    for call in case["calls"]:
        if call["port"] != INBOUND_PORT:
            check_call(plan, call)


def test_virtual_hosts_of_route_configurations() -> None:
    print(compare_with_list("core_httproute", [run_case(case, _check_table) for case in TABLES]))


def test_domains_of_services() -> None:
    print(compare_with_list("core_vhost_domains", [run_case(case, _check_domains) for case in DOMAINS]))


def test_which_virtual_service_wins() -> None:
    outcomes = [run_case(case, _check_sidecar_routes) for case in SIDECAR_ROUTES]
    print(compare_with_list("sim_sidecar_routes", outcomes))


@pytest.mark.parametrize("name", ["sim_serviceentry", "sim_sidecar"])
def test_simulated_calls_from_a_sidecar(name: str) -> None:
    print(compare_with_list(name, [run_case(case, _check_calls) for case in read_cases(name)]))
