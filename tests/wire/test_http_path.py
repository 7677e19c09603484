"""Normalisation of paths in Istio's four ways; recorded from Envoy 1.39."""

from __future__ import annotations

import pytest

from sandbox.wire.http_path import PathRejected, PathRules

BASE = PathRules(True, False, "KEEP_UNCHANGED")
NONE = PathRules(False, False, "KEEP_UNCHANGED")
MERGE = PathRules(True, True, "KEEP_UNCHANGED")
DECODE = PathRules(True, True, "UNESCAPE_AND_FORWARD")


@pytest.mark.parametrize(
    ("path", "base", "none", "merge", "decode"),
    [
        (b"/a/../b", b"/b", b"/a/../b", b"/b", b"/b"),
        (b"/../../x", b"/x", b"/../../x", b"/x", b"/x"),
        (b"/a/..", b"/", b"/a/..", b"/", b"/"),
        (b"/a/./b", b"/a/b", b"/a/./b", b"/a/b", b"/a/b"),
        (b"/a/%2e%2e/b", b"/b", b"/a/%2e%2e/b", b"/b", b"/b"),
        (b"/%41%7e", b"/A~", b"/%41%7e", b"/A~", b"/A~"),
        (b"/%c3%a9", b"/%c3%a9", b"/%c3%a9", b"/%c3%a9", b"/%c3%a9"),
        (b"/%zz", b"/%zz", b"/%zz", b"/%zz", b"/%zz"),
        (b"/a\\b", b"/a/b", b"/a\\b", b"/a/b", b"/a/b"),
        (b"/a%2Fb", b"/a%2Fb", b"/a%2Fb", b"/a%2Fb", b"/a/b"),
        (b"/a%5Cb", b"/a%5Cb", b"/a%5Cb", b"/a%5Cb", b"/a/b"),
        (b"//a//b", b"//a//b", b"//a//b", b"/a/b", b"/a/b"),
        (b"//", b"//", b"//", b"//", b"//"),
        (b"/a#frag", b"/a", b"/a", b"/a", b"/a"),
        (b"/a?x=1#frag", b"/a?x=1", b"/a?x=1", b"/a?x=1", b"/a?x=1"),
        (b"/a?x=/../%2F//b", b"/a?x=/../%2F//b", b"/a?x=/../%2F//b", b"/a?x=/../%2F//b", b"/a?x=/../%2F//b"),
        (b"/a;b=1/..;/c", b"/c", b"/a;b=1/..;/c", b"/c", b"/c"),
        (b"/a/..;x=1", b"/", b"/a/..;x=1", b"/", b"/"),
        (b"/a/.;x/b", b"/a/b", b"/a/.;x/b", b"/a/b", b"/a/b"),
        (b"/a/...;/b", b"/a/...;/b", b"/a/...;/b", b"/a/...;/b", b"/a/...;/b"),
        (b"/a..;/b", b"/a..;/b", b"/a..;/b", b"/a..;/b", b"/a..;/b"),
        (b"/a/%2e%2e;/b", b"/a/..;/b", b"/a/%2e%2e;/b", b"/a/..;/b", b"/a/..;/b"),
        (b"/index.html", b"/index.html", b"/index.html", b"/index.html", b"/index.html"),
    ],
)  # fmt: skip
def test_paths_become_what_envoy_makes_of_them(
    path: bytes, base: bytes, none: bytes, merge: bytes, decode: bytes
) -> None:
    assert [rules.normalize(path) for rules in (BASE, NONE, MERGE, DECODE)] == [base, none, merge, decode]


def test_a_nul_in_a_path_is_refused() -> None:
    with pytest.raises(PathRejected):
        BASE.normalize(b"/a%00b")


def test_characters_that_no_path_may_have_are_encoded() -> None:
    path = b'/a[1]{2}|^`"<>'
    encoded = b"/a[1]%7B2%7D%7C%5E%60%22%3C%3E"
    assert [rules.normalize(path) for rules in (BASE, NONE, MERGE, DECODE)] == [encoded, path, encoded, encoded]
