"""Which listener takes a captured connection, by the destination that the client meant."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.match.cidr import canonical_ip
from sandbox.plan.base import Address, SocketAddress
from sandbox.plan.listener import Listener


class ListenerTable:
    """Envoy's hand-off after restoring the destination: exact ``ip:port``, wildcard ``port``, else it stays."""

    __slots__ = ("_by_address", "_virtual_outbound")

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._by_address: dict[tuple[str, int], Listener] = {}
        self._virtual_outbound: Listener | None = None
        for listener in listeners:
            if listener.use_original_dst and listener.traffic_direction != "INBOUND":
                self._virtual_outbound = self._virtual_outbound or listener
            for address in listener_addresses(listener):
                self._by_address.setdefault(address, listener)

    @property
    def virtual_outbound(self) -> Listener | None:
        """Where captured connections arrive, and stay when no other listener takes them."""
        return self._virtual_outbound

    def find(self, ip: str, port: int) -> Listener | None:
        """The listener for a destination; ``ip`` in its shortest spelling."""
        by_address = self._by_address
        found = by_address.get((ip, port))
        if found is None:
            found = by_address.get(("::" if ":" in ip else "0.0.0.0", port))
        return found if found is not None else self._virtual_outbound


def listener_addresses(listener: Listener) -> tuple[tuple[str, int], ...]:
    """Every ``(ip, port)`` of a listener, the additional addresses too; Unix sockets have none."""
    addresses: list[Address | None] = [listener.address]
    addresses += [additional.address for additional in listener.additional_addresses]
    return tuple(
        (canonical_ip(address.address), address.port_value or 0)
        for address in addresses
        if isinstance(address, SocketAddress)
    )
