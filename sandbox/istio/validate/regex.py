"""Regular expressions of the configuration, checked as RE2 checks them."""

from __future__ import annotations

import re
from typing import Final

import re2

_MAX_BYTES: Final = 1024
_GROUP_NAME: Final = re.compile(r"\(\?P?<(\w+)>")
_ESCAPE: Final = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.", re.DOTALL)
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False


def regex_fault(pattern: str) -> str | None:
    """A pattern is RE2 and at most 1024 bytes long."""
    if len(pattern.encode()) > _MAX_BYTES:
        return f"regex is too large, max length allowed is {_MAX_BYTES}"
    return compile_fault(pattern)


def compile_fault(pattern: str) -> str | None:
    """A pattern is RE2, and in the part of it that Go's regexp shares."""
    names = _GROUP_NAME.findall(pattern)
    if len(names) != len(set(names)):
        return f"{pattern!r} names two groups alike"
    if any(escape == r"\C" for escape in _ESCAPE.findall(pattern)):
        return f"{pattern!r} has the escape \\C, which istiod does not know"
    try:
        re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        return f"{pattern!r} is no RE2 regex: {reason}"
    return None
