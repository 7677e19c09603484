"""JSON as Envoy writes it: its numbers, and strings that are not UTF-8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode

SMALL_NUMBERS: Final[dict[int | None, bytes]] = {None: b"null", **{value: b"%d" % value for value in range(1024)}}
"""Most numbers of a log, in JSON."""
TEXTS: Final[dict[str | bytes | None, bytes]] = {None: b"null"}
"""What is told again and again, in JSON: names, addresses, methods. See ``json_text``."""
_MOST_TEXTS: Final = 4096
_LONGEST_TEXT: Final = 256

SMALLEST_ODD_NUMBER: Final = 100_000
"""Below it whole numbers are written as everybody does."""


def number_text(number: float) -> str:
    """The shortest form of a double: ``1e+05`` for 100000, because that is shorter; ``150000`` in full."""
    if number != number or number in (float("inf"), float("-inf")):
        return "null"
    sign = "-" if number < 0 else ""
    digits, exponent = _digits(abs(number))
    if digits == "0":
        return "0"
    fixed = _fixed(digits, exponent)
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    power = exponent + len(digits) - 1
    scientific = f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return sign + (scientific if len(scientific) < len(fixed) else fixed)


def _digits(number: float) -> tuple[str, int]:
    """The shortest decimal digits that give the double back, and the power of ten of the last one."""
    mantissa, _, power = repr(float(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    exponent = int(power or 0) - len(fraction)
    digits = (whole + fraction).lstrip("0")
    stripped = digits.rstrip("0")
    return stripped or "0", exponent + len(digits) - len(stripped)


def _fixed(digits: str, exponent: int) -> str:
    if exponent >= 0:
        return digits + "0" * exponent
    point = len(digits) + exponent
    return f"{digits[:point]}.{digits[point:]}" if point > 0 else f"0.{'0' * -point}{digits}"


def number(value: float | None) -> Any:
    """What to give to the encoder for a number, or for none."""
    if value is None or (isinstance(value, int) and -SMALLEST_ODD_NUMBER < value < SMALLEST_ODD_NUMBER):
        return value
    return msgspec.Raw(number_text(value).encode())


def json_number(value: float | None) -> bytes:
    """A number, or none, in JSON."""
    return encode(number(value))


def json_text(value: str | bytes | None) -> bytes:
    """A text, or none, in JSON; ``TEXTS`` remembers it."""
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    try:
        encoded = encode(text)
    except UnicodeEncodeError:
        encoded = encode_any(text)
    if len(encoded) <= _LONGEST_TEXT:
        if len(TEXTS) >= _MOST_TEXTS:
            TEXTS.clear()
            TEXTS[None] = b"null"
        TEXTS[value] = encoded
    return encoded


def encode_any(value: object) -> bytes:
    """JSON of what may hold undecodable bytes."""
    return encode(repaired(value))


def repaired(value: object) -> object:
    """A copy in which strings that hold undecodable bytes (as surrogates) are written as Envoy writes them.

    Envoy then takes each byte for a Latin-1 character and escapes every special one as ``\\u00XX``.
    """
    if isinstance(value, str):
        raw = value.encode("utf-8", "surrogateescape")
        return value if _is_utf8(value) else msgspec.Raw(b'"' + b"".join(map(_escaped, raw)) + b'"')
    if isinstance(value, dict):
        return {key: repaired(member) for key, member in value.items()}
    if isinstance(value, list):
        return [repaired(member) for member in value]
    return value


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(byte: int) -> bytes:
    if byte < 0x20 or byte >= 0x80 or byte in b'"\\':
        return b"\\u%04x" % byte
    return bytes((byte,))


def structure_value(value: object) -> object:
    """A free structure (metadata) ready for the encoder: keys sorted, numbers in Envoy's form."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, (list, tuple)):
        return [structure_value(member) for member in value]
    if hasattr(value, "items"):
        return {str(key): structure_value(member) for key, member in sorted(value.items())}
    return str(value)
