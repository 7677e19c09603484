"""Explain says what becomes of calls, with the lines that decide."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.explain.address_steps import DnsView
from sandbox.explain.call import Call, CallRefused, parse_call
from sandbox.explain.render import as_text, render
from sandbox.explain.steps import Walk
from sandbox.explain.walk import explain
from sandbox.match.capture_rules import build_rules
from sandbox.plan.because import IstioDefault
from sandbox.plan.capture import CaptureSettings
from tests.explain.mesh import compiled, line_of, plan, source_line

OUTCOMES: dict[str, tuple[str, str, int | None, str, str]] = {
    "blocked HTTP": ("http://blocked.example.org/", "GET", 502, "-", "direct_response"),
    "blocked TLS": ("https://blocked.example.org/", "GET", 0, "UH", ""),
    "blocked TCP": ("192.0.2.1:9999", "GET", 0, "UH", ""),
    "allowed HTTP": ("http://api.example.com/x", "GET", None, "-", "via_upstream"),
    "allowed TLS": ("https://secure.example.com/", "GET", 0, "-", ""),
    "allowed TCP": ("192.0.2.77:5432", "GET", 0, "-", ""),
    "direct response": ("http://api.example.com/admin", "POST", 403, "-", "direct_response"),
    "the same path, another method": ("http://api.example.com/admin", "GET", None, "-", "via_upstream"),
    "delay": ("http://api.example.com/slow", "GET", None, "DI", "via_upstream"),
    "abort": ("http://api.example.com/broken", "GET", 418, "FI", "fault_filter_abort"),
    "abort of a part": ("http://api.example.com/half", "GET", None, "-", "via_upstream"),
    "redirect": ("http://api.example.com/old/a", "GET", 302, "-", "direct_response"),
    "no such service": ("http://api.example.com/elsewhere", "GET", 503, "NC", "cluster_not_found"),
    "CONNECT": ("http://api.example.com/", "CONNECT", 404, "NR", "route_not_found"),
}


def _explain(target: str, **more: Any) -> Walk:
    return explain(plan(), parse_call(target, **more))


@pytest.mark.parametrize(("target", "method", "status", "flags", "details"), OUTCOMES.values(), ids=list(OUTCOMES))
def test_a_call_comes_to_the_outcome_that_envoy_logs(
    target: str, method: str, status: int | None, flags: str, details: str
) -> None:
    outcome = _explain(target, method=method).outcome
    assert (outcome.status, ",".join(outcome.flags) or "-", outcome.details) == (status, flags, details)


def _lines(walk: Walk, kind: str) -> list[int]:
    step = walk.step(kind)
    assert step is not None
    return [each.origin.span.line for each in step.because if not isinstance(each.origin, IstioDefault)]


def test_the_route_names_its_line() -> None:
    walk = _explain("http://api.example.com/slow")
    assert line_of("uri: {prefix: /slow}") in _lines(walk, "route")
    assert line_of("timeout: 3s") in _lines(walk, "policy")
    assert line_of("fixedDelay: 5s") in _lines(walk, "fault")


def test_a_blocked_call_names_the_policy() -> None:
    for target in ("http://blocked.example.org/", "https://blocked.example.org/"):
        text = as_text(_explain(target), source_line)
        assert "REGISTRY_ONLY" in text
        assert f"mesh.yaml:{line_of('mode: REGISTRY_ONLY')}" in text


def test_losers_are_told_with_their_reason() -> None:
    step = _explain("http://api.example.com/admin").step("route")
    assert step is not None
    assert [near.reason for near in step.losers][:1] == ["method 'GET' is not 'POST'"]


def test_a_shadowed_rule_is_told_where_its_call_is_explained() -> None:
    found, problems = compiled()
    walk = explain(found, parse_call("http://api.example.com/shadow/1"), problems=problems)
    assert _lines(walk, "route")[0] == line_of("- name: all")
    told = [(each.code, each.span.line) for each in walk.findings if each.span is not None]
    assert ("SBX0521", line_of("name: shadowed")) in told
    assert "never reached" in as_text(walk)
    assert walk.as_dict()["findings"]


def test_rules_for_http_that_tls_cannot_follow_are_told() -> None:
    notes = _explain("https://api.example.com:8443/slow").outcome.notes
    assert notes[-1:] == (
        f"the HTTP rules at mesh.yaml:{line_of('uri: {prefix: /admin}')} have no effect here: the request is not read",
    )


def test_a_misspelt_host_finds_its_neighbour() -> None:
    step = _explain("http://apo.example.com/").step("virtual host")
    assert step is not None
    assert [(near.name, near.reason) for near in step.losers] == [("api.example.com", "a similar name")]


def test_a_host_on_the_wrong_port_is_told_the_right_one() -> None:
    step = _explain("http://db.example.com/").step("virtual host")
    assert step is not None
    assert [near.reason for near in step.losers] == ["is known on port 5432, not 80"]


def test_weights_are_told() -> None:
    walk = _explain("http://api.example.com/")
    found = [(step.found, step.reason.partition(";")[0]) for step in walk.steps if step.kind == "cluster"]
    assert found == [
        ("outbound|80||api.example.com", "90% of the traffic"),
        ("outbound|80||other.example.com", "10% of the traffic"),
    ]


def test_not_captured_calls_never_reach_the_proxy() -> None:
    rules = build_rules(CaptureSettings(exclude_ports=(5432,)), 4)
    walk = explain(plan(), parse_call("192.0.2.77:5432"), capture_rules=rules)
    assert walk.step("listener") is None
    assert "straight to the network" in walk.outcome.sentence
    assert explain(plan(), parse_call("192.0.2.77:5433"), capture_rules=rules).step("listener") is not None


def test_names_are_answered_by_the_table_or_as_given() -> None:
    walk = explain(plan(), parse_call("db.example.com:5432", address="192.0.2.77"))
    assert walk.outcome.cluster == "outbound|5432||db.example.com"
    off = explain(plan(), parse_call("http://api.example.com/"), dns=DnsView(is_captured=False, namespace="shop"))
    step = off.step("dns")
    assert step is not None
    assert step.found == "whatever the network says"


def test_text_keeps_to_80_columns_and_quotes_the_yaml() -> None:
    for target in ("http://api.example.com/slow", "https://blocked.example.org/", "http://apo.example.com/"):
        text = as_text(_explain(target), source_line)
        assert max(map(len, text.splitlines())) <= 80
        assert " | " in text


def test_json_is_plain_data() -> None:
    told = json.loads(json.dumps(_explain("http://api.example.com/slow").as_dict()))
    assert told["outcome"]["flags"] == "DI"
    assert told["steps"][0]["step"] == "dns"
    route = next(step for step in told["steps"] if step["step"] == "route")
    assert {"what", "file", "line", "object", "field"} <= set(route["because"][0])


def test_styles_tell_good_from_bad() -> None:
    assert any(line.style == "good" for line in render(_explain("http://api.example.com/")))
    assert any(line.style == "bad" for line in render(_explain("http://blocked.example.org/")))


CALLS = {
    "url": ("http://h/p?q=1", ("http", "h", 80, "/p?q=1")),
    "https with a port": ("https://H.example:8443", ("https", "h.example", 8443, "/")),
    "websocket": ("ws://h/s", ("http", "h", 80, "/s")),
    "host and port, TLS": ("h:443", ("tls", "h", 443, "/")),
    "host and port": ("h:5432", ("tcp", "h", 5432, "/")),
    "tcp": ("tcp://h:443", ("tcp", "h", 443, "/")),
    "IPv6": ("http://[2001:db8::1]:81/", ("http", "2001:db8::1", 81, "/")),
}


@pytest.mark.parametrize(("target", "parts"), CALLS.values(), ids=list(CALLS))
def test_a_target_is_read_as_a_call(target: str, parts: tuple[str, str, int, str]) -> None:
    call = parse_call(target)
    assert (call.scheme, call.host, call.port, call.path) == parts


REFUSED = {"no port": "example.com", "no host": "http://", "scheme": "ftp://h/", "port": "h:99999", "nothing": ""}


@pytest.mark.parametrize("target", REFUSED.values(), ids=list(REFUSED))
def test_what_is_no_call_is_refused(target: str) -> None:
    with pytest.raises(CallRefused):
        parse_call(target)


def test_the_authority_is_written_as_clients_do() -> None:
    assert Call(scheme="http", host="h", port=80).authority == "h"
    assert Call(scheme="http", host="h", port=8080).authority == "h:8080"
    assert Call(scheme="https", host="2001:db8::1", port=443).authority == "[2001:db8::1]"
    assert Call(scheme="http", host="h", port=80, headers=(("Host", "x"),)).authority == "x"
    with pytest.raises(CallRefused):
        parse_call("http://h/", address="not-an-ip")
