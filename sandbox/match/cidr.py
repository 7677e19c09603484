"""IP prefixes: is an address in one, and which of many is the most specific."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Generic, TypeVar

from sandbox.plan.base import CidrRange

T = TypeVar("T")


class Prefix:
    """One prefix, compared as integers: much quicker than ``ipaddress`` objects."""

    __slots__ = ("is_v6", "length", "network", "shift")

    def __init__(self, address: str, length: int) -> None:
        parsed = ipaddress.ip_address(address)
        bits = parsed.max_prefixlen
        self.is_v6 = parsed.version == 6
        self.length = min(length, bits)
        self.shift = bits - self.length
        self.network = int(parsed) >> self.shift

    @classmethod
    def of(cls, cidr: CidrRange) -> Prefix:
        """The plan's range; an absent length is 0, as in the proto."""
        return cls(cidr.address_prefix, cidr.prefix_len or 0)

    def holds(self, ip: str) -> bool:
        """Whether the address (a literal of either family) lies in it; what is no address lies in none."""
        number, is_v6 = address_number(ip)
        return number >= 0 and is_v6 is self.is_v6 and number >> self.shift == self.network

    def __str__(self) -> str:
        number = self.network << self.shift
        address = ipaddress.IPv6Address(number) if self.is_v6 else ipaddress.IPv4Address(number)
        return f"{address}/{self.length}"


class PrefixTable(Generic[T]):
    """Prefixes to values; a lookup gives the value of the most specific prefix, like Envoy's LC trie."""

    __slots__ = ("_lengths", "_values")

    def __init__(self, entries: Iterable[tuple[Prefix, T]]) -> None:
        self._values: dict[tuple[bool, int, int], T] = {}
        lengths: dict[bool, set[int]] = {False: set(), True: set()}
        for prefix, value in entries:
            self._values.setdefault((prefix.is_v6, prefix.length, prefix.network), value)
            lengths[prefix.is_v6].add(prefix.length)
        self._lengths = {
            is_v6: tuple((length, bits - length) for length in sorted(lengths[is_v6], reverse=True))
            for is_v6, bits in ((False, 32), (True, 128))
        }

    def find(self, ip: str) -> T | None:
        """The value for an IP literal."""
        number, is_v6 = address_number(ip)
        if number < 0:
            return None
        values = self._values
        for length, shift in self._lengths[is_v6]:
            key = (is_v6, length, number >> shift)
            if key in values:
                return values[key]
        return None


def address_number(ip: str) -> tuple[int, bool]:
    """An IP literal as ``(number, is_v6)``; ``(-1, False)`` where it is none."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return -1, False
    return int(address), address.version == 6


def canonical_ip(ip: str) -> str:
    """The shortest spelling of an IP literal; other text unchanged."""
    try:
        return str(ipaddress.ip_address(ip))
    except ValueError:
        return ip
