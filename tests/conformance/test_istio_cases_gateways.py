"""Istio's own tests of gateways: simulated calls, route configurations, listener names."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.plan import NodePlan

from .istio_cases import compile_case, gateway_service, read_cases
from .ratchet import NotApplicable, compare_with_list, run_case
from .simulation import check_call, has_twins

SIMULATED = read_cases("sim_gateway")
TABLES = read_cases("core_gateway")

pytestmark = pytest.mark.skipif(not SIMULATED, reason="the case files do not lie beside the checkout")

NOT_OURS = {
    "internal.istio.io/": "Kubernetes Gateway API, which istiod turns into Gateways with annotations of its own",
    "kind: Ingress": "Kubernetes Ingress is inbound only",
    "kind: HTTPRoute": "Kubernetes Gateway API",
    "kind: TLSRoute": "Kubernetes Gateway API",
}


def _refuse(case: dict[str, Any]) -> None:
    text = (case.get("config") or "") + (case.get("kube_config") or "")
    for mark, why in NOT_OURS.items():
        if mark in text:
            raise NotApplicable(why)


def _simulate(case: dict[str, Any]) -> None:
    _refuse(case)
    plan = compile_case(case).plan
    assert case["calls"] or not any(has_twins(listener.filter_chains) for listener in plan.listeners)
    for call in case["calls"]:
        check_call(plan, call)


def _check_tables(case: dict[str, Any]) -> None:
    _refuse(case)
    plan = compile_case(case, gateway_service(case, _targets(case))).plan
    if "expect" in case:
        _check_listeners(plan, case["expect"])
    else:
        _check_routes(plan, case["expect_route_config"])


def _targets(case: dict[str, Any]) -> list[tuple[int, int]]:
    return [(entry["service_port"], entry["target_port"]) for entry in case.get("gateway_service_targets") or ()]


def _check_listeners(plan: NodePlan, expect: dict[str, Any]) -> None:
    if "listener_valid" in expect:
        assert not any(has_twins(listener.filter_chains) for listener in plan.listeners)
        return
    names = sorted(listener.name for listener in plan.listeners)
    assert names == sorted(expect["listeners"]), f"{names} instead of {expect['listeners']}"


def _check_routes(plan: NodePlan, expect: dict[str, Any]) -> None:
    configuration = plan.route_configurations[expect["name"]]
    hosts = {host.name: host for host in configuration.virtual_hosts}
    actual = {name: list(host.domains) for name, host in hosts.items()}
    assert actual == expect["virtual_hosts_exact"], f"{actual} instead of {expect['virtual_hosts_exact']}"
    for name, count in (expect.get("routes_per_virtual_host") or {}).items():
        assert len(hosts[name].routes) == count, f"{len(hosts[name].routes)} routes in {name}"
    redirects = [host.require_tls == "ALL" for host in hosts.values()]
    assert all(redirects) == bool(expect.get("https_redirect_all")), "redirects"


def test_simulated_calls_through_gateways() -> None:
    print(compare_with_list("sim_gateway", [run_case(case, _simulate) for case in SIMULATED]))


def test_route_configurations_and_listener_names_of_gateways() -> None:
    print(compare_with_list("core_gateway", [run_case(case, _check_tables) for case in TABLES]))
