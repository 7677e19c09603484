"""Hops within this process: each pod calls from a loopback address of its own; logs and policies have the pod's.

All of 127.0.0.0/8 is this machine's on Linux. Where it is not, a hop comes from 127.0.0.1, whoever calls.
"""

from __future__ import annotations

import ipaddress
from typing import Final

_NETWORK: Final = ipaddress.IPv4Network("127.96.0.0/16")
LOCAL: Final = "127.0.0.1"


class HopAddresses:
    """Pods' addresses and the loopback addresses that stand for them; one for all nodes of a process."""

    def __init__(self) -> None:
        self._aliases: dict[str, str] = {}
        self._pods: dict[str, str] = {}

    def alias_of(self, pod: str | None) -> str | None:
        """The address from which a pod calls; ``None`` for pods that have none of their own."""
        if pod is None or pod == LOCAL:
            return None
        known = self._aliases.get(pod)
        if known is None and len(self._aliases) < _NETWORK.num_addresses - 2:
            known = self._aliases[pod] = str(_NETWORK[len(self._aliases) + 1])
            self._pods[known] = pod
        return known

    def shown(self, address: str) -> str:
        """The pod behind an address; any other address stays as it is."""
        return self._pods.get(address, address)
