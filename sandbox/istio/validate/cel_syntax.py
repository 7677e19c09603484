"""The grammar of CEL, the language of access log filters; only whether a text is an expression.

Grammar: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?:
      (?P<number>0x[0-9a-fA-F]+u?|(?:\d+\.\d+|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?|\d+u?)
    | (?P<string>(?:[bB][rR]?|[rR][bB]?)?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    | (?P<name>[_a-zA-Z][_a-zA-Z0-9]*|`[^`\n]+`)
    | (?P<operator>\|\||&&|==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])
    )""",
    re.VERBOSE | re.DOTALL,
)
_SPACE: Final = re.compile(r"(?:\s|//[^\n]*(?:\n|\Z))*")
_RELATIONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_OPERATORS: Final = _RELATIONS | {"||", "&&", "+", "-", "*", "/", "%", "!", "?", ":"}
_RESERVED: Final = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "in"}
    | {"let", "loop", "package", "namespace", "return", "var", "void", "while"}
)
_LITERAL: Final = "a literal"
"""In place of the text of a number or a string, which no name and no operator is."""
_MAX_DEPTH: Final = 80
_ESCAPE: Final = re.compile(
    r"""\\(?:[abfnrtv\\?"'`]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|(?P<bad>.|\Z))""",
    re.DOTALL,
)
_RAW: Final = re.compile(r"[bB]?[rR]")
_MACROS: Final = {"all": 2, "exists": 2, "exists_one": 2, "map": 2, "filter": 2}
"""Macros of lists: their first argument names a variable; ``map`` may have a condition before the last."""


class _NotCelError(Exception):
    """Says where and why."""


def cel_fault(expression: str) -> str | None:
    """None if the text is a CEL expression."""
    try:
        _Parser(_tokens(expression)).whole()
    except _NotCelError as error:
        return f"must be a valid CEL expression: {error}"
    return None


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    while True:
        space = _SPACE.match(text, position)
        position = space.end() if space is not None else position
        if position == len(text):
            break
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise _NotCelError(f"unexpected {text[position : position + 10]!r}")
        _check_literal(match.lastgroup, match[match.lastgroup])
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


def _check_literal(kind: str, text: str) -> None:
    if kind == "string" and not _RAW.match(text):
        bad = next((escape for escape in _ESCAPE.finditer(text) if escape["bad"] is not None), None)
        if bad is not None:
            raise _NotCelError(f"unknown escape {bad[0]!r}")
    unsigned = text.endswith("u")
    digits = text.removesuffix("u")
    if kind == "number" and (digits.isdigit() or digits.startswith("0x")):
        limit = 2**64 if unsigned else 2**63 + 1
        if int(digits, 0 if digits.startswith("0x") else 10) >= limit:
            raise _NotCelError(f"number too large: {text}")


class _Parser:
    """Recursive descent, one method per rule of the grammar."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0

    def whole(self) -> None:
        self.expression()
        if self.position < len(self.tokens):
            raise _NotCelError(f"unexpected {self.tokens[self.position][1]!r}")

    def peek(self) -> str:
        if self.position >= len(self.tokens):
            return ""
        kind, text = self.tokens[self.position]
        return text if kind in ("operator", "name") else _LITERAL

    def take(self, *texts: str) -> bool:
        if self.peek() in texts:
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise _NotCelError(f"expected {text!r}, found {self.peek() or 'the end'!r}")

    def expression(self) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _NotCelError("nested too deep")
        self.disjunction()
        if self.take("?"):
            self.disjunction()
            self.expect(":")
            self.expression()
        self.depth -= 1

    def disjunction(self) -> None:
        self.conjunction()
        while self.take("||"):
            self.conjunction()

    def conjunction(self) -> None:
        self.relation()
        while self.take("&&"):
            self.relation()

    def relation(self) -> None:
        self.sum()
        while self.take(*_RELATIONS):
            self.sum()

    def sum(self) -> None:
        self.unary()
        while self.take("+", "-", "*", "/", "%"):
            self.unary()

    def unary(self) -> None:
        if self.take("!"):
            while self.take("!"):
                pass
        elif self.take("-"):
            while self.take("-"):
                pass
        self.member()

    def member(self) -> None:
        self.primary()
        while True:
            if self.take("."):
                self.name()
                self.arguments_if_any(of_member=True)
            elif self.take("["):
                self.expression()
                self.expect("]")
            elif self.peek() == "{":
                self.fields("}")
            else:
                return

    def primary(self) -> None:
        if self.take("("):
            self.expression()
            self.expect(")")
        elif self.take("["):
            self.list_until("]")
        elif self.peek() == "{":
            self.fields("}")
        elif self.take(_LITERAL):
            return
        else:
            self.take(".")
            self.name()
            self.arguments_if_any(of_member=False)

    def name(self) -> None:
        kind, text = self.tokens[self.position] if self.position < len(self.tokens) else ("", "")
        if kind != "name" or text in _RESERVED:
            raise _NotCelError(f"expected a name, found {text or 'the end'!r}")
        self.position += 1

    def arguments_if_any(self, *, of_member: bool) -> None:
        function = self.tokens[self.position - 1][1]
        if not self.take("("):
            return
        arguments = self.list_until(")", trailing_comma=False)
        if function == "has" and not of_member and len(arguments) == 1 and not self.is_selection(arguments[0]):
            raise _NotCelError("has() takes a field, as in has(request.headers)")
        expected = _MACROS.get(function) if of_member else None
        macro = len(arguments) == expected or (function == "map" and len(arguments) == 3)
        if expected is not None and macro and not self.is_variable(arguments[0]):
            raise _NotCelError(f"the first argument of {function}() is the name of a variable")

    def is_variable(self, argument: tuple[int, int]) -> bool:
        start, end = argument
        return end - start == 1 and self.tokens[start][0] == "name"

    def is_selection(self, argument: tuple[int, int]) -> bool:
        """Whether the tokens are ``something.name``, without an operator of its own outside brackets."""
        start, end = argument
        depth = 0
        for _, text in self.tokens[start:end]:
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            if depth == 0 and text in _OPERATORS:
                return False
        return end - start >= 3 and self.tokens[end - 2][1] == "." and self.tokens[end - 1][0] == "name"

    def list_until(self, end: str, *, trailing_comma: bool = True) -> list[tuple[int, int]]:
        """The items before a bracket, each by its first token and the one behind it."""
        items: list[tuple[int, int]] = []
        while not self.take(end):
            start = self.position
            self.expression()
            items.append((start, self.position))
            if not self.take(","):
                self.expect(end)
                break
            if not trailing_comma and self.peek() == end:
                raise _NotCelError(f"expected an argument, found {end!r}")
        return items

    def fields(self, end: str) -> None:
        self.expect("{")
        while not self.take(end):
            self.expression()
            self.expect(":")
            self.expression()
            if not self.take(","):
                self.expect(end)
                return
