"""Durations as Go writes them: ``1h30m``, ``250ms``, ``1.5s``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART: Final = re.compile(r"(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?(?P<unit>[^0-9.]+)")
_LIMIT: Final = 2**63


def parse_duration(text: str) -> timedelta:
    """The duration of a text; ``ValueError`` says what it needs.

    Parts of a microsecond round away from zero, so that what is no whole number of milliseconds stays so.
    """
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return timedelta(0)
    if not rest:
        raise ValueError("a duration needs a number and a unit, as in 5s")
    total, position = 0, 0
    while position < len(rest):
        part = _PART.match(rest, position)
        total += _part_nanoseconds(part, rest[position:])
        assert part is not None, "checked above"
        position = part.end()
    if total >= _LIMIT:
        raise ValueError("the duration is too long")
    return timedelta(microseconds=sign * -(-total // 1000))


def _part_nanoseconds(part: re.Match[str] | None, rest: str) -> int:
    if part is None:
        if rest.replace(".", "", 1).isdigit():
            raise ValueError(f"a duration needs a unit, as in {rest}s")
        raise ValueError("a duration is numbers with units, as in 1h30m or 250ms")
    whole, fraction, unit = part["whole"], part["fraction"] or "", part["unit"]
    if not whole and not fraction:
        raise ValueError("a duration is numbers with units, as in 1h30m or 250ms")
    if unit not in _NANOSECONDS:
        raise ValueError(f"unknown unit {unit!r} in a duration; the units are ns, us, ms, s, m, h")
    scale = _NANOSECONDS[unit]
    return int(whole or "0") * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)
