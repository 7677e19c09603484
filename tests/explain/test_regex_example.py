"""Examples of regular expressions: texts that RE2 matches, from patterns as routes have them."""

from __future__ import annotations

import pytest

from sandbox.explain.regex_example import examples_of

PATTERNS = {
    "letters": ("/back", ("/back",)),
    "anything": (".*", ("", "a")),
    "something": ("/.+", ("/a",)),
    "a prefix": ("/api/.*", ("/api/", "/api/a")),
    "the first alternative": ("/(v1|v2)/x", ("/v1/x",)),
    "alternatives without a group": ("/a|/b", ("/a",)),
    "what may be left out": ("/a(/b)?", ("/a", "/a/b")),
    "a class": ("/[^/]+/[0-9]{2}", ("/a/00",)),
    "a class with its own bracket": ("[]]", ("]",)),
    "a class of letters": ("[[:upper:]]x", ("Ax",)),
    "a digit": (r"/\d{3,}", ("/000",)),
    "up to three": ("x{0,3}", ("", "x")),
    "a dot that is one": (r"www\.example\.com", ("www.example.com",)),
    "anchors": ("^/x$", ("/x",)),
    "quoted": (r"\Qa.b*\E/", ("a.b*/",)),
    "a name": ("(?P<version>v[12])", ("v1",)),
    "any case": ("(?i)abc", ("abc",)),
    "not greedy": ("/a.*?z", ("/az", "/aaz")),
    "a letter of any script": (r"\pL", ("a",)),
    "braces that are letters": ("/{id}", ("/{id}",)),
    "the edge of a word": (r"/a\b.*", ("/a",)),
    "far too long": ("(.{1000}){5}", ()),
    "far too deep": ("(" * 400 + "a" + ")" * 400, ()),
    "nothing matches": ("[^\\x00-\\x{10FFFF}]", ()),
    "RE2 refuses it": ("(?!x)", ()),
    "not closed": ("(a", ()),
}


@pytest.mark.parametrize(("pattern", "expected"), PATTERNS.values(), ids=list(PATTERNS))
def test_examples_of_a_pattern(pattern: str, expected: tuple[str, ...]) -> None:
    assert examples_of(pattern) == expected
