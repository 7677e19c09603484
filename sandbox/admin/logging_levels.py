"""``/logging``: which of the program's own messages are written.

Source: Envoy source/server/admin/logs_handler.cc; the loggers are ours, the words Envoy's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sandbox.admin.answers import AdminRequest, Answer, Refused

if TYPE_CHECKING:
    from sandbox.app import Sandbox

_ROOT: Final = "sandbox"
_LEVELS: Final = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "off": logging.CRITICAL + 10,
}
_USAGE: Final = (
    "usage: /logging?<name>=<level> (change single level)\n"
    "usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n"
    "usage: /logging?level=<level> (change all levels)\n"
    f"levels: {' '.join(_LEVELS)}\n"
)


def levels(_sandbox: Sandbox, request: AdminRequest) -> Answer:
    """Shows the levels, after what the query changes about them."""
    wanted = {name: value for name, value in request.query.items() if name != "node"}
    if len(wanted) > 1:
        raise _refusal("invalid number of parameters")
    for name, value in wanted.items():
        for logger, level in _changes(name, value):
            logging.getLogger(logger).setLevel(_LEVELS[level])
    return Answer(_shown())


def _changes(name: str, value: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]]
    if name == "level":
        pairs = [(logger, value) for logger in _loggers()]
    elif name == "paths":
        pairs = [(path, level) for path, _, level in (part.partition(":") for part in value.split(","))]
    else:
        pairs = [(name, value)]
    for logger, level in pairs:
        if level not in _LEVELS:
            raise _refusal("unknown logger level")
        if logger not in _loggers():
            raise _refusal("unknown logger name")
    return pairs


def _loggers() -> list[str]:
    known = logging.getLogger().manager.loggerDict
    return sorted(name for name in known if name == _ROOT or name.startswith(f"{_ROOT}."))


def _shown() -> str:
    lines = "".join(f"  {name}: {_level_of(name)}\n" for name in _loggers())
    return f"active loggers:\n{lines}\n"


def _level_of(name: str) -> str:
    level = logging.getLogger(name).getEffectiveLevel()
    return next(reversed([word for word, number in _LEVELS.items() if number <= level] or ["trace"]))


def _refusal(words: str) -> Refused:
    return Refused(f"error: {words}\n\n{_USAGE}{_shown()}")
