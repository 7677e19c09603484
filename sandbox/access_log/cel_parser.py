"""Parses CEL, the expression language of Telemetry filters, to a small tree (google/cel-spec, grammar)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sandbox.access_log.command import FormatRefused


class Literal(msgspec.Struct, frozen=True):
    """A constant."""

    value: object


class Identifier(msgspec.Struct, frozen=True):
    """A name."""

    name: str


class Select(msgspec.Struct, frozen=True):
    """``operand.field``; ``is_test`` inside ``has()``."""

    operand: Node
    field: str
    is_test: bool = False


class Index(msgspec.Struct, frozen=True):
    """``operand[key]``."""

    operand: Node
    key: Node


class Call(msgspec.Struct, frozen=True):
    """``function(arguments)``; operators too, under their own signs; a method's target is the first argument."""

    function: str
    arguments: tuple[Node, ...]
    is_method: bool = False


class ListNode(msgspec.Struct, frozen=True):
    """``[a, b]``."""

    items: tuple[Node, ...]


class MapNode(msgspec.Struct, frozen=True):
    """``{a: b}``."""

    entries: tuple[tuple[Node, Node], ...]


Node = Literal | Identifier | Select | Index | Call | ListNode | MapNode

_TOKEN: Final = re.compile(
    r"""(?P<blank>\s+|//[^\n]*)
    |(?P<string>[rRbB]{0,2}(?:'{3}(?:\\.|[^\\])*?'{3}|"{3}(?:\\.|[^\\])*?"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
    |(?P<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<int>0x[0-9a-fA-F]+[uU]?|[0-9]+[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL)
_LETTERS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_RELATIONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_COMPREHENSIONS: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})


def parse_expression(text: str) -> Node:
    """Raises FormatRefused where the text is no expression, or uses what Envoy has switched off."""
    parser = _Parser(text)
    node = parser.expression()
    parser.expect_end()
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0

    # --- tokens ---

    def _peek(self) -> str:
        return self._tokens[self._next][1]

    def _kind(self) -> str:
        return self._tokens[self._next][0]

    def _take(self) -> str:
        value = self._tokens[self._next][1]
        self._next += 1
        return value

    def _accept(self, *signs: str) -> str | None:
        if self._kind() in ("sign", "name") and self._peek() in signs:
            return self._take()
        return None

    def _expect(self, sign: str) -> None:
        if self._accept(sign) is None:
            raise self._error(f"expecting '{sign}'")

    def _error(self, message: str) -> FormatRefused:
        kind, value, column = self._tokens[self._next]
        found = "<EOF>" if kind == "end" else value
        return FormatRefused(
            f"Not able to parse filter expression: column {column + 1}: mismatched input '{found}', {message}"
        )

    def expect_end(self) -> None:
        """Nothing may follow."""
        if self._kind() != "end":
            raise self._error("expecting the end of the expression")

    # --- grammar, from the weakest operator to the strongest ---

    def expression(self) -> Node:
        condition = self._or()
        if self._accept("?") is None:
            return condition
        chosen = self._or()
        self._expect(":")
        return Call("?:", (condition, chosen, self.expression()))

    def _or(self) -> Node:
        node = self._and()
        while self._accept("||"):
            node = Call("||", (node, self._and()))
        return node

    def _and(self) -> Node:
        node = self._relation()
        while self._accept("&&"):
            node = Call("&&", (node, self._relation()))
        return node

    def _relation(self) -> Node:
        node = self._sum()
        while (sign := self._accept(*_RELATIONS)) is not None:
            node = Call(sign, (node, self._sum()))
        return node

    def _sum(self) -> Node:
        node = self._product()
        while (sign := self._accept("+", "-")) is not None:
            node = Call(sign, (node, self._product()))
        return node

    def _product(self) -> Node:
        node = self._unary()
        while (sign := self._accept("*", "/", "%")) is not None:
            node = Call(sign, (node, self._unary()))
        return node

    def _unary(self) -> Node:
        if self._accept("!"):
            return Call("!", (self._unary(),))
        if self._accept("-"):
            return Call("negate", (self._unary(),))
        return self._member()

    def _member(self) -> Node:
        node = self._primary()
        while True:
            if self._accept("."):
                node = self._field(node)
            elif self._accept("["):
                node = Index(node, self.expression())
                self._expect("]")
            else:
                return node

    def _field(self, operand: Node) -> Node:
        if self._kind() != "name":
            raise self._error("expecting IDENTIFIER")
        name = self._take()
        if self._accept("(") is None:
            return Select(operand, name)
        arguments = self._arguments(")")
        if name in _COMPREHENSIONS:
            raise FormatRefused("failed to create an expression: Comprehension support is disabled")
        return Call(name, (operand, *arguments), is_method=True)

    def _arguments(self, closing: str) -> tuple[Node, ...]:
        arguments: list[Node] = []
        while self._accept(closing) is None:
            arguments.append(self.expression())
            if self._accept(",") is None:
                self._expect(closing)
                break
        return tuple(arguments)

    def _primary(self) -> Node:
        kind = self._kind()
        if self._accept("("):
            node = self.expression()
            self._expect(")")
            return node
        if self._accept("["):
            return ListNode(self._arguments("]"))
        if self._accept("{"):
            return self._map()
        if kind in ("string", "float", "int"):
            return Literal(_literal(kind, self._take()))
        self._accept(".")
        if self._kind() != "name" or self._peek() == "in":
            raise self._error("expecting an operand")
        return self._named(self._take())

    def _named(self, name: str) -> Node:
        if name in _CONSTANTS:
            return Literal(_CONSTANTS[name])
        if self._accept("(") is None:
            return Identifier(name)
        arguments = self._arguments(")")
        if name != "has":
            return Call(name, arguments)
        if len(arguments) != 1 or not isinstance(arguments[0], Select):
            raise FormatRefused("Not able to parse filter expression: has() argument must be a field selection")
        return Select(arguments[0].operand, arguments[0].field, is_test=True)

    def _map(self) -> Node:
        entries: list[tuple[Node, Node]] = []
        while self._accept("}") is None:
            key = self.expression()
            self._expect(":")
            entries.append((key, self.expression()))
            if self._accept(",") is None:
                self._expect("}")
                break
        return MapNode(tuple(entries))


def _tokens(text: str) -> list[tuple[str, str, int]]:
    """Kind, text and column of every token; the last is ``end``."""
    tokens: list[tuple[str, str, int]] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise FormatRefused(
                f"Not able to parse filter expression: column {position + 1}: token recognition error "
                f"at: '{text[position]}'"
            )
        if found.lastgroup != "blank":
            tokens.append((str(found.lastgroup), found[0], position))
        position = found.end()
    tokens.append(("end", "", position))
    return tokens


def _literal(kind: str, text: str) -> object:
    if kind == "float":
        return float(text)
    if kind == "int":
        digits = text.rstrip("uU")
        return int(digits, 16) if digits.startswith("0x") else int(digits)
    prefix = text[: min(text.index(quote) for quote in "'\"" if quote in text)].lower()
    body = text[len(prefix) :]
    body = body[3:-3] if len(body) >= 6 and body[:3] in ("'''", '"""') else body[1:-1]
    value = body if "r" in prefix else _ESCAPE.sub(_unescaped, body)
    return value.encode("latin-1", "replace") if "b" in prefix else value


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "0123" and len(code) == 3:
        return chr(int(code, 8))
    return _LETTERS.get(code, code)
