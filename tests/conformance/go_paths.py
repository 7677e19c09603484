"""Paths in the spelling of Istio's Go tests, evaluated on a plan's JSON: ``listeners[*].FilterChains[0].Name``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Any

ONEOFS = {
    "host_rewrite_specifier": ("host_rewrite_literal", "auto_host_rewrite", "host_rewrite_header"),
    "path_rewrite_specifier": ("path_redirect", "prefix_rewrite", "regex_rewrite"),
}
"""Go's names of oneofs, and their members."""

ZERO_WORDS = ("HUNDRED", "APPEND_IF_EXISTS_OR_ADD")
"""Enum words that JSON leaves out, as they are the zero."""


class NotUnderstood(Exception):
    """A path or assertion that this evaluator does not know."""


def snake(name: str) -> str:
    """``FilterChainMatch``, ``GetFilterChainMatch`` and ``filterChainMatch`` are ``filter_chain_match``."""
    if re.match(r"Get[A-Z]", name):
        name = name[3:]
    return re.sub(r"(?<=[a-z0-9])([A-Z])|(?<=[A-Z])([A-Z])(?=[a-z])", r"_\1\2", name).lower()


def snake_keys(value: Json) -> Json:
    """A JSON value with all its keys in snake case."""
    if isinstance(value, Mapping):
        return {snake(str(key)): snake_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [snake_keys(item) for item in value]
    return value


_TOKEN = re.compile(r'\s*(==|!=|[A-Za-z_][A-Za-z0-9_]*|"[^"]*"|-?\d+|[.\[\]()=*,!>&{}|])')


def _tokens(text: str) -> list[str]:
    found, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise NotUnderstood(text)
        found.append(match[1])
        position = match.end()
    return found


@dataclass(frozen=True)
class Selected:
    """All values that a path names; ``[*]`` makes several, each with the indices that led to it."""

    values: tuple[tuple[tuple[int, ...], Json], ...]

    def map(self, function: Callable[[Json], Json]) -> Selected:
        return Selected(tuple((index, function(value)) for index, value in self.values))


class Path:
    """A parsed path; ``select`` evaluates it against named roots."""

    def __init__(self, text: str, functions: Mapping[str, Callable[[Json], Json]]) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._functions = functions
        self.text = text

    def select(self, roots: Mapping[str, Json]) -> Selected:
        self._at = 0
        value = self._primary(roots)
        if self._at != len(self._tokens):
            raise NotUnderstood(self.text)
        return value

    def _next(self, wanted: str | None = None) -> str:
        if self._at >= len(self._tokens):
            raise NotUnderstood(self.text)
        token = self._tokens[self._at]
        if wanted is not None and token != wanted:
            raise NotUnderstood(self.text)
        self._at += 1
        return token

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _primary(self, roots: Mapping[str, Json]) -> Selected:
        name = self._next()
        if self._peek() == "(" and name in self._functions:
            self._next("(")
            argument = self._primary(roots)
            self._next(")")
            selected = argument.map(self._functions[name])
        elif name in roots:
            selected = Selected((((), roots[name]),))
        elif name.isdigit():
            return Selected((((), int(name)),))
        else:
            raise NotUnderstood(self.text)
        while self._peek() in (".", "["):
            selected = self._postfix(selected)
        return selected

    def _postfix(self, selected: Selected) -> Selected:
        if self._next() == ".":
            field = self._next()
            if self._peek() == "(":
                self._next("(")
                self._next(")")
            return selected.map(lambda value: member(value, field))
        first = self._next()
        if first == "*":
            self._next("]")
            return Selected(
                tuple(
                    ((*index, position), item)
                    for index, value in selected.values
                    for position, item in enumerate(value or ())
                )
            )
        if self._peek() == "=":
            self._next("=")
            wanted = ""
            while self._peek() != "]":
                wanted += self._next()
            self._next("]")
            return selected.map(lambda value: _find(value, first, wanted))
        self._next("]")
        position = int(first)
        return selected.map(lambda value: value[position] if value and position < len(value) else None)


def member(value: Json, field: str) -> Json:
    """A field of a message in JSON; an extension's fields may be asked of what holds it."""
    name = snake(field)
    if isinstance(value, str) and name == "seconds":
        return int(float(value.removesuffix("s")))
    if name in ("value", "specifier", "specifier_inline") and not (isinstance(value, Mapping) and name in value):
        return value
    if not isinstance(value, Mapping):
        return None
    if name in value:
        return value[name]
    if name.endswith("_specifier"):
        return {key: item for key, item in value.items() if key in ONEOFS[name]}
    inner = value.get("typed_config")
    return inner.get(name) if isinstance(inner, Mapping) else None


def _find(listeners: Json, key: str, wanted: str) -> Json:
    for listener in listeners or ():
        socket = listener.get("address", {}).get("socket_address", {})
        actual = {"name": listener.get("name"), "port": socket.get("port_value"), "address": socket.get("address")}
        if str(actual[key]) == wanted:
            return listener
    return None


def same(expected: Json, actual: Json) -> bool:
    """Equality in protobuf's sense: absent is the zero of what is expected; keys in any case."""
    expected = snake_keys(expected)
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return all(same(expected.get(key), actual.get(key)) for key in {*expected, *actual} if not key.startswith("@"))
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(same, expected, actual))
    if isinstance(expected, str) and isinstance(actual, str):
        return expected == actual or _duration(expected) == _duration(actual) is not None
    return expected == actual or (not actual and (not expected or expected in ZERO_WORDS))


def _duration(text: str) -> float | None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s", text)
    return round(float(match[1]), 5) if match else None
