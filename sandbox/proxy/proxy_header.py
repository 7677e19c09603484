"""Writes the PROXY protocol's header, version 1 and 2 (haproxy.org/download/2.9/doc/proxy-protocol.txt)."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from sandbox.wire.proxy_protocol import LOCAL, PROXY, SIGNATURE

TCP_OVER_IPV4: Final = 0x11
TCP_OVER_IPV6: Final = 0x21


def proxy_header(version: str, source: tuple[str, int] | None, destination: tuple[str, int] | None) -> bytes:
    """The header for a connection from ``source`` to ``destination``; unknown addresses are said to be so."""
    if source is None or destination is None:
        if version == "V2":
            return SIGNATURE + bytes((LOCAL, 0, 0, 0))
        return b"PROXY UNKNOWN\r\n"
    is_v6 = any(ipaddress.ip_address(ip).version == 6 for ip in (source[0], destination[0]))
    if version == "V2":
        family = socket.AF_INET6 if is_v6 else socket.AF_INET
        addresses = b"".join(socket.inet_pton(family, _as(ip, is_v6=is_v6)) for ip in (source[0], destination[0]))
        ports = source[1].to_bytes(2, "big") + destination[1].to_bytes(2, "big")
        kind = TCP_OVER_IPV6 if is_v6 else TCP_OVER_IPV4
        length = (len(addresses) + len(ports)).to_bytes(2, "big")
        return SIGNATURE + bytes((PROXY, kind)) + length + addresses + ports
    family_word = "TCP6" if is_v6 else "TCP4"
    return f"PROXY {family_word} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()


def _as(ip: str, *, is_v6: bool) -> str:
    return f"::ffff:{ip}" if is_v6 and ":" not in ip else ip
