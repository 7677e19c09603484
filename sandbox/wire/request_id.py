"""``x-request-id``: a UUID whose 15th character tells whether the request is traced (Envoy's UUID extension)."""

from __future__ import annotations

_TRACE_PLACE = 14
_VERSION_AND_VARIANT = 0x4 << 76 | 0b10 << 62
_FREE_BITS = ~(0xF << 76 | 0b11 << 62)
NO_TRACE, SAMPLED, FORCED, CLIENT = b"4", b"9", b"a", b"b"


def new_request_id(bits: int) -> bytes:
    """A UUID of version 4 from 128 random bits, not traced."""
    digits = (bits & _FREE_BITS | _VERSION_AND_VARIANT).to_bytes(16, "big").hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()


def trace_digit(value: bytes) -> bytes:
    """The digit that tells the trace status."""
    return value[_TRACE_PLACE : _TRACE_PLACE + 1]


def with_trace_digit(value: bytes, digit: bytes) -> bytes:
    """The same id with another trace status."""
    return value[:_TRACE_PLACE] + digit + value[_TRACE_PLACE + 1 :]


def is_sampled(value: bytes, per_ten_thousand: int) -> bool:
    """Envoy's draw: the first eight digits modulo 10,000; the same id always gives the same answer."""
    return int(value[:8], 16) % 10_000 < per_ten_thousand
