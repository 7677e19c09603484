"""Routes of VirtualServices on a sidecar: matches, actions, order, defaults."""

from __future__ import annotations

from datetime import timedelta
from textwrap import indent

import pytest

from sandbox.plan.http_connection_manager import HTTPFault
from sandbox.plan.route import (
    CorsPolicy,
    DirectResponseAction,
    HashPolicy,
    HashPolicyHeader,
    RedirectAction,
    Route,
    RouteAction,
    RouteMatch,
)
from sandbox.yaml_source.span import Origin

from .sidecars import mesh, service_entry, told, virtual_service

ENTRY = service_entry("a.example.com", "80/HTTP")
TO_A = "route: [{destination: {host: a.example.com}}]"


def rules(http: str) -> str:
    return virtual_service("rules", "hosts: [a.example.com]\nhttp:\n" + http)


def routes(http: str, *more: str) -> tuple[Route, ...]:
    return told(ENTRY, rules(http), *more).routes_of("80", "a.example.com:80")


def only_match(match: str) -> RouteMatch:
    (route,) = routes(f"- match: [{match}]\n  {TO_A}")
    assert route.match is not None
    return route.match


def only_action(rule: str, *more: str) -> RouteAction:
    (route,) = routes("- " + indent(rule.strip(), "  ").strip(), *more)
    assert isinstance(route.action, RouteAction)
    return route.action


def test_a_service_without_virtual_service_gets_everything_with_default_retries() -> None:
    (route,) = told(ENTRY).routes_of("80", "a.example.com:80")
    assert route.name == "default"
    assert isinstance(route.action, RouteAction)
    assert route.action.cluster == "outbound|80||a.example.com"
    assert route.action.timeout == route.action.max_grpc_timeout == timedelta(0)
    assert route.action.retry_policy is not None
    assert route.action.retry_policy.num_retries == 2
    assert route.action.retry_policy.retriable_status_codes == ()
    assert route.decorator is not None
    assert route.decorator.operation == "a.example.com:80/*"


@pytest.mark.parametrize(
    ("match", "field", "expected"),
    [
        ("{uri: {exact: /a}}", "path", "/a"),
        ("{uri: {prefix: /a}}", "prefix", "/a"),
        ("{method: {exact: GET}}", "prefix", "/"),
        ("{uri: {exact: /a}, ignoreUriCase: true}", "case_sensitive", False),
    ],
    ids=["exact", "prefix", "no path", "any case"],
)
def test_a_path_match_becomes_envoys(match: str, field: str, expected: object) -> None:
    assert getattr(only_match(match), field) == expected


def test_headers_stand_by_name_and_pseudo_headers_last() -> None:
    match = only_match(
        "{headers: {z: {exact: v}, a: {}, m: {regex: '*'}}, withoutHeaders: {b: {prefix: p}, c: {}},"
        " method: {exact: GET}, authority: {regex: .*}}"
    )
    found = [
        (header.name, header.present_match, header.invert_match, header.treat_missing_header_as_empty)
        for header in match.headers
    ]
    assert found == [
        ("a", True, False, False),
        ("b", None, True, True),
        ("c", True, True, False),
        ("m", True, False, False),
        ("z", None, False, False),
        (":method", None, False, False),
        (":authority", None, False, False),
    ]


@pytest.mark.parametrize(
    "match",
    ["{port: 81}", "{sourceLabels: {app: other}}", "{sourceNamespace: other}", "{gateways: [egress]}"],
)
def test_what_does_not_apply_to_the_client_leaves_the_services_default_route(match: str) -> None:
    assert [route.name for route in routes(f"- match: [{match}]\n  {TO_A}")] == ["default"]


def test_where_gateways_are_named_labels_do_not_count() -> None:
    http = f"- match: [{{gateways: [mesh], sourceLabels: {{app: other}}}}]\n  name: mine\n  {TO_A}"
    assert [route.name for route in routes(http)] == ["mine"]


def test_nothing_after_a_catch_all_is_made_and_that_is_told() -> None:
    http = f"- match: [{{uri: {{prefix: /}}}}, {{uri: {{prefix: /never}}}}]\n  {TO_A}\n- name: never\n  {TO_A}"
    world = told(ENTRY, rules(http))
    assert len(world.routes_of("80", "a.example.com:80")) == 1
    assert world.codes.count("SBX0521") == 1


def test_a_catch_all_for_some_clients_only_makes_nothing_unreachable() -> None:
    world = told(
        ENTRY,
        virtual_service(
            "egress",
            """
            hosts: [a.example.com]
            gateways: [mesh, egress]
            http:
            - match: [{gateways: [mesh], port: 80}]
              route: [{destination: {host: a.example.com}}]
            - match: [{gateways: [egress], port: 80}]
              route: [{destination: {host: only.at.the.gateway, subset: v1}}]
            """,
        ),
    )
    assert len(world.routes_of("80", "a.example.com:80")) == 1
    assert world.codes == []


def test_names_of_rule_and_match_are_joined() -> None:
    http = f"- match: [{{name: m, uri: {{prefix: /a}}}}, {{uri: {{prefix: /b}}}}]\n  name: r\n  {TO_A}"
    assert [route.name for route in routes(http)] == ["r.m", "r"]


def test_several_destinations_are_weighted_and_those_of_weight_zero_left_out() -> None:
    action = only_action(
        """
route:
- {destination: {host: a.example.com, subset: v1}, weight: 30, headers: {request: {set: {x: '1', host: other}}}}
- {destination: {host: a.example.com, port: {number: 8080}}, weight: 10}
- {destination: {host: b}, weight: 0}
"""
    )
    assert action.weighted_clusters is not None
    assert [(item.name, item.weight, item.host_rewrite_literal) for item in action.weighted_clusters.clusters] == [
        ("outbound|80|v1|a.example.com", 30, "other"),
        ("outbound|8080||a.example.com", 10, None),
    ]


def test_a_short_name_is_a_service_of_the_own_namespace() -> None:
    assert only_action("route: [{destination: {host: b}}]").cluster == "outbound|80||b.default.svc.cluster.local"


def test_an_authority_of_the_rewrite_beats_the_one_of_the_headers() -> None:
    rule = f"headers: {{request: {{set: {{Host: h}}}}}}\n{TO_A}"
    assert only_action(rule).host_rewrite_literal == "h"
    assert only_action(rule + "\nrewrite: {authority: r, uri: /x}").host_rewrite_literal == "r"


def test_headers_are_set_before_they_are_added_each_by_name() -> None:
    (route,) = routes(
        "- headers: {request: {add: {b: '2', a: '1'}, set: {d: '4', c: '3'}, remove: [x, ':path', Host]}}\n  " + TO_A
    )
    added = [
        (option.header.key, option.append_action)
        for option in route.request_headers_to_add
        if option.header is not None
    ]
    overwrite, append = "OVERWRITE_IF_EXISTS_OR_ADD", "APPEND_IF_EXISTS_OR_ADD"
    assert added == [("c", overwrite), ("d", overwrite), ("a", append), ("b", append)]
    assert route.request_headers_to_remove == ("x",)


def test_a_redirect_from_the_request_port_leaves_the_schemes_own_port_out() -> None:
    (route,) = routes(
        "- redirect: {authority: b.example.com, uri: /moved, redirectCode: 308, derivePort: FROM_REQUEST_PORT}"
    )
    expected = RedirectAction(host_redirect="b.example.com", path_redirect="/moved", response_code="PERMANENT_REDIRECT")
    assert route.action == expected
    assert route.decorator is not None
    assert route.decorator.operation == "rules:80/*"


def test_a_redirect_code_that_envoy_does_not_know_poisons_the_table_and_is_told() -> None:
    world = told(ENTRY, rules("- redirect: {authority: b.example.com, redirectCode: 304}"))
    assert world.routes_of("80", "a.example.com:80")[0].action is None
    assert "SBX0523" in world.codes


def test_a_direct_response() -> None:
    (route,) = routes("- directResponse: {status: 503, body: {string: closed}}")
    assert isinstance(route.action, DirectResponseAction)
    assert route.action.status == 503
    assert route.action.body is not None
    assert route.action.body.inline_string == "closed"


@pytest.mark.parametrize(
    ("retries", "expected"),
    [
        ("{attempts: 0}", None),
        ("{attempts: 3}", (3, "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes", ())),
        ("{attempts: 1, retryOn: '503,5xx'}", (1, "5xx,retriable-status-codes", (503,))),
        ("{attempts: 1, retryOn: '799,reset'}", (1, "799,reset", ())),
    ],
    ids=["none", "default conditions", "status codes", "an unknown status code"],
)
def test_retries_are_those_of_the_rule(retries: str, expected: tuple[int, str, tuple[int, ...]] | None) -> None:
    policy = only_action(f"retries: {retries}\n{TO_A}").retry_policy
    found = None if policy is None else (policy.num_retries, policy.retry_on, policy.retriable_status_codes)
    assert found == expected


def test_the_meshs_retries_apply_where_the_rule_has_none() -> None:
    settings = mesh("defaultHttpRetryPolicy: {attempts: 7}")
    policy = only_action(TO_A, settings).retry_policy
    assert policy is not None
    assert policy.num_retries == 7


def test_faults_without_percentage_never_happen() -> None:
    (route,) = routes(f"- fault: {{delay: {{fixedDelay: 2s}}, abort: {{httpStatus: 503}}}}\n  {TO_A}")
    assert route.typed_per_filter_config is not None
    fault = route.typed_per_filter_config["envoy.filters.http.fault"]
    assert isinstance(fault, HTTPFault)
    assert fault.delay is not None
    assert fault.delay.percentage is not None
    assert fault.delay.percentage.numerator == 0
    assert fault.abort is not None
    assert fault.abort.percentage is None


def test_shares_are_millionths() -> None:
    (route,) = routes(f"- fault: {{abort: {{grpcStatus: UNAVAILABLE, percentage: {{value: 0.1}}}}}}\n  {TO_A}")
    assert route.typed_per_filter_config is not None
    fault = route.typed_per_filter_config["envoy.filters.http.fault"]
    assert isinstance(fault, HTTPFault)
    assert fault.abort is not None
    assert fault.abort.percentage is not None
    assert (fault.abort.grpc_status, fault.abort.percentage.numerator) == (14, 1000)


def test_mirrors_take_everything_unless_told_otherwise() -> None:
    action = only_action(
        f"{TO_A}\nmirrors:\n- {{destination: {{host: b}}}}\n- {{destination: {{host: c}}, percentage: {{value: 0}}}}"
    )
    (mirror,) = action.request_mirror_policies
    assert mirror.cluster == "outbound|80||b.default.svc.cluster.local"
    assert mirror.disable_shadow_host_suffix_append is True
    assert mirror.runtime_fraction is not None
    assert mirror.runtime_fraction.default_value is not None
    assert mirror.runtime_fraction.default_value.share == 1.0


def test_a_cors_policy_becomes_envoys() -> None:
    (route,) = routes(
        "- corsPolicy: {allowOrigins: [{prefix: 'https://a'}], allowMethods: [GET, PUT], maxAge: 24h,"
        f" unmatchedPreflights: IGNORE}}\n  {TO_A}"
    )
    assert route.typed_per_filter_config is not None
    cors = route.typed_per_filter_config["envoy.filters.http.cors"]
    assert isinstance(cors, CorsPolicy)
    assert (cors.allow_methods, cors.max_age, cors.forward_not_matching_preflights) == ("GET,PUT", "86400", False)


HASH_RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: default}
spec:
  host: a.example.com
  trafficPolicy:
    portLevelSettings:
    - port: {number: 80}
      loadBalancer: {consistentHash: {httpHeaderName: x-of-port}}
"""


def test_a_hash_of_a_port_counts_only_where_the_destination_names_the_port() -> None:
    assert only_action(TO_A, HASH_RULE).hash_policy == ()
    action = only_action("route: [{destination: {host: a.example.com, port: {number: 80}}}]", HASH_RULE)
    assert action.hash_policy == (HashPolicy(header=HashPolicyHeader(header_name="x-of-port")),)
    assert action.retry_policy is not None
    assert action.retry_policy.retry_host_predicate == ()


def test_a_default_route_knows_its_port() -> None:
    (route,) = told(ENTRY, HASH_RULE).routes_of("80", "a.example.com:80")
    assert isinstance(route.action, RouteAction)
    assert len(route.action.hash_policy) == 1


def test_routes_say_which_lines_made_them() -> None:
    (route,) = routes(f"- match: [{{uri: {{prefix: /a}}}}]\n  timeout: 3s\n  {TO_A}")
    reasons = {reason.what: reason.origin for reason in route.because}
    match, timeout = reasons["route match"], reasons["timeout"]
    assert isinstance(match, Origin)
    assert match.path == "spec.http[0].match[0]"
    assert isinstance(timeout, Origin)
    assert timeout.path == "spec.http[0].timeout"


def test_routes_say_which_lines_they_have_their_features_of() -> None:
    http = """
- corsPolicy: {allowOrigins: [{exact: a}]}
  mirror: {host: b.example.com}
  fault: {abort: {httpStatus: 500}}
  route: [{destination: {host: a.example.com, port: {number: 80}}}]
"""
    (route,) = told(ENTRY, HASH_RULE, rules(http)).routes_of("80", "a.example.com:80")
    paths = {reason.what: reason.origin.path for reason in route.because if isinstance(reason.origin, Origin)}
    assert paths["CORS policy"] == "spec.http[0].corsPolicy"
    assert paths["mirror"] == "spec.http[0].mirror"
    assert paths["fault"] == "spec.http[0].fault"
    assert paths["hash policy"] == "spec.trafficPolicy.portLevelSettings[0].loadBalancer.consistentHash"


def test_a_default_route_says_which_line_hashes() -> None:
    (route,) = told(ENTRY, HASH_RULE).routes_of("80", "a.example.com:80")
    paths = {reason.what: reason.origin.path for reason in route.because if isinstance(reason.origin, Origin)}
    assert paths["hash policy"] == "spec.trafficPolicy.portLevelSettings[0].loadBalancer.consistentHash"


@pytest.mark.parametrize(
    ("destination", "code"),
    [("{host: nobody.example.com}", "SBX0524"), ("{host: a.example.com, subset: v9}", "SBX0525")],
)
def test_destinations_that_lead_nowhere_are_told(destination: str, code: str) -> None:
    assert code in told(ENTRY, rules(f"- route: [{{destination: {destination}}}]")).codes
