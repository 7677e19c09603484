"""Interfaces, addresses and routes of a namespace (rtnetlink(7))."""

from __future__ import annotations

import _socket
import struct

from sandbox.capture.netlink import NLM_F_CREATE, NLM_F_EXCL, Batch, attribute, nested

_RTM_NEWLINK, _RTM_NEWADDR, _RTM_NEWROUTE = 16, 20, 24
_IFLA_IFNAME, _IFLA_LINKINFO = 3, 18
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_LOCAL, _IFA_ADDRESS, _IFA_FLAGS = 2, 1, 8
_IFA_F_NODAD = 0x02
_RTA_OIF, _RTA_PREFSRC = 4, 7
_RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 254, 4, 0, 253
RTN_UNICAST, RTN_LOCAL = 1, 2
_IFF_UP = 1
LOOPBACK_INDEX = 1


def _family(version: int) -> int:
    return _socket.AF_INET if version == 4 else _socket.AF_INET6


def _link_body(index: int, flags: int, change: int) -> bytes:
    return struct.pack("=BBHiII", 0, 0, 0, index, flags, change)


def bring_up(batch: Batch, index: int) -> None:
    """Sets an interface up; loopback gets its addresses by that."""
    batch.add(_RTM_NEWLINK, 0, _link_body(index, _IFF_UP, _IFF_UP), f"set interface {index} up")


def add_link(batch: Batch, name: str, kind: str, peer: str | None = None) -> None:
    """Makes an interface, still down; a ``veth`` has a ``peer``, made down too (up at once it would refuse)."""
    info = [attribute(_IFLA_INFO_KIND, kind.encode())]
    if peer is not None:
        body = _link_body(0, 0, 0) + attribute(_IFLA_IFNAME, peer.encode() + b"\0")
        info.append(nested(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, body)))
    body = _link_body(0, 0, 0) + attribute(_IFLA_IFNAME, name.encode() + b"\0") + nested(_IFLA_LINKINFO, *info)
    batch.add(_RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"add {kind} interface {name}")


def add_address(batch: Batch, index: int, address: str) -> None:
    """Gives an interface one address, as a host of its own (/32, /128), usable at once."""
    version = 6 if ":" in address else 4
    raw = _socket.inet_pton(_family(version), address)
    body = struct.pack("=BBBBI", _family(version), len(raw) * 8, 0, 0, index)
    body += attribute(_IFA_LOCAL, raw) + attribute(_IFA_ADDRESS, raw)
    body += attribute(_IFA_FLAGS, struct.pack("=I", _IFA_F_NODAD if version == 6 else 0))
    batch.add(_RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body, f"add address {address}")


def add_default_route(batch: Batch, index: int, source: str, kind: int = RTN_UNICAST) -> None:
    """Everything goes out by this interface, from ``source``."""
    version = 6 if ":" in source else 4
    scope = _RT_SCOPE_LINK if version == 4 and kind == RTN_UNICAST else _RT_SCOPE_UNIVERSE
    body = struct.pack("=BBBBBBBBI", _family(version), 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, scope, kind, 0)
    body += attribute(_RTA_OIF, struct.pack("=I", index))
    body += attribute(_RTA_PREFSRC, _socket.inet_pton(_family(version), source))
    batch.add(_RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body, f"add default route over IPv{version}")
