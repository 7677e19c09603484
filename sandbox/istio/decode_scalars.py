"""One converter per type of a field that is not a message: text, numbers, enum words, durations, maps."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sandbox.istio.durations import parse_duration
from sandbox.istio.read_object import ObjectReader, Spot, shown
from sandbox.istio.scalars import IntegerRange
from sandbox.yaml_source.nodes import YamlMapping
from sandbox.yaml_source.problems import did_you_mean

Convert = Callable[[object, ObjectReader, Spot], object]
"""The value of a field, or ``LEFT_OUT`` after a fault; null never reaches it except inside lists and maps."""

_INTEGER_TEXT: Final = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_NUMBER_TEXT: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)\Z")
_NUMBER_WORDS: Final = ("NaN", "Infinity", "-Infinity")
_JSON_INTEGER_LIMIT: Final = 1e21
"""From here on Go writes a float with an exponent, which is no integer to its JSON reader."""


def text(value: object, reader: ObjectReader, spot: Spot) -> object:
    """A string; unquoted numbers and booleans are not text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    hint = "" if isinstance(value, list | dict) else "put it in quotes"
    if isinstance(value, bool):
        hint += "; y, n, yes, no, on and off are booleans without them"
    message = f"text expected, not {shown(value)}"
    left_out = reader.fault("SBX0102", message, spot, hint=hint, guessable=bool(hint))
    return str(value) if hint else left_out


def boolean(value: object, reader: ObjectReader, spot: Spot) -> object:
    """A boolean; text is none."""
    if isinstance(value, bool):
        return value
    if value is None:
        return False
    hint = "write it without quotes" if value in ("true", "false") else ""
    return reader.fault("SBX0102", f"true or false expected, not {shown(value)}", spot, hint=hint)


def integer(limits: IntegerRange) -> Convert:
    """An integer within its type; text of digits passes istiod but not the schema."""

    def convert(value: object, reader: ObjectReader, spot: Spot) -> object:
        if value is None:
            return 0
        number = value
        if isinstance(value, float) and value.is_integer() and abs(value) < _JSON_INTEGER_LIMIT:
            number = int(value)
        elif isinstance(value, str) and _INTEGER_TEXT.match(value) and len(value) < 30:
            number = int(value)
            reader.complain("SBX0102", f"number expected, not {shown(value)}", spot, hint="write it without quotes")
        if isinstance(number, bool) or not isinstance(number, int):
            return reader.fault("SBX0102", f"whole number expected, not {shown(value)}", spot, guessable=True)
        if not limits.least <= number <= limits.most:
            message = f"{number} is not within {limits.least} and {limits.most}"
            return reader.fault("SBX0104", message, spot, guessable=True)
        return number

    return convert


def number(value: object, reader: ObjectReader, spot: Spot) -> object:
    """A floating point number."""
    if value is None:
        return 0.0
    if isinstance(value, str) and (_NUMBER_TEXT.match(value) or value in _NUMBER_WORDS):
        reader.complain("SBX0102", f"number expected, not {shown(value)}", spot, hint="write it without quotes")
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return reader.fault("SBX0102", f"number expected, not {shown(value)}", spot)
    return float(value)


def word(words: tuple[str, ...]) -> Convert:
    """One of an enum's words; its number passes istiod but not the schema."""
    known = dict.fromkeys(words)

    def convert(value: object, reader: ObjectReader, spot: Spot) -> object:
        if isinstance(value, str) and value in known:
            return value
        if value is None:
            return words[0]
        allowed = ", ".join(words)
        if isinstance(value, str):
            near = did_you_mean(value, words)
            hint = f"did you mean {near}? the words are {allowed}" if near else f"the words are {allowed}"
            message = f"{value!r} is none of the words this field takes"
            left_out = reader.fault("SBX0103", message, spot, hint=hint, guessable=bool(near))
            return near or left_out
        if isinstance(value, bool) or not isinstance(value, int):
            return reader.fault("SBX0102", f"one of {allowed} expected, not {shown(value)}", spot)
        reader.complain("SBX0102", f"one of {allowed} expected, not {shown(value)}", spot)
        return words[value] if 0 <= value < len(words) else words[0]

    return convert


def duration(value: object, reader: ObjectReader, spot: Spot) -> object:
    """A ``google.protobuf.Duration`` in Go's spelling."""
    if not isinstance(value, str):
        hint = f"write {value}s" if isinstance(value, int | float) and not isinstance(value, bool) else ""
        return reader.fault("SBX0102", f"duration expected, not {shown(value)}", spot, hint=hint, guessable=bool(hint))
    try:
        return parse_duration(value)
    except ValueError as error:
        return reader.fault("SBX0105", f"{value!r} is no duration", spot, hint=str(error), guessable=True)


def moment(value: object, reader: ObjectReader, spot: Spot) -> object:
    """A point in time as in RFC 3339."""
    try:
        if not _MOMENT.match(str(value)):
            raise ValueError
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        hint = "write it as in 2024-05-01T12:00:00Z"
        return reader.fault("SBX0112", f"{shown(value)} is no point in time", spot, hint=hint)
    return parsed


def octets(value: object, reader: ObjectReader, spot: Spot) -> object:
    """Bytes, written in base64."""
    if value is None:
        return b""
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return reader.fault("SBX0111", f"{shown(value)} is not base64", spot)


def integer_or_text(value: object, reader: ObjectReader, spot: Spot) -> object:
    """A port by number or by name."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return value
    return reader.fault("SBX0102", f"number or name expected, not {shown(value)}", spot)


def free_value(value: object, reader: ObjectReader, spot: Spot) -> object:
    """Any JSON value."""
    del reader, spot
    return value


def free_mapping(value: object, reader: ObjectReader, spot: Spot) -> object:
    """A mapping whose inside nobody types."""
    if isinstance(value, YamlMapping):
        return value
    return reader.fault("SBX0102", f"mapping expected, not {shown(value)}", spot)
