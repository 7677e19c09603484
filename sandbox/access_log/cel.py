"""Evaluates CEL over a stream: what Envoy's access-log ExpressionFilter takes, compiled to closures.

Envoy runs CEL without comprehensions and string conversions; an expression that fails on a stream
(a missing header, values of different types) keeps the stream out of the log.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sandbox.access_log.cel_attributes import ROOTS, Missing
from sandbox.access_log.cel_parser import Call, Identifier, Index, ListNode, Literal, MapNode, Node, Select
from sandbox.access_log.cel_parser import parse_expression as parse
from sandbox.access_log.command import FormatRefused
from sandbox.access_log.stream_info import StreamInfo

Evaluation = Callable[[StreamInfo], Any]


class CelError(Exception):
    """The expression has no value for this stream."""


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

    Raises FormatRefused where Envoy refuses the expression.
    """
    evaluate = _compile(parse(text))

    def print_value(info: StreamInfo) -> str | None:
        try:
            return _printed(evaluate(info))
        except CelError:
            return None

    return print_value


def _printed(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    return str(value) if isinstance(value, int) else f"{_type(value)} value"


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
        return lambda info: _at(operand(info), key(info))
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
    if name in _TYPES:
        return lambda _info: name

    def unknown(_info: StreamInfo) -> Any:
        raise CelError(f"no such attribute: {name}")

    return unknown


def _compile_select(node: Select) -> Evaluation:
    operand, field = _compile(node.operand), node.field
    if node.is_test:
        return lambda info: _has(operand(info), field)
    return lambda info: _at(operand(info), field)


def _at(container: Any, key: Any) -> Any:
    if isinstance(container, list):
        if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < len(container):
            return container[key]
        raise CelError("index out of bounds")
    if isinstance(container, Mapping):
        value = container.get(key, Missing) if isinstance(key, (str, int, bool)) else Missing
        if value is not Missing:
            return value
        raise CelError(f"no such key: {key}")
    raise CelError("no such overload")


def _has(container: Any, field: str) -> bool:
    if not isinstance(container, Mapping):
        raise CelError("no such overload")
    return container.get(field, Missing) is not Missing


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
    function = _FUNCTIONS.get((node.function, len(arguments)))
    if function is None or (node.is_method and node.function not in _METHODS):
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
            return compile_search(_text(pattern(info)))(value)
        except RegexRefused as refused:
            raise CelError(str(refused)) from None

    return evaluate


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CelError("no such overload")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _equal(left: Any, right: Any) -> bool:
    if _is_number(left) and _is_number(right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def evaluate(left: Any, right: Any) -> bool:
        if (_is_number(left) and _is_number(right)) or (
            type(left) is type(right) and isinstance(left, (str, bytes, bool, datetime, timedelta))
        ):
            return compare(left, right)
        raise CelError("no such overload")

    return evaluate


def _arithmetic(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def evaluate(left: Any, right: Any) -> Any:
        times = (datetime, timedelta)
        are_numbers = _is_number(left) and _is_number(right) and type(left) is type(right)
        if not are_numbers and not (isinstance(left, times) and isinstance(right, times)):
            raise CelError("no such overload")
        try:
            return compute(left, right)
        except (ZeroDivisionError, TypeError, OverflowError) as failure:
            raise CelError(str(failure)) from None

    return evaluate


def _divided(left: Any, right: Any) -> Any:
    if isinstance(left, float):
        return math.nan if right == 0 and left == 0 else math.copysign(math.inf, left) if right == 0 else left / right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    return left - right * int(_divided(left, right))


def _contained(item: Any, container: Any) -> bool:
    if isinstance(container, Mapping):
        return container.get(item, Missing) is not Missing
    if isinstance(container, list):
        return any(_equal(item, member) for member in container)
    raise CelError("no such overload")


def _not(value: Any) -> bool:
    if not isinstance(value, bool):
        raise CelError("no such overload")
    return not value


def _negated(value: Any) -> Any:
    if not _is_number(value):
        raise CelError("no such overload")
    return -value


def _size(value: Any) -> int:
    if isinstance(value, (str, bytes, list, Mapping)):
        return len(value)
    raise CelError("no such overload")


def _on_text(method: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, part: method(_text(value), _text(part))


def _integer(value: Any) -> int:
    if isinstance(value, datetime):
        return int(value.timestamp())
    try:
        return int(value) if _is_number(value) else int(_text(value))
    except (ValueError, OverflowError) as failure:
        raise CelError(str(failure)) from None


def _double(value: Any) -> float:
    try:
        return float(value) if _is_number(value) else float(_text(value))
    except ValueError as failure:
        raise CelError(str(failure)) from None


def _duration(value: Any) -> timedelta:
    from sandbox.access_log.cel_attributes import parse_duration

    found = value if isinstance(value, timedelta) else parse_duration(_text(value))
    if found is None:
        raise CelError("not a duration")
    return found


def _timestamp(value: Any) -> datetime:
    try:
        return value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))
    except ValueError as failure:
        raise CelError(str(failure)) from None


_TYPES: Final = frozenset({"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"})


def _type(value: Any) -> str:
    names = ((bool, "bool"), (int, "int"), (float, "double"), (str, "string"), (bytes, "bytes"), (list, "list"))
    named = next((name for kind, name in names if isinstance(value, kind)), None)
    if named is not None:
        return named
    return "map" if isinstance(value, Mapping) else "null_type" if value is None else "type"


_FUNCTIONS: Final[Mapping[tuple[str, int], Callable[..., Any]]] = {
    ("==", 2): _equal,
    ("!=", 2): lambda left, right: not _equal(left, right),
    ("<", 2): _ordered(operator.lt),
    ("<=", 2): _ordered(operator.le),
    (">", 2): _ordered(operator.gt),
    (">=", 2): _ordered(operator.ge),
    ("+", 2): _arithmetic(operator.add),
    ("-", 2): _arithmetic(operator.sub),
    ("*", 2): _arithmetic(operator.mul),
    ("/", 2): _arithmetic(_divided),
    ("%", 2): _arithmetic(_remainder),
    ("in", 2): _contained,
    ("!", 1): _not,
    ("negate", 1): _negated,
    ("size", 1): _size,
    ("startsWith", 2): _on_text(str.startswith),
    ("endsWith", 2): _on_text(str.endswith),
    ("contains", 2): _on_text(operator.contains),
    ("int", 1): _integer,
    ("uint", 1): _integer,
    ("double", 1): _double,
    ("duration", 1): _duration,
    ("timestamp", 1): _timestamp,
    ("type", 1): _type,
    ("dyn", 1): lambda value: value,
}
_METHODS: Final = frozenset({"size", "startsWith", "endsWith", "contains", "matches"})
