"""Addresses by hash, as istiod allocates them with ``PILOT_ENABLE_IP_AUTOALLOCATE=false``.

Source: Istio pilot/pkg/serviceregistry/serviceentry/auto_allocation.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SLOTS: Final = 256 * 254
_PRIME: Final = 65011
"""The greatest prime below the number of slots: the step of the second hash."""
_MOST_ATTEMPTS: Final = 16 * SLOTS
"""Where nearly all slots are taken a sequence may meet no free one; istiod then looks for ever."""
_FNV_OFFSET: Final = 0x811C9DC5
_FNV_PRIME: Final = 0x01000193
_UINT32: Final = 0xFFFFFFFF


def allocate_by_hash(keys: Iterable[str]) -> dict[str, tuple[str, str]]:
    """IPv4 and IPv6 addresses by key (``namespace/host``); a key that stands twice takes two slots, but one address."""
    slots: dict[int, str] = {}
    for key in keys:
        slot = _slot(key, slots)
        if slot is None:
            break
        slots[slot] = key
    found: dict[str, tuple[str, str]] = {}
    skipped = 0
    for slot in sorted(slots):
        number = slot + 1 + skipped
        if number % 255 == 0:
            skipped += 1
            number += 1
        found.setdefault(slots[slot], _addresses(number))
    return found


def _slot(key: str, taken: dict[int, str]) -> int | None:
    """Double hashing: the first free slot of the key's sequence, ``None`` where it meets no free one."""
    hashed = _fnv1a(key)
    slot = hashed % SLOTS
    if slot not in taken:
        return slot
    step = _PRIME - hashed % _PRIME
    sequence = (((hashed + attempt * step) & _UINT32) % (SLOTS - 1) for attempt in range(1, _MOST_ATTEMPTS))
    return next((slot for slot in sequence if slot not in taken), None)


def _fnv1a(text: str) -> int:
    value = _FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & _UINT32
    return value


def _addresses(number: int) -> tuple[str, str]:
    third, fourth = divmod(number, 255)
    suffix = f"{fourth:x}" if third == 0 else f"{third:x}{fourth:x}"
    return f"240.240.{third}.{fourth}", f"2001:2::f0f0:{suffix}"
