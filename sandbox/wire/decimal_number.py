"""Numbers that a peer writes in decimal digits, as many as it likes."""

from __future__ import annotations

_MOST_DIGITS = 20
"""Of 2**64; Python itself raises where a text of more than 4,300 digits is to be read."""


def decimal_number(text: bytes, most: int) -> int | None:
    """The number; ``None`` where the text is anything but digits, or the number more than ``most``."""
    if not text.isdigit():
        return None
    if len(text) > _MOST_DIGITS:
        text = text.lstrip(b"0") or b"0"
        if len(text) > _MOST_DIGITS:
            return None
    number = int(text)
    return number if number <= most else None
