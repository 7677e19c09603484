"""What CEL's functions and operators compute; an overload that is not there is a CelError (google/cel-spec)."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sandbox.access_log.cel_attributes import MISSING, Attributes, MessageFields, parse_duration
from sandbox.access_log.cel_times import GETTERS, NoSuchTime

_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_DOUBLE: Final = re.compile(
    r"\s*[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)\s*", re.ASCII | re.IGNORECASE
)
_HEXADECIMAL_DOUBLE: Final = re.compile(r"\s*[+-]?0x[0-9a-f.]+(?:p[+-]?[0-9]+)?\s*", re.ASCII | re.IGNORECASE)
"""What cel-cpp reads as numbers (``absl::SimpleAtoi``, ``SimpleAtod``)."""


class CelError(Exception):
    """The expression has no value for this stream."""


def element_of(container: Any, key: Any) -> Any:
    """``container[key]``, and ``container.key``."""
    if isinstance(container, list):
        if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < len(container):
            return container[key]
        raise CelError("index out of bounds")
    if isinstance(container, Mapping):
        value = container.get(key, MISSING) if isinstance(key, (str, int, bool)) else MISSING
        if value is not MISSING:
            return value
        raise CelError(f"no such key: {key}")
    raise CelError("no such overload")


def has_field(container: Any, field: str) -> bool:
    """``has(container.field)``."""
    if not isinstance(container, Mapping):
        raise CelError("no such overload")
    if isinstance(container, MessageFields):
        return bool(container.get(field))
    return container.get(field, MISSING) is not MISSING


def printed(value: Any) -> str:
    """The value in words, as Envoy's ``Expr::print`` writes it."""
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


def text_of(value: Any) -> str:
    """A text, as the only type that will do."""
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
            return _in_64_bits(compute(left, right))
        except (ZeroDivisionError, TypeError, OverflowError) as failure:
            raise CelError(str(failure)) from None

    return evaluate


def _in_64_bits(value: Any) -> Any:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise OverflowError("integer overflow")
    return value


def _joined(left: Any, right: Any) -> Any:
    if type(left) is type(right) and isinstance(left, (str, bytes, list)):
        return left + right
    return _arithmetic(operator.add)(left, right)


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, (list, Mapping)):
        raise CelError("no such overload")
    return printed(value)


def _divided(left: Any, right: Any) -> Any:
    if isinstance(left, float):
        return math.nan if right == 0 and left == 0 else math.copysign(math.inf, left) if right == 0 else left / right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    return left - right * int(_divided(left, right))


def _contained(item: Any, container: Any) -> bool:
    if isinstance(container, Mapping):
        return container.get(item, MISSING) is not MISSING
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
    if isinstance(value, Attributes):
        return 0  # Envoy does not count them
    if isinstance(value, (str, bytes, list, Mapping)):
        return len(value)
    raise CelError("no such overload")


def _on_text(method: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, part: method(text_of(value), text_of(part))


def _integer(value: Any) -> int:
    if isinstance(value, datetime):
        return int(value.timestamp())
    try:
        return int(value) if _is_number(value) else int(_number_text(value, _INTEGER))
    except (ValueError, OverflowError) as failure:
        raise CelError(str(failure)) from None


def _number_text(value: Any, form: re.Pattern[str]) -> str:
    text = text_of(value)
    if form.fullmatch(text) is None:
        raise CelError("not a number")
    return text


def _double(value: Any) -> float:
    if _is_number(value):
        return float(value)
    try:
        if _HEXADECIMAL_DOUBLE.fullmatch(text_of(value)):
            return float.fromhex(text_of(value))
    except (ValueError, OverflowError) as failure:
        raise CelError(str(failure)) from None
    return float(_number_text(value, _DOUBLE))


def _duration(value: Any) -> timedelta:
    found = value if isinstance(value, timedelta) else parse_duration(text_of(value))
    if found is None:
        raise CelError("not a duration")
    return found


def _timestamp(value: Any) -> datetime:
    try:
        return value if isinstance(value, datetime) else datetime.fromisoformat(text_of(value))
    except ValueError as failure:
        raise CelError(str(failure)) from None


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = text_of(value)
    if text in ("true", "True", "TRUE", "t", "1"):
        return True
    if text in ("false", "False", "FALSE", "f", "0"):
        return False
    raise CelError("Type conversion error from 'string' to 'bool'")


def _of_time(getter: Callable[..., int]) -> Callable[..., int]:
    def evaluate(*arguments: Any) -> int:
        try:
            return getter(*arguments)
        except NoSuchTime as failure:
            raise CelError(str(failure)) from None

    return evaluate


TYPES: Final = frozenset({"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"})
"""Names that stand for types."""


def _type(value: Any) -> str:
    names = ((bool, "bool"), (int, "int"), (float, "double"), (str, "string"), (bytes, "bytes"), (list, "list"))
    named = next((name for kind, name in names if isinstance(value, kind)), None)
    if named is not None:
        return named
    return "map" if isinstance(value, Mapping) else "null_type" if value is None else "type"


FUNCTIONS: Final[Mapping[tuple[str, int], Callable[..., Any]]] = {
    ("==", 2): _equal,
    ("!=", 2): lambda left, right: not _equal(left, right),
    ("<", 2): _ordered(operator.lt),
    ("<=", 2): _ordered(operator.le),
    (">", 2): _ordered(operator.gt),
    (">=", 2): _ordered(operator.ge),
    ("+", 2): _arithmetic(operator.add),
    ("+ of texts", 2): _joined,
    ("string of", 1): _as_text,
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
    ("bool", 1): _boolean,
    ("bytes", 1): lambda value: value if isinstance(value, bytes) else text_of(value).encode(),
    **{(name, arguments): _of_time(getter) for name, getter in GETTERS.items() for arguments in (1, 2)},
}
"""By name, or sign, and number of arguments."""
OF_TEXTS: Final = {("+", 2): "+ of texts", ("string", 1): "string of"}
"""Functions that filters do not have, and the names under which they stand here."""
METHODS: Final = frozenset({"size", "startsWith", "endsWith", "contains", "matches", *GETTERS})
"""Functions that can also be called as ``x.function()``."""
