"""Where a redirected client meant to go: ``SO_ORIGINAL_DST`` of netfilter, IPv4 and IPv6 (Linux)."""

from __future__ import annotations

import socket
import struct
from typing import Final

SO_ORIGINAL_DST: Final = 80
"""The same number at level ``SOL_IP`` (linux/netfilter_ipv4.h) and ``SOL_IPV6`` (linux/netfilter_ipv6/ip6_tables.h)."""
V4_MAPPED: Final = "::ffff:"


def original_destination(sock: socket.socket) -> tuple[str, int] | None:
    """The address before REDIRECT or DNAT; ``None`` where the kernel knows of none."""
    local = sock.getsockname()
    try:
        if sock.family == socket.AF_INET6 and not local[0].startswith(V4_MAPPED):
            raw = sock.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
            return socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack_from("!H", raw, 2)[0]
        raw = sock.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
        return socket.inet_ntoa(raw[4:8]), struct.unpack_from("!H", raw, 2)[0]
    except OSError:
        return None


def plain_address(address: tuple[str, int] | tuple[str, int, int, int]) -> tuple[str, int]:
    """A socket's name as (ip, port): scope dropped, IPv4-mapped addresses as IPv4."""
    ip = address[0].partition("%")[0]
    return ip.removeprefix(V4_MAPPED) if "." in ip else ip, address[1]
