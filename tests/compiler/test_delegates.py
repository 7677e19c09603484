"""Root VirtualServices and their delegates."""

from __future__ import annotations

import pytest

from sandbox.yaml_source.span import Origin

from .sidecars import service_entry, told, virtual_service

ENTRY = service_entry("a.example.com", "80/HTTP")


def root(match: str = "", extra: str = "") -> str:
    rule = f"- name: root\n  delegate: {{name: leaf}}\n{match}{extra}"
    return virtual_service("root", "hosts: [a.example.com]\nhttp:\n" + rule)


def leaf(http: str, more: str = "") -> str:
    return virtual_service("leaf", f"{more}http:\n{http}")


TO_A = "  route: [{destination: {host: a.example.com}}]\n"


def route_names(*documents: str) -> list[str]:
    return [route.name for route in told(ENTRY, *documents).routes_of("80", "a.example.com:80")]


def test_routes_of_the_delegate_stand_in_place_of_the_roots_rule() -> None:
    assert route_names(root(), leaf(f"- name: one\n{TO_A}")) == ["root-one"]


def test_matches_are_combined_the_delegates_first() -> None:
    world = told(
        ENTRY,
        root("  match: [{name: r, uri: {prefix: /a}, headers: {x: {exact: '1'}}}]\n"),
        leaf(f"- match: [{{name: l, uri: {{prefix: /a/b}}}}, {{uri: {{exact: /a}}}}]\n{TO_A}"),
    )
    first, second = world.routes_of("80", "a.example.com:80")
    assert (first.name, second.name) == ("root.r-l", "root.r")
    assert first.match is not None
    assert (first.match.prefix, [header.name for header in first.match.headers]) == ("/a/b", ["x"])
    assert second.match is not None
    assert second.match.path == "/a"


@pytest.mark.parametrize(
    ("root_match", "leaf_match"),
    [
        ("{uri: {prefix: /a}}", "{uri: {prefix: /b}}"),
        ("{uri: {exact: /a}}", "{uri: {prefix: /a}}"),
        ("{uri: {regex: /a}}", "{uri: {regex: /a}}"),
        ("{port: 80}", "{port: 81}"),
        ("{sourceNamespace: default}", "{uri: {prefix: /a}}"),
        ("{sourceLabels: {a: b}}", "{sourceLabels: {a: c}}"),
        ("{uri: {prefix: /a}, ignoreUriCase: true}", "{uri: {prefix: /a}}"),
        ("{headers: {x: {}}}", "{headers: {x: {exact: a}}}"),
    ],
)
def test_a_rule_that_contradicts_the_root_is_dropped_and_told(root_match: str, leaf_match: str) -> None:
    world = told(ENTRY, root(f"  match: [{root_match}]\n"), leaf(f"- match: [{leaf_match}]\n{TO_A}"))
    assert [route.name for route in world.routes_of("80", "a.example.com:80")] == ["default"]
    assert "SBX0513" in world.codes


def test_the_delegate_takes_what_it_does_not_say_from_the_root() -> None:
    world = told(ENTRY, root(extra="  timeout: 3s\n"), leaf(f"- name: own\n  timeout: 1s\n{TO_A}- name: none\n{TO_A}"))
    (route,) = world.routes_of("80", "a.example.com:80")
    assert route.name == "root-own"
    reasons = {reason.what: reason.origin for reason in route.because}
    by = reasons["delegation"]
    assert isinstance(by, Origin)
    assert (by.resource.name, by.path) == ("root", "spec.http[0]")


@pytest.mark.parametrize(
    ("documents", "code"),
    [((), "SBX0511"), ((leaf(f"- name: one\n{TO_A}", "exportTo: ['~']\n"),), "SBX0512")],
    ids=["missing", "not exported"],
)
def test_a_delegate_that_cannot_be_used_takes_only_its_rule_along(documents: tuple[str, ...], code: str) -> None:
    world = told(ENTRY, root(extra=f"- name: other\n{TO_A}"), *documents)
    assert [route.name for route in world.routes_of("80", "a.example.com:80")] == ["other"]
    assert code in world.codes
