"""Consistent hashing: Envoy's ring hash and Maglev tables, built for a fixed set of weighted hosts."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from sandbox.match.xxhash64 import xxhash64

H = TypeVar("H")

DEFAULT_MINIMUM_RING: Final = 1024
DEFAULT_MAXIMUM_RING: Final = 8 * 1024 * 1024
DEFAULT_MAGLEV_SIZE: Final = 65_537
_ALL_BITS: Final = 2**64 - 1


class HashRing(Generic[H]):
    """``ring_hash_lb.cc``: each host stands at points in proportion to its weight; the next point clockwise serves."""

    __slots__ = ("_hosts", "_points")

    def __init__(
        self, entries: Sequence[tuple[H, bytes, float]], minimum_size: int | None, maximum_size: int | None
    ) -> None:
        """``entries``: host, the key it is placed by, its share (all shares add up to 1)."""
        ring: list[tuple[int, int]] = []
        least = min((share for _, _, share in entries), default=0.0)
        if least > 0:
            wanted = math.ceil(least * (minimum_size or DEFAULT_MINIMUM_RING)) / least
            scale = min(wanted, float(maximum_size or DEFAULT_MAXIMUM_RING))
            placed = 0
            target = 0.0
            for index, (_, key, share) in enumerate(entries):
                target += scale * share
                copy = 0
                while placed < target:
                    ring.append((xxhash64(key + b"_%d" % copy), index))
                    copy += 1
                    placed += 1
        ring.sort()
        self._points = [point for point, _ in ring]
        self._hosts = [entries[index][0] for _, index in ring]

    def find(self, key: int, given_up: int = 0) -> H | None:
        """The host for a 64-bit hash; so many points further on where that many were given up."""
        count = len(self._points)
        if not count:
            return None
        index = bisect_left(self._points, key)
        return self._hosts[((index if index < count else 0) + given_up) % count]


class MaglevTable(Generic[H]):
    """``maglev_lb.cc``: a table of prime size that the hosts fill in turns, each along its own permutation."""

    __slots__ = ("_size", "_table")

    def __init__(self, entries: Sequence[tuple[H, bytes, float]], size: int | None) -> None:
        self._size = size or DEFAULT_MAGLEV_SIZE
        self._table = _fill(sorted(entries, key=lambda entry: entry[1]), self._size) if entries else []

    def find(self, key: int, given_up: int = 0) -> H | None:
        """The host for a 64-bit hash; another hash is made of it for each host that was given up."""
        if given_up:
            key ^= _ALL_BITS - given_up + 1
        return self._table[key % self._size] if self._table else None


def _fill(entries: Sequence[tuple[H, bytes, float]], size: int) -> list[H]:
    heaviest = max(share for _, _, share in entries)
    slots = [-1] * size
    position = [xxhash64(key) % size for _, key, _ in entries]
    skip = [xxhash64(key, 1) % (size - 1) + 1 for _, key, _ in entries]
    targets = [0.0] * len(entries)
    filled = 0
    turn = 1
    while filled < size:
        for index, (_, _, share) in enumerate(entries):
            if filled >= size:
                break
            if turn * share < targets[index]:
                continue  # lighter hosts sit out some turns
            targets[index] += heaviest
            slot = position[index]
            while slots[slot] >= 0:
                slot = (slot + skip[index]) % size
            slots[slot] = index
            position[index] = (slot + skip[index]) % size
            filled += 1
        turn += 1
    return [entries[index][0] for index in slots]
