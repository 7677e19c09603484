"""Hosts that come from DNS: STRICT_DNS and LOGICAL_DNS."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sandbox.plan.base import SocketAddress
from sandbox.proxy.downstream import address_text
from sandbox.proxy.host import Host
from sandbox.proxy.host_source import HostSource, endpoints_of, host_of_endpoint, is_address
from sandbox.proxy.resolver import NO_SUCH_NAME, Answer, jittered
from sandbox.proxy.tasks import spawn

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster, LbEndpoint, LocalityLbEndpoints
    from sandbox.proxy.cluster_runtime import ClusterEnvironment

DEFAULT_REFRESH_SECONDS: Final = 5.0
SHORTEST_REFRESH: Final = 0.1


class DnsHosts(HostSource):
    """Resolves every name of the plan again and again; a failed look-up leaves the hosts as they were.

    That a name has no addresses, or does not exist, is an answer: a STRICT_DNS cluster then has no hosts. A LOGICAL_DNS
    cluster has one host for ever, whose address changes under its connections (``logical_dns_cluster.cc``).
    """

    def __init__(self, plan: Cluster, environment: ClusterEnvironment) -> None:
        super().__init__(environment)
        self._is_logical = plan.type == "LOGICAL_DNS"
        self._family = plan.dns_lookup_family
        refresh, jitter = plan.dns_refresh_rate, plan.dns_jitter
        self._refresh = DEFAULT_REFRESH_SECONDS if refresh is None else refresh.total_seconds()
        self._jitter = 0.0 if jitter is None else jitter.total_seconds()
        self._respects_ttl = plan.respect_dns_ttl
        self._names = [_Name(group, endpoint) for group, endpoint in endpoints_of(plan)]
        self._tasks: list[asyncio.Task[None]] = []
        self._unanswered = len(self._names)

    def begin(self) -> None:
        """Starts one loop per name."""
        if not self._names:
            super().begin()
            return
        for name in self._names:
            self._tasks.append(spawn(self._keep_resolving(name), f"dns {name.host}"))

    def close(self) -> None:
        """Stops resolving."""
        for task in self._tasks:
            task.cancel()

    async def _keep_resolving(self, name: _Name) -> None:
        while True:
            wait = await self._resolve_once(name)
            if wait is None:
                return
            await asyncio.sleep(jittered(self.environment.random, max(wait, SHORTEST_REFRESH), self._jitter))

    async def _resolve_once(self, name: _Name) -> float | None:
        """Seconds until the next look-up; ``None`` where the address never changes."""
        if not name.host or is_address(name.host):
            self._take(name, (name.host,))
            return None
        override = self.environment.resolver.override(name.host, name.port)
        if override is not None:
            self._take(name, (override[0],), override[1])
            return None
        outcome = await self.environment.resolver.resolve(name.host, self._family, name.port)
        addresses = outcome.addresses if isinstance(outcome, Answer) else ()
        if self._is_logical and addresses:
            self._take_first(name, addresses[0])
        elif not self._is_logical and (isinstance(outcome, Answer) or outcome == NO_SUCH_NAME):
            self._take(name, addresses)
        else:
            self._answered(name)
        return outcome.ttl if isinstance(outcome, Answer) and self._respects_ttl and outcome.ttl else self._refresh

    def _take_first(self, name: _Name, ip: str) -> None:
        if name.hosts:
            (host,) = name.hosts
            host.target, host.address = (ip, name.port), address_text(ip, name.port)
        else:
            self._take(name, (ip,))

    def _take(self, name: _Name, addresses: Sequence[str], port: int | None = None) -> None:
        """Keeps the hosts that stay, so that their counters and pools stay too."""
        known = {host.target: host for host in name.hosts}
        hosts: list[Host] = []
        for ip in dict.fromkeys(addresses):
            target = (ip, name.port if port is None else port)
            host = known.get(target)
            if host is None:
                host = host_of_endpoint(name.endpoint, name.group, self.environment.loop.time(), ip)
                host.target, host.address = target, address_text(*target)
            hosts.append(host)
        if known.keys() != {host.target for host in hosts} or not name.is_answered:
            name.hosts = hosts
            self.hosts = tuple(host for each in self._names for host in each.hosts)
            self.on_change()
        self._answered(name)

    def _answered(self, name: _Name) -> None:
        if not name.is_answered:
            name.is_answered = True
            self._unanswered -= 1
            if not self._unanswered:
                self.mark_ready()


class _Name:
    """One endpoint of the plan and what its name resolved to."""

    __slots__ = ("endpoint", "group", "host", "hosts", "is_answered", "port")

    def __init__(self, group: LocalityLbEndpoints, endpoint: LbEndpoint) -> None:
        address = endpoint.endpoint.address if endpoint.endpoint else None
        self.group, self.endpoint = group, endpoint
        self.host = address.address if isinstance(address, SocketAddress) else ""
        self.port = (address.port_value or 0) if isinstance(address, SocketAddress) else 0
        self.hosts: list[Host] = []
        self.is_answered = False
