"""Reads the PROXY protocol's header, version 1 and 2, as Envoy's listener filter does (``proxy_protocol.cc``).

haproxy.org/download/2.9/doc/proxy-protocol.txt; what the specification leaves open is as Envoy 1.39.3 was seen to do.
"""

from __future__ import annotations

import enum
import ipaddress
from typing import Final

import msgspec

from sandbox.wire.decimal_number import decimal_number

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
FIXED_BYTES: Final = 16
"""Of a header of version 2: signature, version and command, family, length."""
LONGEST_LINE: Final = 108
LOCAL, PROXY = 0x20, 0x21
IPV4, IPV6 = 1, 2
TRANSPORTS: Final = (1, 2)
"""Streams and datagrams, which make no difference."""
MOST_PORT: Final = 65_535
Address = tuple[str, int]


class ProxyHeader(msgspec.Struct, frozen=True, gc=False):
    """A header of so many bytes; without addresses the connection's own count."""

    size: int
    source: Address | None = None
    destination: Address | None = None


class NoHeader(enum.Enum):
    """Answers that are no header."""

    NEED_MORE = "need more bytes"
    REFUSED = "refused"


def read_proxy_header(data: bytes) -> ProxyHeader | NoHeader:
    """``data`` is everything that the client has sent so far, at least one byte."""
    if data.startswith(SIGNATURE[: len(data)]):
        return _version_2(data)
    if not data.startswith(b"PROXY"[: len(data)]):
        return NoHeader.REFUSED
    end = data.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0:
        return NoHeader.NEED_MORE if len(data) < LONGEST_LINE else NoHeader.REFUSED
    return _version_1(data[:end].split(b" "), end + 2)


def _version_1(words: list[bytes], size: int) -> ProxyHeader | NoHeader:
    if words[:2] == [b"PROXY", b"UNKNOWN"]:
        return ProxyHeader(size)
    if len(words) != 6 or words[0] != b"PROXY" or words[1] not in (b"TCP4", b"TCP6"):
        return NoHeader.REFUSED
    family = ipaddress.IPv4Address if words[1] == b"TCP4" else ipaddress.IPv6Address
    ports = decimal_number(words[4], MOST_PORT), decimal_number(words[5], MOST_PORT)
    try:
        source, destination = (family(word.decode("latin-1")).packed for word in words[2:4])
    except ValueError:
        return NoHeader.REFUSED
    if ports[0] is None or ports[1] is None:
        return NoHeader.REFUSED
    return _between(size, source, ports[0], destination, ports[1])


def _version_2(data: bytes) -> ProxyHeader | NoHeader:
    if len(data) < FIXED_BYTES:
        return NoHeader.NEED_MORE
    command, kind, length = data[12], data[13], int.from_bytes(data[14:16], "big")
    if command not in (LOCAL, PROXY):
        return NoHeader.REFUSED
    size = FIXED_BYTES + length
    if len(data) < size:
        return NoHeader.NEED_MORE
    if command == LOCAL:
        return ProxyHeader(size)
    width = {IPV4: 4, IPV6: 16}.get(kind >> 4)
    if width is None or kind & 15 not in TRANSPORTS or length < 2 * width + 4:
        return NoHeader.REFUSED
    block, rest = data[FIXED_BYTES:size][: 2 * width + 4], data[FIXED_BYTES + 2 * width + 4 : size]
    if not _are_fields(rest):
        return NoHeader.REFUSED
    ports = int.from_bytes(block[-4:-2], "big"), int.from_bytes(block[-2:], "big")
    return _between(size, block[:width], ports[0], block[width : 2 * width], ports[1])


def _are_fields(rest: bytes) -> bool:
    """Whether what follows the addresses is well formed: a type, a length, so many bytes, and again."""
    while rest:
        end = 3 + int.from_bytes(rest[1:3], "big")
        if len(rest) < end:
            return False
        rest = rest[end:]
    return True


def _between(size: int, source: bytes, source_port: int, destination: bytes, port: int) -> ProxyHeader | NoHeader:
    addresses = [ipaddress.ip_address(packed) for packed in (source, destination)]
    if any(each.is_unspecified or each.is_multicast or str(each) == "255.255.255.255" for each in addresses):
        return NoHeader.REFUSED
    return ProxyHeader(size, (str(addresses[0]), source_port), (str(addresses[1]), port))
