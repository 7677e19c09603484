"""The constant rules of a capture namespace: everything goes to the proxy, which decides what bypasses it.

The reasons for each line are in the order of the chain; the same set for IPv4 and IPv6.
"""

from __future__ import annotations

from sandbox.capture import nftables as nft

TABLE = "sandbox"
NAT_PRIORITY, FILTER_PRIORITY = -100, 0


class NamespaceAddresses:
    """The addresses inside: the program's own, and the one under which it reaches the host."""

    __slots__ = ("host", "loopback", "own")

    def __init__(self, own: str, host: str, loopback: str) -> None:
        self.own = own
        self.host = host
        self.loopback = loopback


IPV4 = NamespaceAddresses("10.213.0.2", "10.213.0.1", "127.0.0.0/8")
IPV6 = NamespaceAddresses("fd00:5a4d::2", "fd00:5a4d::1", "::1")

PORT_CAPTURE, PORT_HOST, PORT_DNS, PORT_CLOSED = 15001, 15003, 15053, 15009
"""Inside the namespace; nobody may listen on ``PORT_CLOSED``: UDP is sent there to be refused."""


def exec_rules(host_ports: tuple[int, ...], *, ipv6: bool) -> nft.RuleBatch:
    """The rules; ``host_ports`` are loopback ports of the host that stand under the same number inside."""
    batch = nft.RuleBatch()
    _family(batch, "ip", IPV4, host_ports)
    if ipv6:
        _family(batch, "ip6", IPV6, host_ports)
    return batch


def _family(batch: nft.RuleBatch, family: str, inside: NamespaceAddresses, host_ports: tuple[int, ...]) -> None:
    batch.table(family, TABLE)
    batch.output_chain(family, TABLE, "output", "nat", NAT_PRIORITY)

    def nat(what: str, *expressions: bytes) -> None:
        batch.rule(family, TABLE, "output", what, *expressions)

    nat("dns over udp", nft.protocol(nft.UDP), nft.destination_port(53), nft.redirect(PORT_DNS))
    nat("dns over tcp", nft.protocol(nft.TCP), nft.destination_port(53), nft.redirect(PORT_DNS))
    for port in host_ports:
        nat(
            f"host port {port}",
            nft.protocol(nft.TCP),
            nft.destination(inside.loopback),
            nft.destination_port(port),
            nft.redirect(PORT_HOST),
        )
    # By destination, not by interface: where the default route is on lo, everything leaves by lo.
    nat("own loopback", nft.destination(inside.loopback), nft.accept())
    nat("own address", nft.destination(inside.own), nft.accept())
    nat("the host", nft.protocol(nft.TCP), nft.destination(inside.host), nft.redirect(PORT_HOST))
    nat("all other tcp", nft.protocol(nft.TCP), nft.redirect(PORT_CAPTURE))
    # To a closed port: a connected socket gets ECONNREFUSED at once, so QUIC falls back; drop or reject give EPERM.
    nat("all other udp", nft.protocol(nft.UDP), nft.redirect(PORT_CLOSED))
    batch.output_chain(family, TABLE, "filter", "filter", FILTER_PRIORITY)

    def keep(what: str, *expressions: bytes) -> None:
        batch.rule(family, TABLE, "filter", what, *expressions, nft.accept())

    keep("own loopback", nft.destination(inside.loopback))
    keep("own address", nft.destination(inside.own))
    keep("tcp", nft.protocol(nft.TCP))
    keep("udp", nft.protocol(nft.UDP))
    if family == "ip6":
        keep("neighbour discovery", nft.protocol(nft.ICMP6))
    batch.rule(family, TABLE, "filter", "nothing else leaves", nft.reject(family))
