from __future__ import annotations

import pytest

from sandbox.compiler.host_names import (
    HostIndex,
    intersection,
    matches,
    names_for_namespace,
    resolve_gateway,
    resolve_host,
    specificity,
    subset_of,
)


@pytest.mark.parametrize(
    ("host", "other", "covered"),
    [
        ("a.foo.com", "a.foo.com", True),
        ("a.foo.com", "*.foo.com", True),
        ("a.b.foo.com", "*.foo.com", True),
        ("foo.com", "*.foo.com", False),
        ("xfoo.com", "*foo.com", True),
        ("*.foo.com", "*.com", True),
        ("*.com", "*.foo.com", False),
        ("*.foo.com", "a.foo.com", False),
        ("a.foo.com", "*", True),
    ],
)
def test_a_pattern_covers_what_ends_like_it(host: str, other: str, covered: bool) -> None:
    assert subset_of(host, other) is covered
    assert matches(host, other) is (covered or subset_of(other, host))


def test_patterns_come_last_and_longer_names_first() -> None:
    names = ["*", "*.com", "a.com", "*.foo.com", "b.foo.com", "a.foo.com"]

    assert sorted(names, key=specificity) == ["a.foo.com", "b.foo.com", "a.com", "*.foo.com", "*.com", "*"]


def test_an_intersection_keeps_the_narrower_of_each_pair() -> None:
    assert intersection(["foo.com", "*.net"], ["*.com", "bar.net"]) == ("foo.com", "bar.net")


def test_qualified_hosts_are_for_one_namespace() -> None:
    assert names_for_namespace(["a/x.com", "*/y.com", "z.com", "b/w.com"], "a") == ("x.com", "y.com", "z.com")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("web", "web.shop.svc.cluster.local"),
        ("web.other", "web.other"),
        ("*", "*"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_names_without_a_dot_are_kubernetes_services(host: str, expected: str) -> None:
    assert resolve_host(host, "shop") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gw", "shop/gw"),
        ("./gw", "shop/gw"),
        ("infra/gw", "infra/gw"),
        ("gw.infra.svc.cluster.local", "infra/gw"),
        ("mesh", "mesh"),
    ],
)
def test_gateways_are_named_with_their_namespace(name: str, expected: str) -> None:
    assert resolve_gateway(name, "shop") == expected


def test_an_index_finds_the_most_specific_pattern() -> None:
    index: HostIndex[str] = HostIndex()
    for host in ("*", "*.com", "*.foo.com", "a.foo.com", "*foo.com"):
        index.set(host, host)

    found = {
        name: index.most_specific(name) for name in ("a.foo.com", "b.foo.com", "foo.com", "x.com", "x.org", "*.foo.com")
    }

    assert found == {
        "a.foo.com": "a.foo.com",
        "b.foo.com": "*.foo.com",
        "foo.com": "*foo.com",
        "x.com": "*.com",
        "x.org": "*",
        "*.foo.com": "*.foo.com",
    }
