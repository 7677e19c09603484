"""Whether a text is a CEL expression."""

from __future__ import annotations

import pytest

from sandbox.istio.validate.cel_syntax import cel_fault


@pytest.mark.parametrize(
    "text",
    [
        "response.code >= 400",
        "response.code >= 400 && connection.mtls || !request.path.startsWith('/health')",
        "nonsense(1)",
        "request.headers['x-user'] == 'a' ? true : false",
        "has(request.headers['a'].b) && a.exists(x, x == 1)",
        "[1, 2, 3,].map(x, x > 1, x * 2)",
        "{'a': 1, \"b\": 2u}.a",
        "Message{a: 1}",
        "-1 + --2 - 0x1F * 1.5e3 / .5 % 2",
        "r'\\d+' + b'\\x00' + '''a\nb'''",
        "a in [1] // a comment",
        ".a.b",
        "9223372036854775807 == 18446744073709551615u",
        "all(1, 2)",
        "string(response.code) == '404' && number(1)",
    ],
)
def test_an_expression_is_taken(text: str) -> None:
    assert cel_fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "response.code >=",
        "a b",
        "(a",
        "a &&",
        "a = b",
        "a.1",
        "'a",
        "'\\q'",
        "f(1,)",
        "if",
        "a.in",
        "a ? b",
        "has(1)",
        "has(a == b.c)",
        "a.all(1, true)",
        "99999999999999999999",
        "[1 2]",
        "{1}",
        "(" * 300 + "a" + ")" * 300,
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    assert cel_fault(text) is not None
