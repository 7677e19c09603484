"""Istio's own tests of how rules of VirtualServices become routes, retries, faults, mirrors and matches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from sandbox.compiler.filter_chains import matches_statically
from sandbox.compiler.gateway_routes import catch_alls_last
from sandbox.compiler.listener_builder import new_listener_builder
from sandbox.compiler.proxy_headers import header_settings
from sandbox.compiler.retries import retry_defaults
from sandbox.compiler.routes import RouteContext, applies_to_source, build_http_routes, is_catch_all
from sandbox.envoy_config.codec import decode, encode
from sandbox.istio.http_route import HTTPRoute
from sandbox.istio.load import load_texts
from sandbox.plan.route import Route

from .go_paths import Path, same, snake_keys
from .istio_cases import model_service, proxy, push_context, read_cases
from .ratchet import NotApplicable, compare_with_list, run_case

ROUTES = read_cases("core_routes")
TRANSLATIONS = read_cases("core_route_translation")
MATCHES = read_cases("core_match")

pytestmark = pytest.mark.skipif(not ROUTES, reason="the case files do not lie beside the checkout")

Json = Any
FUNCTIONS: Mapping[str, Callable[[Json], Json]] = {"len": lambda value: len(value or ())}
ACTIONS = {"Route_Route": "route", "Route_Redirect": "redirect", "Route_DirectResponse": "direct_response"}

VIRTUAL_SERVICE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "synthesized", "namespace": "default"},
}


def _context(case: dict[str, Any], gateways: list[str], port: int) -> RouteContext:
    push, node = push_context(case), proxy(case)
    services = {entry["hostname"]: model_service(entry) for entry in case.get("lookup_services") or ()}
    return RouteContext(
        push=push,
        proxy=node,
        scope=push.sidecar_scope(node),
        listen_port=port,
        gateway_names=frozenset(gateways),
        lookup_service=services.get,
        retries=retry_defaults(push.mesh),
        headers=header_settings(node.metadata.proxy_config, sidecar_outbound=True),
    )


GATEWAY_API = {"route_test/TestBuildHTTPRoutes/for empty prefix path rewrite"}
"""What differs for rules that istiod makes of HTTPRoutes."""


def _check_routes(case: dict[str, Any]) -> None:
    if case["id"] in GATEWAY_API:
        raise NotApplicable("Kubernetes Gateway API")
    if case["builder"] != "virtual_service":
        raise NotApplicable("looks into istiod's own intermediate objects; covered by route configurations")
    if case["route_options"]:
        raise NotApplicable("HTTP/3")
    if case.get("lookup_services"):
        case = {**case, "services": [{"namespace": "istio-system", **entry} for entry in case["lookup_services"]]}
    context = _context(case, case["gateways"], case["listen_port"])
    services = {entry.name: entry for entry in context.push.configuration.resources("VirtualService")}
    routes = build_http_routes(services[case["virtual_service"]], context)
    _check_assertions(case["asserts"], {"routes": [encode(route) for route in routes]})


def _check_assertions(assertions: list[dict[str, Any]], roots: dict[str, Json]) -> None:
    for assertion in assertions:
        path, action = assertion["path"], ""
        if " is *" in path:
            path, _, action = path.partition(".Action is *envoyroute.")
        for _, value in Path(path, FUNCTIONS).select(roots).values:
            actual = (ACTIONS[action] in value) if action else value
            assert _holds(assertion["op"], actual, assertion["value"]), f"{assertion}: {actual}"


def _holds(op: str, actual: Json, expected: Json) -> bool:
    match op:
        case "equal" | "==" | "nil" | "empty":
            return same(_named(expected, actual), actual)
        case "not equal" | "not nil":
            return not same(expected, actual)
        case "consist_of":
            return same(expected, actual)
        case "len":
            return bool(len(actual or ()) == expected)
        case _:
            raise AssertionError(f"unknown operator {op}")


def _named(expected: Json, actual: Json) -> Json:
    """Istio's cases give plugins by name only."""
    if isinstance(expected, list) and actual and isinstance(actual[0], dict) and "typed_config" in actual[0]:
        return [{**entry, "name": name} for name, entry in zip(expected, actual, strict=False)]
    if isinstance(expected, dict) and isinstance(actual, dict) and "typedConfig" in expected:
        return {**actual, "name": expected["name"]}
    if isinstance(expected, dict) and isinstance(actual, dict) and "retryHostPredicate" in expected:
        return {
            **expected,
            "retryHostPredicate": _named(expected["retryHostPredicate"], actual["retry_host_predicate"]),
        }
    return expected


def _rule(fields: dict[str, Any]) -> HTTPRoute:
    route = [{"destination": {"host": "a.example.com"}}]
    document = {**VIRTUAL_SERVICE, "spec": {"hosts": ["a.example.com"], "http": [{"route": route, **fields}]}}
    configuration = load_texts([("rule.yaml", yaml.safe_dump(document))])
    (service,) = configuration.resources("VirtualService")
    (rule,) = service.spec.http
    assert isinstance(rule, HTTPRoute)
    return rule


def _built(fields: dict[str, Any]) -> Json:
    route = [{"destination": {"host": "a.example.com"}}]
    document = {**VIRTUAL_SERVICE, "spec": {"hosts": ["a.example.com"], "http": [{"route": route, **fields}]}}
    context = _context({"config": yaml.safe_dump(document)}, ["mesh"], 80)
    (service,) = context.push.configuration.resources("VirtualService")
    (built,) = build_http_routes(service, context)
    return encode(built)


def _check_retry(case: dict[str, Any]) -> None:
    rule = _rule({"retries": case["retries"]} if case["retries"] is not None else {})
    policy = retry_defaults(push_context({}).mesh).policy(rule.retries, case["consistent_hash_destination"])
    _check_assertions(case["asserts"], {"policy": None if policy is None else encode(policy)})


def _check_fault(case: dict[str, Any]) -> None:
    config = _built({"fault": case["fault"]})["typed_per_filter_config"]["envoy.filters.http.fault"]
    assert same(case["expect"]["envoy_http_fault"], config), config


def _check_cors(case: dict[str, Any]) -> None:
    config = _built({"corsPolicy": case["cors_policy"]})["typed_per_filter_config"]["envoy.filters.http.cors"]
    expected = snake_keys(case["expect"]["envoy_cors_policy"])
    wrong = {key: config.get(key) for key, value in expected.items() if not same(value, config.get(key))}
    assert not wrong, f"{wrong} instead of {expected}"


def _check_mirror(case: dict[str, Any]) -> None:
    destination = {"host": "b.example.com"}
    if "mirror_policy" in case:
        fields: dict[str, Any] = {"mirrors": [{**case["mirror_policy"], "destination": destination}]}
    else:
        fields = {**case["http_route"], "mirror": destination}
        if "mirrorPercent" in fields:
            fields["mirrorPercent"] = int(fields["mirrorPercent"])
    policies = _built(fields)["route"].get("request_mirror_policies") or [{}]
    actual, expected = policies[0].get("runtime_fraction"), case["expect"]["runtime_fraction"]
    if actual and "denominator" not in actual["default_value"]:
        actual["default_value"]["denominator"] = "HUNDRED"
    assert same(expected, actual), f"{actual} instead of {expected}"


def _check_source(case: dict[str, Any]) -> None:
    (match,) = _rule({"match": [case["match"]]}).match
    node = proxy({"proxy_detail": {"configNamespace": case["proxy_namespace"]}})
    assert applies_to_source(match, node, frozenset({"mesh"})) is case["expect"]["match"]


def _check_catch_all(case: dict[str, Any]) -> None:
    route = decode(Route, snake_keys(case["envoy_route"]), ignore_unknown=True)
    assert route.match is not None
    assert is_catch_all(route.match) is case["expect"]["catch_all"]


def _check_sorting(case: dict[str, Any]) -> None:
    routes = [decode(Route, snake_keys(entry), ignore_unknown=True) for entry in case["envoy_routes_in"]]
    actual = [encode(route) for route in catch_alls_last(routes)]
    assert same(case["expect"]["envoy_routes_out"], actual), actual


TRANSLATORS: Mapping[str, Callable[[dict[str, Any]], None]] = {
    "retry_policy": _check_retry,
    "fault": _check_fault,
    "cors": _check_cors,
    "mirror_percent": _check_mirror,
    "http_source_match": _check_source,
    "envoy_route_is_catch_all": _check_catch_all,
    "sort_routes": _check_sorting,
}


def _check_translation(case: dict[str, Any]) -> None:
    TRANSLATORS[case["kind"]](case)


def _check_match(case: dict[str, Any]) -> None:
    if case["kind"] == "select_virtual_services":
        _check_selection(case)
        return
    kind = "tls" if case["kind"] == "match_tls" else "tcp"
    rule = {"match": [case["match"]], "route": [{"destination": {"host": "a.example.com"}}]}
    document = {**VIRTUAL_SERVICE, "spec": {"hosts": ["a.example.com"], kind: [rule]}}
    detail = {"configNamespace": case["proxy_namespace"], "labels": case["proxy_labels"]}
    prepared = {"config": yaml.safe_dump(document), "proxy_detail": detail}
    push, node = push_context(prepared), proxy(prepared)
    builder = new_listener_builder(push, node, push.sidecar_scope(node))
    (service,) = push.configuration.resources("VirtualService")
    (match,) = getattr(service.spec, kind)[0].match
    assert matches_statically(match, builder, case["port"]) is case["expect"]["match"]


def _check_selection(case: dict[str, Any]) -> None:
    raise NotApplicable("a helper of istiod's; which VirtualServices attach is covered by route configurations")


def test_rules_of_virtual_services() -> None:
    print(compare_with_list("core_routes", [run_case(case, _check_routes) for case in ROUTES]))


def test_parts_of_rules() -> None:
    outcomes = [run_case(case, _check_translation) for case in TRANSLATIONS]
    print(compare_with_list("core_route_translation", outcomes))


def test_static_matches() -> None:
    print(compare_with_list("core_match", [run_case(case, _check_match) for case in MATCHES]))
