"""Regular expressions of the configuration, checked as RE2 checks them."""

from __future__ import annotations

from typing import Final

import re2

_MAX_BYTES: Final = 1024
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False


def regex_fault(pattern: str) -> str | None:
    """A pattern is RE2 and at most 1024 bytes long."""
    if len(pattern.encode()) > _MAX_BYTES:
        return f"regex is too large, max length allowed is {_MAX_BYTES}"
    return compile_fault(pattern)


def compile_fault(pattern: str) -> str | None:
    """A pattern is RE2."""
    try:
        re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        return f"{pattern!r} is no RE2 regex: {reason}"
    return None
