"""Addresses that stand in for those of the host's loopback, where a program has a loopback of its own."""

from __future__ import annotations

import ipaddress

STAND_IN_NETWORK = ipaddress.IPv4Network("198.18.0.0/15")
"""For benchmarks (RFC 2544), so nobody is there: addresses for names that really are on the host's loopback."""


class LoopbackStandIns:
    """Addresses that a captured program may dial for hosts on loopback, which inside its namespace would be its own."""

    def __init__(self) -> None:
        self._by_real: dict[str, str] = {}
        self._by_stand_in: dict[str, str] = {}

    def stand_in(self, real: str) -> str:
        """What to tell the program in place of ``real``; an address that is not loopback stays as it is."""
        if not ipaddress.ip_address(real).is_loopback:
            return real
        known = self._by_real.get(real)
        if known is None:
            known = str(STAND_IN_NETWORK[len(self._by_real) + 1])
            self._by_real[real] = known
            self._by_stand_in[known] = real
        return known

    def real(self, address: str) -> str:
        """The way back; any other address stays as it is."""
        return self._by_stand_in.get(address, address)
