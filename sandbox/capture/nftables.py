"""nf_tables rules as netlink messages: the few expressions that redirecting needs."""

from __future__ import annotations

import _socket
import struct

from sandbox.capture.netlink import NETLINK_NETFILTER, NLM_F_APPEND, NLM_F_CREATE, Batch, attribute, nested

_NFNL_SUBSYS_NFTABLES = 10 << 8
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = (
    _NFNL_SUBSYS_NFTABLES | 0,
    _NFNL_SUBSYS_NFTABLES | 2,
    _NFNL_SUBSYS_NFTABLES | 3,
    _NFNL_SUBSYS_NFTABLES | 6,
)
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NFPROTO = {"ip": 2, "ip6": 10}
_HOOK_OUTPUT = 3
_NF_ACCEPT = 1
_META_L4PROTO, _META_SKUID, _META_SKGID, _META_OIFNAME = 16, 10, 11, 7
_INTERFACE_NAME_BYTES = 16
_PAYLOAD_NETWORK, _PAYLOAD_TRANSPORT = 1, 2
_CMP_EQ, _CMP_NEQ = 0, 1
_NAT_RANGE_PROTO_SPECIFIED = 0x2
_ICMP_ADMIN_PROHIBITED = {"ip": 13, "ip6": 1}
TCP, UDP, ICMP6 = 6, 17, 58


def _be32(number: int) -> bytes:
    return struct.pack(">I", number & 0xFFFFFFFF)


def _text(words: str) -> bytes:
    return words.encode() + b"\0"


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, attribute(1, _text(name)), nested(2, *attributes))


def _compare(value: bytes, operation: int = _CMP_EQ) -> bytes:
    return _expression("cmp", attribute(1, _be32(1)), attribute(2, _be32(operation)), nested(3, attribute(1, value)))


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression(
        "payload",
        attribute(1, _be32(1)),
        attribute(2, _be32(base)),
        attribute(3, _be32(offset)),
        attribute(4, _be32(length)),
    )


def _meta(key: int) -> bytes:
    return _expression("meta", attribute(1, _be32(1)), attribute(2, _be32(key)))


def protocol(number: int) -> bytes:
    """Matches the transport protocol."""
    return _meta(_META_L4PROTO) + _compare(bytes([number]))


def destination_port(port: int, *, inverted: bool = False) -> bytes:
    """Matches (or, inverted, excludes) the destination port; a ``protocol`` goes before."""
    return _load(_PAYLOAD_TRANSPORT, 2, 2) + _compare(struct.pack(">H", port), _CMP_NEQ if inverted else _CMP_EQ)


def owner(uid: int, *, inverted: bool = False) -> bytes:
    """Matches (or, inverted, excludes) packets of sockets of a user."""
    return _meta(_META_SKUID) + _compare(struct.pack("=I", uid), _CMP_NEQ if inverted else _CMP_EQ)


def owner_group(gid: int, *, inverted: bool = False) -> bytes:
    """Matches (or, inverted, excludes) packets of sockets of a group."""
    return _meta(_META_SKGID) + _compare(struct.pack("=I", gid), _CMP_NEQ if inverted else _CMP_EQ)


def output_interface(name: str) -> bytes:
    """Matches the interface by which a packet leaves."""
    return _meta(_META_OIFNAME) + _compare(name.encode().ljust(_INTERFACE_NAME_BYTES, b"\0"))


def source(cidr: str) -> bytes:
    """Matches a source address or range."""
    return _address(cidr, {4: 12, 6: 8}, _CMP_EQ)


def destination(cidr: str, *, inverted: bool = False) -> bytes:
    """Matches (or, inverted, excludes) a destination address or range."""
    return _address(cidr, {4: 16, 6: 24}, _CMP_NEQ if inverted else _CMP_EQ)


def _address(cidr: str, offsets: dict[int, int], operation: int) -> bytes:
    address, _, prefix = cidr.partition("/")
    version = 6 if ":" in address else 4
    raw = _socket.inet_pton(_socket.AF_INET if version == 4 else _socket.AF_INET6, address)
    length = len(raw)
    bits = int(prefix) if prefix else length * 8
    loaded = _load(_PAYLOAD_NETWORK, offsets[version], length)
    if bits < length * 8:
        mask = (((1 << bits) - 1) << (length * 8 - bits)).to_bytes(length, "big")
        raw = bytes(byte & keep for byte, keep in zip(raw, mask, strict=True))
        loaded += _expression(
            "bitwise",
            attribute(1, _be32(1)),
            attribute(2, _be32(1)),
            attribute(3, _be32(length)),
            nested(4, attribute(1, mask)),
            nested(5, attribute(1, bytes(length))),
        )
    return loaded + _compare(raw, operation)


def accept() -> bytes:
    """The packet goes on as it is."""
    return _expression("immediate", attribute(1, _be32(0)), nested(2, nested(2, attribute(1, _be32(_NF_ACCEPT)))))


def redirect(port: int) -> bytes:
    """The packet goes to a port of this machine."""
    return _expression("immediate", attribute(1, _be32(1)), nested(2, attribute(1, struct.pack(">H", port)))) + (
        _expression("redir", attribute(1, _be32(1)), attribute(3, _be32(_NAT_RANGE_PROTO_SPECIFIED)))
    )


def reject(family: str) -> bytes:
    """Refused with ICMP "administratively prohibited"; the family's own code, since icmpx would silently drop."""
    return _expression("reject", attribute(1, _be32(0)), attribute(2, bytes([_ICMP_ADMIN_PROHIBITED[family]])))


class RuleBatch:
    """Tables, chains and rules of one transaction: all or nothing."""

    def __init__(self) -> None:
        self._batch = Batch()
        self._mark(_BATCH_BEGIN)

    def _mark(self, kind: int) -> None:
        self._batch.add(kind, 0, struct.pack(">BBH", 0, 0, _NFNL_SUBSYS_NFTABLES >> 8))

    @staticmethod
    def _head(family: str) -> bytes:
        return struct.pack(">BBH", _NFPROTO[family], 0, 0)

    def table(self, family: str, name: str) -> None:
        """Makes a table, or keeps the one there is."""
        self._batch.add(
            _NEWTABLE, NLM_F_CREATE, self._head(family) + attribute(1, _text(name)), f"add table {family} {name}"
        )

    def delete_table(self, family: str, name: str) -> None:
        """Removes a table with all that is in it."""
        self._batch.add(_DELTABLE, 0, self._head(family) + attribute(1, _text(name)), f"delete table {family} {name}")

    def output_chain(self, family: str, table: str, name: str, kind: str, priority: int) -> None:
        """Makes a base chain for what this machine sends; ``kind`` is ``nat`` or ``filter``, its policy accept."""
        body = self._head(family) + attribute(1, _text(table)) + attribute(3, _text(name))
        body += nested(4, attribute(1, _be32(_HOOK_OUTPUT)), attribute(2, _be32(priority)))
        body += attribute(5, _be32(_NF_ACCEPT)) + attribute(7, _text(kind))
        self._batch.add(_NEWCHAIN, NLM_F_CREATE, body, f"add chain {family} {table} {name}")

    def rule(self, family: str, table: str, chain: str, what: str, *expressions: bytes) -> None:
        """Appends a rule; ``what`` names it in an error."""
        body = self._head(family) + attribute(1, _text(table)) + attribute(2, _text(chain)) + nested(4, *expressions)
        self._batch.add(_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, body, f"add rule {family} {table} {chain} [{what}]")

    def apply(self) -> None:
        """Sends the transaction; ``NetlinkError`` where the kernel refuses it."""
        self._mark(_BATCH_END)
        self._batch.send(NETLINK_NETFILTER)
