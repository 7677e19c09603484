"""Evaluates CEL over a stream: what Envoy's access-log ExpressionFilter takes, compiled to closures.

Envoy runs CEL without comprehensions and string conversions; an expression that fails on a stream
(a missing header, values of different types) keeps the stream out of the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.access_log.cel_attributes import ROOTS
from sandbox.access_log.cel_functions import (
    FUNCTIONS,
    METHODS,
    OF_TEXTS,
    TYPES,
    CelError,
    element_of,
    has_field,
    printed,
    text_of,
)
from sandbox.access_log.cel_parser import Call, Identifier, Index, ListNode, Literal, MapNode, Node, Select
from sandbox.access_log.cel_parser import parse_expression as parse
from sandbox.access_log.command import FormatRefused
from sandbox.access_log.stream_info import StreamInfo

Evaluation = Callable[[StreamInfo], Any]


def compile_expression(text: str) -> Callable[[StreamInfo], bool]:
    """Whether the expression is true for a stream. Raises FormatRefused where Envoy refuses the expression."""
    evaluate = _compile(parse(text))

    def is_true(info: StreamInfo) -> bool:
        try:
            return evaluate(info) is True
        except CelError:
            return False

    return is_true


def compile_text(text: str) -> Callable[[StreamInfo], str | None]:
    """The value of an expression in words (Envoy's ``Expr::print``); ``None`` where it has none for a stream.

    So Istio's metrics take CEL: other than filters with ``string(x)`` and joined texts and lists (cel-cpp's own
    options). Raises FormatRefused where the expression is refused.
    """
    evaluate = _compile(_with_texts(parse(text)))

    def print_value(info: StreamInfo) -> str | None:
        try:
            return printed(evaluate(info))
        except CelError:
            return None

    return print_value


def _with_texts(node: Node) -> Node:
    """The same with the functions that filters do not have, under names that nobody can write."""
    if isinstance(node, Call):
        function = OF_TEXTS.get((node.function, len(node.arguments)), node.function)
        return Call(function, tuple(map(_with_texts, node.arguments)), node.is_method)
    if isinstance(node, Select):
        return Select(_with_texts(node.operand), node.field, node.is_test)
    if isinstance(node, Index):
        return Index(_with_texts(node.operand), _with_texts(node.key))
    if isinstance(node, ListNode):
        return ListNode(tuple(map(_with_texts, node.items)))
    if isinstance(node, MapNode):
        return MapNode(tuple((_with_texts(key), _with_texts(value)) for key, value in node.entries))
    return node


def _compile(node: Node) -> Evaluation:
    if isinstance(node, Literal):
        value = node.value
        return lambda _info: value
    if isinstance(node, Identifier):
        return _compile_root(node.name)
    if isinstance(node, Select):
        return _compile_select(node)
    if isinstance(node, Index):
        operand, key = _compile(node.operand), _compile(node.key)
        return lambda info: element_of(operand(info), key(info))
    if isinstance(node, ListNode):
        items = [_compile(item) for item in node.items]
        return lambda info: [item(info) for item in items]
    if isinstance(node, MapNode):
        entries = [(_compile(key), _compile(value)) for key, value in node.entries]
        return lambda info: {key(info): value(info) for key, value in entries}
    return _compile_call(node)


def _compile_root(name: str) -> Evaluation:
    root = ROOTS.get(name)
    if root is not None:
        return root
    if name in TYPES:
        return lambda _info: name

    def unknown(_info: StreamInfo) -> Any:
        raise CelError(f"no such attribute: {name}")

    return unknown


def _compile_select(node: Select) -> Evaluation:
    operand, field = _compile(node.operand), node.field
    if node.is_test:
        return lambda info: has_field(operand(info), field)
    return lambda info: element_of(operand(info), field)


# --- functions ---


def _compile_call(node: Call) -> Evaluation:
    arguments = [_compile(argument) for argument in node.arguments]
    if node.function == "&&":
        return _compile_junction(arguments, decided_by=False)
    if node.function == "||":
        return _compile_junction(arguments, decided_by=True)
    if node.function == "?:":
        return _compile_choice(arguments)
    if node.function == "matches":
        return _compile_matches(node, arguments)
    function = FUNCTIONS.get((node.function, len(arguments)))
    if function is None or (node.is_method and node.function not in METHODS):
        raise FormatRefused(
            f"failed to create an expression: No overload found in reference resolve step for {node.function}"
        )
    if len(arguments) == 1:
        only = arguments[0]
        return lambda info: function(only(info))
    left, right = arguments
    return lambda info: function(left(info), right(info))


def _compile_junction(arguments: list[Evaluation], *, decided_by: bool) -> Evaluation:
    """``&&`` and ``||``: one side may decide although the other fails."""
    left, right = arguments

    def evaluate(info: StreamInfo) -> bool:
        failure: CelError | None = None
        for side in (left, right):
            try:
                value = side(info)
            except CelError as error:
                failure = error
                continue
            if not isinstance(value, bool):
                failure = CelError("no such overload")
            elif value is decided_by:
                return decided_by
        if failure is not None:
            raise failure
        return not decided_by

    return evaluate


def _compile_choice(arguments: list[Evaluation]) -> Evaluation:
    condition, chosen, otherwise = arguments

    def evaluate(info: StreamInfo) -> Any:
        value = condition(info)
        if not isinstance(value, bool):
            raise CelError("no such overload")
        return chosen(info) if value else otherwise(info)

    return evaluate


def _compile_matches(node: Call, arguments: list[Evaluation]) -> Evaluation:
    """RE2 anywhere in the text."""
    from sandbox.match.regex import RegexRefused, compile_search

    if len(arguments) != 2:
        raise FormatRefused("failed to create an expression: No overload found in reference resolve step for matches")
    text, pattern = arguments
    fixed = node.arguments[1]
    try:
        search = compile_search(fixed.value) if isinstance(fixed, Literal) and isinstance(fixed.value, str) else None
    except RegexRefused:
        raise FormatRefused(
            "failed to create an expression: invalid_argument unsupported RE2 pattern for matches"
        ) from None

    def evaluate(info: StreamInfo) -> bool:
        value = text(info)
        if not isinstance(value, str):
            raise CelError("no such overload")
        if search is not None:
            return search(value)
        try:
            return compile_search(text_of(pattern(info)))(value)
        except RegexRefused as refused:
            raise CelError(str(refused)) from None

    return evaluate
