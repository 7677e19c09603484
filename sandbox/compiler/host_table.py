"""Hosts and patterns, found by a host that covers them or that they cover, without walking over all of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from sandbox.compiler.host_names import is_wildcard


class HostTable:
    """Hosts in their order; ``fitting`` is Istio's ``Matches`` with each of them."""

    __slots__ = ("_hosts", "_longest", "_patterns", "_positions", "_reversed")

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = tuple(dict.fromkeys(hosts))
        self._positions = {host: position for position, host in enumerate(self._hosts)}
        self._patterns = {host[1:]: position for host, position in self._positions.items() if is_wildcard(host)}
        self._longest = max(map(len, self._patterns), default=0)
        self._reversed: list[tuple[str, int]] | None = None

    def fitting(self, host: str) -> list[str]:
        """The hosts that cover ``host`` or are covered by it, in their order."""
        name = host[1:] if is_wildcard(host) else host
        found = set(self._covering(name))
        if is_wildcard(host):
            found.update(self._ending(name))
        elif host in self._positions:
            found.add(self._positions[host])
        return [self._hosts[position] for position in sorted(found)]

    def _covering(self, name: str) -> Iterable[int]:
        """The patterns whose end the name has."""
        if not self._patterns:
            return ()
        starts = range(max(0, len(name) - self._longest), len(name) + 1)
        return [self._patterns[name[start:]] for start in starts if name[start:] in self._patterns]

    def _ending(self, suffix: str) -> Iterable[int]:
        """The hosts, and the patterns behind their ``*``, that end so: neighbours when written backwards."""
        if self._reversed is None:
            self._reversed = sorted((host[::-1], position) for host, position in self._positions.items())
        wanted = suffix[::-1]
        place = bisect_left(self._reversed, (wanted, -1))
        while place < len(self._reversed) and self._reversed[place][0].startswith(wanted):
            yield self._reversed[place][1]
            place += 1
