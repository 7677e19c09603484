"""When a PEM certificate is valid, read from its DER without a cryptographic library (RFC 5280, section 4.1)."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_FORMATS: Final = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}
_FIELDS_BEFORE_VALIDITY: Final = 3
"""Serial number, signature algorithm, issuer."""


class Validity(NamedTuple):
    """From when to when a certificate is valid."""

    not_before: datetime
    not_after: datetime

    def covers(self, moment: datetime) -> bool:
        """Whether the certificate is valid at a moment."""
        return self.not_before <= moment <= self.not_after


class _Element(NamedTuple):
    tag: int
    value: bytes
    rest: bytes


def certificate_validity(pem: bytes) -> Validity | None:
    """The validity of the first certificate; None where there is none, or none that can be read."""
    block = _PEM.search(pem)
    if block is None:
        return None
    try:
        return _validity(base64.b64decode(b"".join(block[1].split()), validate=True))
    except (binascii.Error, ValueError, IndexError):
        return None


def _validity(der: bytes) -> Validity:
    content = _enter(_enter(der))
    if content[:1] == bytes([_VERSION]):
        content = _read(content).rest
    for _ in range(_FIELDS_BEFORE_VALIDITY):
        content = _read(content).rest
    first = _read(_enter(content))
    return Validity(_time(first), _time(_read(first.rest)))


def _enter(data: bytes) -> bytes:
    element = _read(data)
    if element.tag != _SEQUENCE:
        raise ValueError("no sequence")
    return element.value


def _read(data: bytes) -> _Element:
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    value = data[start : start + length]
    if len(value) != length:
        raise ValueError("cut short")
    return _Element(data[0], value, data[start + length :])


def _time(element: _Element) -> datetime:
    if element.tag not in _FORMATS:
        raise ValueError("no time")
    return datetime.strptime(element.value.decode("ascii"), _FORMATS[element.tag]).replace(tzinfo=UTC)
