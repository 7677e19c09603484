"""CEL's functions of times and durations (google/cel-spec, "Date/time functions")."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_OFFSET: Final = re.compile(r"([+-]?)(\d\d):(\d\d)")
_OF_TIMES: Final[Mapping[str, Callable[[datetime], int]]] = {
    "getFullYear": lambda time: time.year,
    "getMonth": lambda time: time.month - 1,
    "getDate": lambda time: time.day,
    "getDayOfMonth": lambda time: time.day - 1,
    "getDayOfWeek": lambda time: time.isoweekday() % 7,
    "getDayOfYear": lambda time: time.timetuple().tm_yday - 1,
    "getHours": lambda time: time.hour,
    "getMinutes": lambda time: time.minute,
    "getSeconds": lambda time: time.second,
    "getMilliseconds": lambda time: time.microsecond // 1000,
}
_OF_DURATIONS: Final[Mapping[str, Callable[[timedelta], int]]] = {
    "getHours": lambda duration: int(duration / timedelta(hours=1)),
    "getMinutes": lambda duration: int(duration / timedelta(minutes=1)),
    "getSeconds": lambda duration: int(duration / timedelta(seconds=1)),
    "getMilliseconds": lambda duration: int(duration / timedelta(milliseconds=1)) % 1000,
}


class NoSuchTime(ValueError):
    """The function has no value for this."""


def _getter(name: str) -> Callable[..., int]:
    def get(value: Any, zone: Any = None) -> int:
        if isinstance(value, timedelta) and zone is None and name in _OF_DURATIONS:
            return _OF_DURATIONS[name](value)
        if not isinstance(value, datetime):
            raise NoSuchTime("no such overload")
        return _OF_TIMES[name](value.astimezone(UTC if zone is None else _zone(zone)))

    return get


def _zone(name: Any) -> tzinfo:
    if not isinstance(name, str):
        raise NoSuchTime("no such overload")
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        sign = -1 if offset[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3])))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise NoSuchTime("Invalid timezone") from None


GETTERS: Final[Mapping[str, Callable[..., int]]] = {name: _getter(name) for name in _OF_TIMES}
"""By name; a time may be asked for in a zone."""
