"""Splits format strings into literal text and command operators (``%REQ(X?Y):10%``)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_COMMAND: Final = re.compile(r"%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::([0-9]+))?%")


class FormatRefused(ValueError):
    """Envoy would refuse the format and with it the listener; the text is Envoy's."""


class Command(msgspec.Struct, frozen=True):
    """One operator: ``name``, what stands in the brackets, and the maximum length in bytes."""

    name: str
    argument: str = ""
    max_length: int | None = None


def parse_format(text: str) -> list[str | Command]:
    """Literals and commands in order; ``%%`` is a per cent sign. Raises FormatRefused."""
    parts: list[str | Command] = []
    literal: list[str] = []
    position = 0
    while position < len(text):
        percent = text.find("%", position)
        if percent < 0:
            literal.append(text[position:])
            break
        literal.append(text[position:percent])
        if text.startswith("%%", percent):
            literal.append("%")
            position = percent + 2
            continue
        found = _COMMAND.match(text, percent)
        if found is None:
            at = len(text[:percent].encode())
            raise FormatRefused(f"Incorrect configuration: {text}. Couldn't find valid command at position {at}")
        if any(literal):
            parts.append("".join(literal))
        literal = []
        parts.append(Command(found[1], found[2] or "", int(found[3]) if found[3] else None))
        position = found.end()
    if any(literal):
        parts.append("".join(literal))
    return parts
