"""Texts that a regular expression of RE2 matches: for calls that are to take a route of which only a pattern is known.

What RE2's syntax says is read as far as routes use it; whoever asks has RE2 itself confirm the text.
Source: https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from typing import Final

from sandbox.match.regex import RegexRefused, compile_full_match

LONGEST: Final = 1024
"""Characters of an example: ``.{1000}`` is fine, ``(.{1000}){1000}`` is not."""
EXAMPLES: Final = 2
"""At most, of one pattern."""
DEEPEST: Final = 50
"""Groups in groups; RE2 takes a thousand."""
_CANDIDATES: Final = "a0/-_.A" + string.printable
_QUANTIFIER: Final = re.compile(r"([*+?]|\{(\d+)(,\d*)?\})\??")
_GROUP: Final = re.compile(r"\?(P?<\w+>|[a-zA-Z]*-?[a-zA-Z]*:?)")
_CLASS: Final = re.compile(r"\[\^?\]?(\[:\^?\w+:\]|\\.|[^\]\\])*\]", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\([pPx]\{\^?\w+\}|[pP]\w|x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_QUOTED: Final = re.compile(r"\\Q(.*?)(\\E|$)", re.DOTALL)
_EMPTY: Final = frozenset({"\\b", "\\B", "\\A", "\\z"})


def examples_of(pattern: str) -> tuple[str, ...]:
    """What the pattern matches: without what may be left out, and with it once; none where it is beyond us."""
    try:
        fits = compile_full_match(pattern)
        texts = [_Reader(pattern, optional).alternatives() for optional in range(EXAMPLES)]
    except (RegexRefused, _Beyond):
        return ()
    return tuple(text for text in dict.fromkeys(texts) if fits(text.encode()))


class _Beyond(ValueError):
    """The pattern has something that is not read here."""


class _Reader:
    """Reads a pattern once, from left to right, and writes an example of each part."""

    def __init__(self, pattern: str, optional: int) -> None:
        """``optional``: how often what may be left out is taken."""
        self._pattern = pattern
        self._optional = optional
        self._at = 0
        self._depth = 0

    def alternatives(self) -> str:
        """The first of them, up to the end of the group."""
        first = self._sequence()
        while self._takes("|"):
            self._sequence()
        return first

    def _sequence(self) -> str:
        parts: list[str] = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            part = self._atom()
            parts.append(part * self._times())
            if sum(map(len, parts)) > LONGEST:
                raise _Beyond
        return "".join(parts)

    def _times(self) -> int:
        found = _QUANTIFIER.match(self._pattern, self._at)
        if found is None:
            return 1
        self._at = found.end()
        if found[2] is not None:
            least = int(found[2])
            return least if least or found[3] is None else self._optional
        return 1 if found[1] == "+" else self._optional

    def _atom(self) -> str:
        if self._takes("("):
            return self._group()
        if self._takes("^") or self._takes("$"):
            return ""
        for syntax, example in _ATOMS:
            found = syntax.match(self._pattern, self._at)
            if found is not None:
                self._at = found.end()
                return example(found)
        self._at += 1
        return "a" if self._pattern[self._at - 1] == "." else self._pattern[self._at - 1]

    def _group(self) -> str:
        head = _GROUP.match(self._pattern, self._at)
        self._at = head.end() if head is not None else self._at
        self._depth += 1
        if self._depth > DEEPEST:
            raise _Beyond
        inside = self.alternatives()
        self._depth -= 1
        if not self._takes(")"):
            raise _Beyond
        return inside

    def _takes(self, character: str) -> bool:
        if not self._pattern.startswith(character, self._at):
            return False
        self._at += 1
        return True


def _one_of(found: re.Match[str]) -> str:
    """A character that a class takes, as RE2 says."""
    fits = compile_full_match(found[0])
    character = next((each for each in _CANDIDATES if fits(each.encode())), None)
    if character is None:
        raise _Beyond
    return character


def _escaped(found: re.Match[str]) -> str:
    return "" if found[0] in _EMPTY else _one_of(found)


_ATOMS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = (
    (_CLASS, _one_of),
    (_QUOTED, lambda found: found[1]),
    (_ESCAPE, _escaped),
)
