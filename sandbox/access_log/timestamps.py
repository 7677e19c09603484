"""Moments as text: Envoy's default form and its ``%START_TIME(format)%`` language."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from sandbox.access_log.command import FormatRefused

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEWLINE: Final = re.compile(r"%[-_0^#]*[1-9]*(E|O)?n")
_SPECIAL: Final = re.compile(r"%([1-9])?f|%(s)|%E(\*|[0-9]+)([Sf])|%(Ez)|%(%)")

TimeText = Callable[[float], str]
"""From Unix seconds to text."""


_MILLISECONDS: Final = tuple(f"{millisecond:03d}Z" for millisecond in (*range(1000), 999))


def _compile_iso() -> TimeText:
    """``2026-11-20T17:39:49.618Z``; the part before the milliseconds is kept from call to call."""
    known_second = -1
    prefix = ""

    def format_moment(moment: float) -> str:
        nonlocal known_second, prefix
        second = int(moment)
        if second != known_second:
            prefix = (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.")
            known_second = second
        return prefix + _MILLISECONDS[int((moment - second) * 1000 + 1e-3)]

    return format_moment


def compile_time_format(pattern: str, *, is_local: bool = False) -> TimeText:
    """The default form for an empty pattern, else strftime's letters and ``%s %f %3f %E3S``. Raises FormatRefused."""
    if _NEWLINE.search(pattern):
        raise FormatRefused("Invalid header configuration. Format string contains newline.")
    if not pattern and not is_local:
        return _compile_iso()
    pattern = pattern or "%Y-%m-%dT%H:%M:%E3S%z"

    def format_moment(moment: float) -> str:
        nanoseconds = round(moment * 1e6) * 1000
        when = _EPOCH + timedelta(seconds=nanoseconds // 10**9)
        if is_local:
            when = when.astimezone()
        fraction = f"{nanoseconds % 10**9:09d}"
        return when.strftime(_SPECIAL.sub(lambda found: _special(found, when, fraction), pattern))

    return format_moment


def _special(found: re.Match[str], when: datetime, fraction: str) -> str:
    digits, seconds, precision, unit, zone, percent = found.groups()
    if percent:
        return "%%"
    if seconds:
        return str(int(when.timestamp()))
    if zone:
        return when.isoformat()[-6:]
    if precision is None:
        return fraction[: int(digits)] if digits else fraction
    digits_wanted = fraction.rstrip("0") if precision == "*" else fraction[: int(precision)]
    return digits_wanted if unit == "f" else f"{when:%S}" + (f".{digits_wanted}" if digits_wanted else "")
