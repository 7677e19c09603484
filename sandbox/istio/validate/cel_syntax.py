"""The grammar of CEL, the language of access log filters; only whether a text is an expression.

Grammar: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""\s*(?://[^\n]*\s*)*(?:
      (?P<number>0x[0-9a-fA-F]+u?|(?:\d+\.\d+|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?|\d+u?)
    | (?P<string>(?:[bB][rR]?|[rR][bB]?)?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    | (?P<name>[_a-zA-Z][_a-zA-Z0-9]*|`[^`\n]+`)
    | (?P<operator>\|\||&&|==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])
    )""",
    re.VERBOSE | re.DOTALL,
)
_RELATIONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_RESERVED: Final = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "in"}
    | {"let", "loop", "package", "namespace", "return", "var", "void", "while"}
)
_MAX_DEPTH: Final = 200


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
    tokens, position = [], 0
    end = len(re.sub(r"(?:\s|//[^\n]*(?:\n|\Z))*\Z", "", text)) if text.strip() else 0
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise _NotCelError(f"unexpected {text[position:].strip()[:10]!r}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


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
        return text if kind in ("operator", "name") else kind

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
                self.arguments_if_any()
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
        elif self.take("number", "string"):
            return
        else:
            self.take(".")
            self.name()
            self.arguments_if_any()

    def name(self) -> None:
        kind, text = self.tokens[self.position] if self.position < len(self.tokens) else ("", "")
        if kind != "name" or text in _RESERVED:
            raise _NotCelError(f"expected a name, found {text or 'the end'!r}")
        self.position += 1

    def arguments_if_any(self) -> None:
        if self.take("("):
            self.list_until(")", trailing_comma=False)

    def list_until(self, end: str, *, trailing_comma: bool = True) -> None:
        while not self.take(end):
            self.expression()
            if not self.take(","):
                self.expect(end)
                return
            if not trailing_comma and self.peek() == end:
                raise _NotCelError(f"expected an argument, found {end!r}")

    def fields(self, end: str) -> None:
        self.expect("{")
        while not self.take(end):
            self.expression()
            self.expect(":")
            self.expression()
            if not self.take(","):
                self.expect(end)
                return
