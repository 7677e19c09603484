"""Virtual hosts and routes: which wins, what each criterion takes, and the sentence for those that lose."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.match import regex
from sandbox.match.facts import RequestFacts
from sandbox.match.reference import choose_route, choose_virtual_host
from sandbox.match.regex import RegexRefused, compile_full_matches, compile_rewrite, refusal
from sandbox.match.route_table import RouteTable
from sandbox.match.virtual_host_table import VirtualHostTable
from sandbox.plan.base import HeaderMatcher, RegexMatcher, StringMatcher
from sandbox.plan.rbac import MetadataMatcher
from sandbox.plan.route import (
    QueryParameterMatcher,
    RegexMatchAndSubstitute,
    Route,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)

CONFIGURATION = RouteConfiguration(
    name="80",
    virtual_hosts=tuple(
        VirtualHost(name=name, domains=domains)
        for name, domains in {
            "api": ("api.example.com", "api.example.com:8080"),
            "long": ("*.b.example.com",),
            "short": ("*.example.com",),
            "dash": ("*-x.example.com",),
            "prefix": ("foo.*",),
            "all": ("*",),
        }.items()
    ),
)
AUTHORITIES = {
    "exact": (b"api.example.com", "api"),
    "in other case": (b"API.Example.Com", "api"),
    "with its port": (b"api.example.com:8080", "api"),
    "with another port": (b"api.example.com:81", "all"),
    "the longest suffix": (b"a.b.example.com", "long"),
    "a dash before the suffix": (b"a-x.example.com", "dash"),
    "a suffix needs something before it": (b".example.com", "all"),
    "a prefix": (b"foo.bar", "prefix"),
    "a suffix before a prefix": (b"foo.example.com", "short"),
    "nothing": (b"", "all"),
}


@pytest.mark.parametrize(("authority", "name"), AUTHORITIES.values(), ids=list(AUTHORITIES))
def test_the_most_particular_domain_wins(authority: bytes, name: str) -> None:
    found = VirtualHostTable(CONFIGURATION).find(authority)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    ("authority", "is_found"),
    {b"a.com:81": True, b"a.com": True, b"a.com:": True, b"[::1]:80": True, b"[::1]": True, b"b.com": False}.items(),
    ids=str,
)
def test_ports_in_the_authority_may_be_ignored(authority: bytes, is_found: bool) -> None:
    hosts = (VirtualHost(name="a", domains=("a.com", "[::1]")),)
    configuration = RouteConfiguration(virtual_hosts=hosts, ignore_port_in_host_matching=True)
    assert (VirtualHostTable(configuration).find(authority) is not None) is is_found


def test_memory_of_client_chosen_names_stays_bounded() -> None:
    table = VirtualHostTable(CONFIGURATION)
    for index in range(5000):
        table.find(b"host-%d.test" % index)
    assert len(table._found) <= 1024


def test_a_virtual_host_loser_says_what_was_more_specific() -> None:
    choice = choose_virtual_host(CONFIGURATION, b"a.b.example.com")
    near = [loser.reason for loser in choice.losers if loser.is_near]
    assert near == [
        "domain *.example.com matches too, *.b.example.com is more specific",
        "domain * matches too, *.b.example.com is more specific",
    ]


def _header(name: str, matcher: StringMatcher | None = None, **more: Any) -> HeaderMatcher:
    return HeaderMatcher(name=name, string_match=matcher, **more)


EXACT_A = StringMatcher(exact="a")
MATCHES: dict[str, tuple[RouteMatch, dict[str, Any], str | None]] = {
    "raw prefix": (RouteMatch(prefix="/foo"), {"path": b"/foobar"}, None),
    "prefix without query": (RouteMatch(prefix="/a?b"), {"path": b"/a?b"}, "path '/a' does not start with '/a?b'"),
    "exact path ignores the query": (RouteMatch(path="/a"), {"path": b"/a?x=1"}, None),
    "exact path": (RouteMatch(path="/a"), {"path": b"/a/"}, "path '/a/' is not '/a'"),
    "case": (RouteMatch(prefix="/A"), {"path": b"/a"}, "path '/a' does not start with '/A'"),
    "case does not count": (RouteMatch(prefix="/A", case_sensitive=False), {"path": b"/a"}, None),
    "separated prefix": (RouteMatch(path_separated_prefix="/a"), {"path": b"/a/b"}, None),
    "separated prefix, itself": (RouteMatch(path_separated_prefix="/a"), {"path": b"/a?x"}, None),
    "separated prefix, no slash": (
        RouteMatch(path_separated_prefix="/a"),
        {"path": b"/ab"},
        "path '/ab' goes on after '/a' without a '/'",
    ),
    "regex matches all of the path": (RouteMatch(safe_regex=RegexMatcher(regex="/a.*")), {"path": b"/ab?q"}, None),
    "regex does not match a part": (
        RouteMatch(safe_regex=RegexMatcher(regex="/a")),
        {"path": b"/ab"},
        "path '/ab' does not match all of '/a' (regex)",
    ),
    "CONNECT has no path": (RouteMatch(prefix="/"), {"path": None}, "the request has no path (CONNECT)"),
    "OPTIONS * is not under /": (RouteMatch(prefix="/"), {"path": b"*"}, "path '*' does not start with '/'"),
    "method": (
        RouteMatch(prefix="/", headers=(_header(":method", StringMatcher(exact="POST")),)),
        {},
        "method 'GET' is not 'POST'",
    ),
    "authority with its port": (
        RouteMatch(prefix="/", headers=(_header(":authority", StringMatcher(prefix="h:8")),)),
        {"authority": b"h:80"},
        None,
    ),
    "header, missing": (RouteMatch(prefix="/", headers=(_header("x", EXACT_A),)), {}, "header x is missing"),
    "header, missing, inverted": (
        RouteMatch(prefix="/", headers=(_header("x", EXACT_A, invert_match=True),)),
        {},
        "header x is missing",
    ),
    "header, missing counts as empty, inverted": (
        RouteMatch(prefix="/", headers=(_header("x", EXACT_A, invert_match=True, treat_missing_header_as_empty=True),)),
        {},
        None,
    ),
    "header, inverted": (
        RouteMatch(prefix="/", headers=(_header("X", EXACT_A, invert_match=True),)),
        {"headers": [(b"x", b"a")]},
        "header X is 'a', and must not",
    ),
    "header, repeated": (
        RouteMatch(prefix="/", headers=(_header("x", StringMatcher(exact="b")),)),
        {"headers": [(b"x", b"a"), (b"y", b"c"), (b"x", b"b")]},
        None,
    ),
    "header, repeated, is not joined": (
        RouteMatch(prefix="/", headers=(_header("x", StringMatcher(exact="a,b")),)),
        {"headers": [(b"x", b"a"), (b"x", b"b")]},
        "header x 'a, b' is not 'a,b'",
    ),
    "header, repeated, inverted": (
        RouteMatch(prefix="/", headers=(_header("x", EXACT_A, invert_match=True),)),
        {"headers": [(b"x", b"a"), (b"x", b"b")]},
        "header x is 'a', and must not",
    ),
    "header, present": (RouteMatch(prefix="/", headers=(_header("x", present_match=True),)), {}, "header x is missing"),
    "header, absent": (
        RouteMatch(prefix="/", headers=(_header("x", present_match=True, invert_match=True),)),
        {"headers": [(b"x", b"")]},
        "header x is there, and must not be",
    ),
    "query, first value": (
        RouteMatch(prefix="/", query_parameters=(QueryParameterMatcher(name="q", string_match=EXACT_A),)),
        {"path": b"/?q=a&q=b"},
        None,
    ),
    "query, not decoded": (
        RouteMatch(prefix="/", query_parameters=(QueryParameterMatcher(name="q", string_match=EXACT_A),)),
        {"path": b"/?q=%61"},
        "query parameter q '%61' is not 'a'",
    ),
    "query, missing": (
        RouteMatch(prefix="/", query_parameters=(QueryParameterMatcher(name="q", present_match=True),)),
        {"path": b"/?r"},
        "query parameter q is missing",
    ),
    "a claim of a token": (
        RouteMatch(prefix="/", dynamic_metadata=(MetadataMatcher(filter="envoy.filters.http.jwt_authn"),)),
        {},
        "there is no valid token with claims",
    ),
    "no claim of a token": (
        RouteMatch(prefix="/", dynamic_metadata=(MetadataMatcher(filter="envoy.filters.http.jwt_authn", invert=True),)),
        {},
        None,
    ),
}


@pytest.mark.parametrize(("match", "request_parts", "failure"), MATCHES.values(), ids=list(MATCHES))
def test_a_route_matches_when_all_its_criteria_hold(
    match: RouteMatch, request_parts: dict[str, Any], failure: str | None
) -> None:
    parts = {"method": b"GET", "path": b"/", "authority": b"h"} | request_parts
    host = VirtualHost(routes=(Route(name="r", match=match),))
    found = RouteTable(host).find(RequestFacts(**parts))
    choice = choose_route(host, RequestFacts(**parts))
    assert (found is not None) is (failure is None)
    assert [loser.reason for loser in choice.losers] == ([] if failure is None else [failure])


def test_a_shadowed_route_is_told() -> None:
    host = VirtualHost(routes=(Route(name="all", match=RouteMatch(prefix="/")), Route(match=RouteMatch(prefix="/a"))))
    choice = choose_route(host, RequestFacts(b"GET", b"/a", b"h"))
    assert [loser.reason for loser in choice.losers] == ["an earlier route takes the request"]


def test_patterns_that_re2_refuses_are_refused() -> None:
    host = VirtualHost(routes=(Route(match=RouteMatch(safe_regex=RegexMatcher(regex="/(?=a)"))),))
    with pytest.raises(RegexRefused):
        RouteTable(host)
    assert refusal("(a") is not None
    assert refusal(r"\d+") is None


REWRITES = {
    "a group": (r"^/service/([^/]+)(/.*)$", r"\2/instance/\1", b"/service/foo/v1/api", b"/v1/api/instance/foo"),
    "every match": ("one", "two", b"/xxx/one/yyy/one/zzz", b"/xxx/two/yyy/two/zzz"),
    "a backslash": ("a", r"\\", b"/a", b"/\\"),
    "the whole match": ("b+", r"[\0]", b"/abba", b"/a[bb]a"),
    "empty matches": ("x*", "-", b"abc", b"-a-b-c-"),
    "no match": ("z", "y", b"/a", b"/a"),
}


@pytest.mark.parametrize(("pattern", "substitution", "path", "rewritten"), REWRITES.values(), ids=list(REWRITES))
def test_a_path_is_rewritten_by_a_regular_expression(
    pattern: str, substitution: str, path: bytes, rewritten: bytes
) -> None:
    rewrite = RegexMatchAndSubstitute(pattern=RegexMatcher(regex=pattern), substitution=substitution)
    assert compile_rewrite(rewrite)(path) == rewritten


def test_a_rewrite_to_a_group_that_is_not_there_is_refused() -> None:
    with pytest.raises(RegexRefused):
        compile_rewrite(RegexMatchAndSubstitute(pattern=RegexMatcher(regex="a"), substitution=r"\1"))


PATTERNS = ("/a", "/a.*", "/b/[0-9]+", "/(a|b)/1", ".*")


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        pytest.param(b"/a", [0, 1, 4], id="the whole text"),
        pytest.param(b"/b/1", [2, 3, 4], id="several"),
        pytest.param(b"/b/1x", [4], id="not a part of it"),
        pytest.param(b"\n", [], id="none"),
    ],
)
@pytest.mark.parametrize("size", [1, 20, 10_000], ids=["each by itself", "in some sets", "in one set"])
def test_patterns_are_matched_all_at_once(
    text: bytes, matching: list[int], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regex, "MAXIMUM_SET_SIZE", size)

    assert sorted(compile_full_matches(PATTERNS)(text)) == matching


def test_a_pattern_of_many_that_re2_refuses_is_refused() -> None:
    with pytest.raises(RegexRefused):
        compile_full_matches(["/a", "(", "/b"])
