"""Header compression for what we send, with nghttp2's choices: sizes in the access log follow from them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import lru_cache

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

from sandbox.wire.http_message import Header

DEFAULT_TABLE_BYTES = 4096
ENTRY_OVERHEAD = 32
"""Of an entry of the table, beside name and value (RFC 7541, section 4.1)."""
SHORT_COOKIE = 20
"""Cookies shorter than this may be guessed with the table's help, and never enter it."""
_WITHOUT_INDEX = frozenset(
    {
        b":path",
        b"age",
        b"content-length",
        b"etag",
        b"if-modified-since",
        b"if-none-match",
        b"location",
        b"set-cookie",
    }
)
_STATIC: dict[Header, int] = {}
_STATIC_NAMES: dict[bytes, int] = {}
for _index, (_name, _value) in enumerate(HeaderTable.STATIC_TABLE, 1):
    _STATIC.setdefault((_name, _value), _index)
    _STATIC_NAMES.setdefault(_name, _index)
_CODES = [f"{code:0{length}b}" for code, length in zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=False)]
"""Huffman's code of each byte, in binary digits."""
_LONGEST_REMEMBERED = 256
STATIC_ENTRIES = len(HeaderTable.STATIC_TABLE)
_INDEXED, _INCREMENTAL, _NOT_INDEXED, _NEVER_INDEXED, _TABLE_SIZE = 0x80, 0x40, 0x00, 0x10, 0x20


class HpackEncoder:
    """The encoding side of one connection (``nghttp2_hd_deflater``)."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, bytes, bytes]] = deque()
        """The dynamic table, newest first; each with its number, counted from the connection's beginning."""
        self._numbers: dict[Header, int] = {}
        self._name_numbers: dict[bytes, int] = {}
        self._next_number = 0
        self._size = 0
        self._maximum = DEFAULT_TABLE_BYTES
        self._announced: list[int] = []
        """Table sizes that the peer has to be told of before the next block."""

    def set_peer_maximum(self, maximum: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE; its answer stands before the next block, even if nothing changes."""
        self._maximum = min(maximum, DEFAULT_TABLE_BYTES)
        smallest = min([*self._announced[:1], self._maximum])
        self._announced = [self._maximum] if smallest == self._maximum else [smallest, self._maximum]
        self._make_room(0)

    def encode(self, headers: Iterable[Header]) -> bytes:
        """One header block."""
        block = bytearray()
        for size in self._announced:
            block += _integer(size, 5, _TABLE_SIZE)
        self._announced = []
        for name, value in headers:
            self._encode_field(block, name, value)
        return bytes(block)

    def _encode_field(self, block: bytearray, name: bytes, value: bytes) -> None:
        is_secret = name == b"authorization" or (name == b"cookie" and len(value) < SHORT_COOKIE)
        if not is_secret:
            index = self._find(name, value)
            if index:
                block += _integer(index, 7, _INDEXED)
                return
        name_index = _STATIC_NAMES.get(name, 0)
        if not name_index and name in self._name_numbers:
            name_index = self._index_of(self._name_numbers[name])
        size = len(name) + len(value) + ENTRY_OVERHEAD
        if is_secret:
            kind, bits = _NEVER_INDEXED, 4
        elif name in _WITHOUT_INDEX or size > self._maximum * 3 // 4:
            kind, bits = _NOT_INDEXED, 4
        else:
            kind, bits = _INCREMENTAL, 6
            self._add(name, value, size)
        block += _integer(name_index, bits, kind)
        if not name_index:
            block += _string(name)
        block += _string(value)

    def _find(self, name: bytes, value: bytes) -> int:
        number = self._numbers.get((name, value))
        return _STATIC.get((name, value), 0) if number is None else self._index_of(number)

    def _index_of(self, number: int) -> int:
        return STATIC_ENTRIES + self._next_number - number

    def _add(self, name: bytes, value: bytes, size: int) -> None:
        self._make_room(size)
        if size > self._maximum:
            return
        number = self._next_number
        self._next_number += 1
        self._entries.appendleft((number, name, value))
        self._numbers[name, value] = self._name_numbers[name] = number
        self._size += size

    def _make_room(self, size: int) -> None:
        while self._entries and self._size + size > self._maximum:
            number, name, value = self._entries.pop()
            self._size -= len(name) + len(value) + ENTRY_OVERHEAD
            if self._numbers.get((name, value)) == number:
                del self._numbers[name, value]
            if self._name_numbers.get(name) == number:
                del self._name_numbers[name]


def _integer(value: int, bits: int, first: int) -> bytes:
    """An integer with a prefix of ``bits`` (RFC 7541, section 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((first | value,))
    encoded = bytearray((first | limit,))
    value -= limit
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _string(text: bytes) -> bytes:
    """In Huffman's code where that is shorter."""
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _encoded(text)


def _encoded(text: bytes) -> bytes:
    # As one number that grows by a byte at a time: 200 ms for the longest header, by digits 1.2 ms.
    digits = "".join([_CODES[byte] for byte in text])
    size = (len(digits) + 7) // 8
    if size >= len(text):
        return _integer(len(text), 7, 0) + text
    return _integer(size, 7, 0x80) + int(digits.ljust(size * 8, "1"), 2).to_bytes(size, "big")


_remembered = lru_cache(maxsize=2048)(_encoded)
"""The same few hundred strings come again and again."""
