"""xxHash64, with which Envoy places hosts on rings and hashes header values."""

from __future__ import annotations

from typing import Final

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_P1: Final = 0x9E37_79B1_85EB_CA87
_P2: Final = 0xC2B2_AE3D_27D4_EB4F
_P3: Final = 0x1656_67B1_9E37_79F9
_P4: Final = 0x85EB_CA77_C2B2_AE63
_P5: Final = 0x27D4_EB2F_1656_67C5


def xxhash64(data: bytes, seed: int = 0) -> int:
    """The 64-bit hash of ``data`` (the XXH64 specification)."""
    size = len(data)
    position = 0
    if size >= 32:
        value, position = _stripes(data, seed)
    else:
        value = (seed + _P5) & _MASK
    value = (value + size) & _MASK
    while position + 8 <= size:
        value ^= _round(0, int.from_bytes(data[position : position + 8], "little"))
        value = (_rotated(value, 27) * _P1 + _P4) & _MASK
        position += 8
    if position + 4 <= size:
        value ^= (int.from_bytes(data[position : position + 4], "little") * _P1) & _MASK
        value = (_rotated(value, 23) * _P2 + _P3) & _MASK
        position += 4
    for byte in data[position:]:
        value ^= (byte * _P5) & _MASK
        value = (_rotated(value, 11) * _P1) & _MASK
    return _avalanche(value)


def _stripes(data: bytes, seed: int) -> tuple[int, int]:
    """The hash of all whole 32-byte stripes, and how many bytes they are."""
    lanes = [(seed + _P1 + _P2) & _MASK, (seed + _P2) & _MASK, seed & _MASK, (seed - _P1) & _MASK]
    position = 0
    while position + 32 <= len(data):
        for index in range(4):
            start = position + 8 * index
            lanes[index] = _round(lanes[index], int.from_bytes(data[start : start + 8], "little"))
        position += 32
    value = sum(_rotated(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
    for lane in lanes:
        value = ((value ^ _round(0, lane)) * _P1 + _P4) & _MASK
    return value, position


def _avalanche(value: int) -> int:
    value = ((value ^ value >> 33) * _P2) & _MASK
    value = ((value ^ value >> 29) * _P3) & _MASK
    return value ^ value >> 32


def _round(lane: int, word: int) -> int:
    return (_rotated((lane + word * _P2) & _MASK, 31) * _P1) & _MASK


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & _MASK
