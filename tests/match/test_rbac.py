"""Access rules: actions, sets, addresses, names, principals and metadata."""

from __future__ import annotations

import pytest

from sandbox.match.facts import RequestFacts
from sandbox.match.rbac import AccessFacts, AccessRules, compile_permission, compile_principal, denial_details
from sandbox.match.uri_template import compile_uri_template
from sandbox.plan.base import CidrRange, HeaderMatcher, StringMatcher
from sandbox.plan.rbac import (
    Authenticated,
    ListMatcher,
    MetadataMatcher,
    PathMatcher,
    PathSegment,
    Permission,
    PermissionSet,
    Policy,
    Principal,
    PrincipalSet,
    Rules,
    ValueMatcher,
)


def facts() -> AccessFacts:
    known = AccessFacts("10.0.0.9", 8080, "10.1.2.3")
    known.server_name = "api.example.com"
    known.principals = ("spiffe://cluster.local/ns/a/sa/b",)
    known.request = RequestFacts(b"GET", b"/private/x?y=1", b"api.example.com", headers=[(b"x-team", b"red")])
    known.metadata = {"jwt": {"groups": ["dev", "ops"], "iss": "me"}}
    return known


def exact(text: str) -> StringMatcher:
    return StringMatcher(exact=text)


def metadata(key: str, value: ValueMatcher, *, invert: bool = False) -> Permission:
    return Permission(metadata=MetadataMatcher(filter="jwt", path=(PathSegment(key=key),), value=value, invert=invert))


PERMISSIONS = {
    "any": (Permission(any=True), True),
    "nothing said": (Permission(), False),
    "port": (Permission(destination_port=8080), True),
    "another port": (Permission(destination_port=80), False),
    "address": (Permission(destination_ip=CidrRange(address_prefix="10.0.0.0", prefix_len=24)), True),
    "not": (Permission(not_rule=Permission(any=True)), False),
    "and": (Permission(and_rules=PermissionSet(rules=(Permission(any=True), Permission(destination_port=1)))), False),
    "or": (Permission(or_rules=PermissionSet(rules=(Permission(any=True), Permission(destination_port=1)))), True),
    "server name": (Permission(requested_server_name=StringMatcher(suffix=".example.com")), True),
    "path without its query": (Permission(url_path=PathMatcher(path=exact("/private/x"))), True),
    "header": (Permission(header=HeaderMatcher(name="x-team", string_match=exact("red"))), True),
    "claim": (metadata("iss", ValueMatcher(string_match=exact("me"))), True),
    "claim in a list": (
        metadata("groups", ValueMatcher(list_match=ListMatcher(one_of=ValueMatcher(string_match=exact("ops"))))),
        True,
    ),
    "claim that is not there": (metadata("sub", ValueMatcher(present_match=True)), False),
    "claim inverted": (metadata("sub", ValueMatcher(present_match=True), invert=True), True),
}


@pytest.mark.parametrize(("permission", "expected"), PERMISSIONS.values(), ids=PERMISSIONS.keys())
def test_a_permission_matches_what_is_asked_for(permission: Permission, expected: bool) -> None:
    assert compile_permission(permission)(facts()) is expected


PRINCIPALS = {
    "any": (Principal(any=True), True),
    "authenticated": (Principal(authenticated=Authenticated()), True),
    "by name": (Principal(authenticated=Authenticated(principal_name=StringMatcher(suffix="/sa/b"))), True),
    "by another name": (Principal(authenticated=Authenticated(principal_name=exact("x"))), False),
    "address": (Principal(direct_remote_ip=CidrRange(address_prefix="10.1.0.0", prefix_len=16)), True),
    "not the address": (
        Principal(not_id=Principal(remote_ip=CidrRange(address_prefix="10.1.0.0", prefix_len=16))),
        False,
    ),
    "both": (
        Principal(and_ids=PrincipalSet(ids=(Principal(any=True), Principal(authenticated=Authenticated())))),
        True,
    ),
}


@pytest.mark.parametrize(("principal", "expected"), PRINCIPALS.values(), ids=PRINCIPALS.keys())
def test_a_principal_matches_who_calls(principal: Principal, expected: bool) -> None:
    assert compile_principal(principal)(facts()) is expected


def policy(permission: Permission) -> Policy:
    return Policy(permissions=(permission,), principals=(Principal(any=True),))


ACTIONS = {
    "allowed by a policy": (Rules(policies={"p": policy(Permission(any=True))}), None),
    "allowed by none": (Rules(policies={"p": policy(Permission(any=False))}), "none"),
    "nothing is allowed": (Rules(), "none"),
    "denied": (Rules(action="DENY", policies={"p": policy(Permission(any=True))}), "p"),
    "not denied": (Rules(action="DENY", policies={"p": policy(Permission(any=False))}), None),
    "only logged": (Rules(action="LOG", policies={"p": policy(Permission(any=True))}), None),
    "the first name that matches": (
        Rules(action="DENY", policies={"b": policy(Permission(any=True)), "a": policy(Permission(any=True))}),
        "a",
    ),
}


@pytest.mark.parametrize(("rules", "refused_by"), ACTIONS.values(), ids=ACTIONS.keys())
def test_an_action_decides_what_a_match_means(rules: Rules, refused_by: str | None) -> None:
    assert AccessRules(rules).decide(facts()) == refused_by


def test_details_have_no_blanks() -> None:
    assert denial_details("ns[a]-policy[b c]-rule[0]") == "rbac_access_denied_matched_policy[ns[a]-policy[b_c]-rule[0]]"


@pytest.mark.parametrize(
    ("template", "path", "fits"),
    [
        ("/a/{*}/c", b"/a/b/c", True),
        ("/a/{*}/c", b"/a/b/b/c", False),
        ("/a/{**}", b"/a/b/c", True),
        ("/a/{**}/z", b"/a/b/c/z", True),
        ("/a.b", b"/axb", False),
    ],
)
def test_a_path_fits_a_template(template: str, path: bytes, fits: bool) -> None:
    assert compile_uri_template(template)(path) is fits
