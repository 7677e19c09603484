"""The lines of an HTTP/1 head, as Envoy's codec (Balsa) takes them: line ends, folding, characters, limits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from sandbox.wire.http_message import Header, Refusal

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
NOT_CONTROL = bytes(b for b in range(256) if (b >= 0x20 and b != 0x7F) or b in b"\t\r\n")

BAD_REQUEST = Refusal(400, "http1.codec_error")
INVALID_CHARACTERS = Refusal(400, "http1.invalid_characters")
HEADERS_TOO_LARGE = Refusal(431, "http1.headers_too_large")
TOO_MANY_HEADERS = Refusal(431, "http1.too_many_headers")
LOW_VERSION = Refusal(426, "low_version")

MOST_CONTENT = 2**64 - 1
"""Bytes that a Content-Length may tell."""
_PLAIN_LINE = re.compile(b"([%b]+):([\t -~\x80-\xff]*)" % re.escape(TOKEN)).fullmatch
"""Most lines of a head."""
_PLAIN_VALUE = bytes(b if (b >= 0x20 and b != 0x7F) or b == 0x09 else ord("?") for b in range(256))
"""Values that only have what a plain line may have are translated by it to themselves."""
_LONGEST_HEAD = 1024
_MOST_HEADS = 1024
_LONGEST_REMEMBERED = 256
_MOST_REMEMBERED = 4096
_LONGEST_NAME = 64
_MOST_NAMES = 512
_NEWEST = 256
"""So few that they stay in the processor's cache, even where nothing ever comes again."""


class HeadLimits(msgspec.Struct, frozen=True):
    """What a listener or cluster says about heads."""

    max_bytes: int = 60 * 1024
    max_count: int = 100
    underscores: str = "ALLOW"
    """``ALLOW``, ``REJECT_REQUEST`` or ``DROP_HEADER``."""
    accept_http10: bool = False
    allow_absolute_url: bool = True
    refuses_https: bool = False
    """An absolute target of scheme https is refused: the connection has no TLS, and the proxy is an edge."""


DEFAULT_LIMITS = HeadLimits()


class OddLine(Exception):
    """A line that only the slow way understands."""


class RefusedHead(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal


T = TypeVar("T")


class Memory(dict[bytes, T]):
    """What bytes mean, for bytes that come again and again; those that come once are forgotten at once."""

    __slots__ = ("_longest", "_most", "_once")

    def __init__(self, longest: int = _LONGEST_HEAD, most: int = _MOST_HEADS) -> None:
        super().__init__()
        self._longest = longest
        self._most = most
        self._once: list[int | None] = [None] * _NEWEST
        """Hashes of what has come of late, by their remainders: a new one takes the place of an old one."""

    # hot: per head and per line that is new
    def wants(self, data: bytes) -> bool:
        """Whether ``data``, which is not known, has come of late; there is room for it then."""
        number = hash(data)
        place = number % _NEWEST
        if self._once[place] != number:
            self._once[place] = number
            return False
        if len(self) >= self._most:
            self.clear()
        return len(data) <= self._longest


class LineMemory(Memory[Header]):
    """Header lines already found good, so that a line seen before costs one look-up.

    ``memory[line]`` is the field of any line (no line end); raises OddLine or RefusedHead where it is odd or refused.
    """

    __slots__ = ("_names",)

    def __init__(self) -> None:
        super().__init__(_LONGEST_REMEMBERED, _MOST_REMEMBERED)
        self._names: dict[bytes, bytes] = {}
        """Good names as they were spelt, and in lower case: where values are new, names seldom are."""

    # hot: per head; ten known lines in 0.46 µs, by a loop 0.59 µs
    def read_all(self, lines: Iterable[bytes]) -> list[Header]:
        """The fields of a head."""
        return list(map(self.__getitem__, lines))

    # hot: per line that is new
    def __missing__(self, line: bytes) -> Header:
        spelt, colon, value = line.partition(b":")
        name = self._names.get(spelt)
        if name is None or not colon or value.translate(_PLAIN_VALUE) != value:
            header = self._learn(line, spelt)
        else:
            header = name, value.strip(b" \t")
        if self.wants(line):
            self[line] = header
        return header

    def _learn(self, line: bytes, spelt: bytes) -> Header:
        if _PLAIN_LINE(line) is None:
            return _parse_line(line)
        name = spelt.lower()
        if len(spelt) <= _LONGEST_NAME:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            self._names[spelt] = name
        return name, line[len(spelt) + 1 :].strip(b" \t")


def marked_of(headers: Iterable[Header], marks: frozenset[bytes]) -> dict[bytes, bytes]:
    """Those fields that ``marks`` names: of each name the last value."""
    return {name: value for name, value in headers if name in marks}


def _parse_line(line: bytes) -> Header:
    name, colon, value = line.partition(b":")
    if line[:1] in b" \t\n" or b"\n" in line:
        raise OddLine
    if line.translate(None, NOT_CONTROL):
        raise RefusedHead(INVALID_CHARACTERS)
    if not colon or not name or name.translate(None, TOKEN):
        raise RefusedHead(BAD_REQUEST)
    if b"\r" in value:
        value = value.replace(b"\r", b"")
    return name.lower(), value.strip(b" \t")


def regular_lines(data: bytes) -> tuple[list[bytes], int] | None:
    """The lines of a head and the place of its end, whatever line ends it has; folded lines are unfolded."""
    lines: list[bytes] = []
    place = len(data) - len(data.lstrip(b"\r\n"))
    while True:
        end = data.find(b"\n", place)
        if end < 0:
            return None
        line = data[place:end]
        line = line[:-1] if line.endswith(b"\r") else line
        place = end + 1
        if not line:
            return lines, place
        if line[:1] in b" \t" and len(lines) > 1:
            lines[-1] += line
        else:
            lines.append(line)


def lines_of(data: bytes) -> tuple[list[bytes], int, bool] | None:
    """Lines, size of the head, and whether the fast way is enough."""
    end = data.find(b"\r\n\r\n")
    if end > 0:
        lines = data[:end].split(b"\r\n")
        if data.count(b"\n", 0, end) == len(lines) - 1 and data[0] not in b"\r\n":
            return lines, end + 4, True
    regular = regular_lines(data)
    return None if regular is None else (*regular, False)


def field_bytes(head: bytes, most: int | None = None) -> int:
    """Bytes of a head's fields as Envoy counts them: of each its name, its value, and three more.

    Where there may be ``most`` fields, one more is still read, and of the next the name.
    """
    total = 0
    for place, line in enumerate(head.split(b"\n")[1:]):
        name, colon, value = line.partition(b":")
        if colon and most is not None and place > most:
            return total + len(name)
        if colon:
            total += len(name) + len(value.replace(b"\r", b"").strip(b" \t")) + 3
    return total or 3


def is_version(version: bytes) -> bool:
    """Whether it is ``HTTP/`` and two digits with a point between."""
    return version[:5] == b"HTTP/" and len(version) == 8 and version[6:7] == b"." and version[5:8:2].isdigit()
