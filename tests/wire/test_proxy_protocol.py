"""The PROXY protocol's header, as Envoy 1.39.3 took it, and what it refused."""

from __future__ import annotations

import pytest

from sandbox.wire.proxy_protocol import SIGNATURE, NoHeader, ProxyHeader, read_proxy_header

CLIENT, GATEWAY = ("1.2.3.4", 5555), ("127.0.0.1", 8080)
ADDRESSES = bytes([1, 2, 3, 4, 127, 0, 0, 1]) + (5555).to_bytes(2, "big") + (8080).to_bytes(2, "big")
OF_VERSION_6 = b"\x20\x01" + bytes(13) + b"\1" + bytes(15) + b"\1" + b"\0\5\0\6"


def version_2(command: int, kind: int, block: bytes) -> bytes:
    return SIGNATURE + bytes((command, kind)) + len(block).to_bytes(2, "big") + block


TAKEN = {
    "version 1": (b"PROXY TCP4 1.2.3.4 127.0.0.1 5555 8080\r\n", CLIENT, GATEWAY),
    "version 1, IPv6": (b"PROXY TCP6 2001:db8::1 ::1 5 6\r\n", ("2001:db8::1", 5), ("::1", 6)),
    "version 1, unknown": (b"PROXY UNKNOWN\r\n", None, None),
    "version 1, unknown and more": (b"PROXY UNKNOWN a b c d\r\n", None, None),
    "the longest line": (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", None, None),
    "version 2": (version_2(0x21, 0x11, ADDRESSES), CLIENT, GATEWAY),
    "version 2, IPv6": (version_2(0x21, 0x21, OF_VERSION_6), ("2001::1", 5), ("::1", 6)),
    "version 2, datagrams": (version_2(0x21, 0x12, ADDRESSES), CLIENT, GATEWAY),
    "version 2, more fields": (version_2(0x21, 0x11, ADDRESSES + b"\x02\x00\x04site"), CLIENT, GATEWAY),
    "version 2, for itself": (version_2(0x20, 0x00, b""), None, None),
    "version 2, for itself, with addresses": (version_2(0x20, 0x11, ADDRESSES), None, None),
}


@pytest.mark.parametrize(("data", "source", "destination"), TAKEN.values(), ids=list(TAKEN))
def test_a_header_is_read_once_it_is_whole(
    data: bytes, source: tuple[str, int] | None, destination: tuple[str, int] | None
) -> None:
    assert read_proxy_header(data + b"GET /") == ProxyHeader(len(data), source, destination)
    for cut in range(1, len(data)):
        assert read_proxy_header(data[:cut]) is NoHeader.NEED_MORE


REFUSED = {
    "a request": b"GET / HTTP/1.1\r\n",
    "lower case": b"proxy TCP4 1.2.3.4 127.0.0.1 5555 8080\r\n",
    "no family": b"PROXY\r\n",
    "another family": b"PROXY UDP4 1.2.3.4 127.0.0.1 5555 8080\r\n",
    "two blanks": b"PROXY TCP4  1.2.3.4 127.0.0.1 5555 8080\r\n",
    "a port is missing": b"PROXY TCP4 1.2.3.4 127.0.0.1 5555\r\n",
    "a word too many": b"PROXY TCP4 1.2.3.4 127.0.0.1 5555 8080 9\r\n",
    "no such port": b"PROXY TCP4 1.2.3.4 127.0.0.1 99999 8080\r\n",
    "no such address": b"PROXY TCP4 1.2.3.400 127.0.0.1 5555 8080\r\n",
    "an address of the other family": b"PROXY TCP6 1.2.3.4 127.0.0.1 5555 8080\r\n",
    "any address": b"PROXY TCP4 0.0.0.0 127.0.0.1 5 8080\r\n",
    "everybody's address": b"PROXY TCP4 255.255.255.255 127.0.0.1 5 8080\r\n",
    "too long a line": b"PROXY UNKNOWN " + b"x" * 100,
    "version 2, another command": version_2(0x22, 0x11, ADDRESSES),
    "version 2, another version": version_2(0x11, 0x11, ADDRESSES),
    "version 2, no family": version_2(0x21, 0x00, b""),
    "version 2, Unix": version_2(0x21, 0x31, b"/" * 216),
    "version 2, no transport": version_2(0x21, 0x10, ADDRESSES),
    "version 2, too short": version_2(0x21, 0x11, b"abcd"),
    "version 2, a broken field": version_2(0x21, 0x11, ADDRESSES + b"\x02\x00\x09si"),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=list(REFUSED))
def test_what_is_no_header_is_refused(data: bytes) -> None:
    assert read_proxy_header(data) is NoHeader.REFUSED
