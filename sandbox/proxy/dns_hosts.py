"""Hosts that come from DNS: STRICT_DNS, LOGICAL_DNS, and the dynamic forward proxy's cache."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sandbox.plan.base import SocketAddress
from sandbox.proxy.downstream import address_text
from sandbox.proxy.host import Host
from sandbox.proxy.host_source import HostSource, endpoints_of, host_of_endpoint, is_address
from sandbox.proxy.resolver import Answer, jittered
from sandbox.proxy.tasks import spawn
from sandbox.wire.decimal_number import decimal_number
from sandbox.wire.http1_target import MOST_PORT

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster, LbEndpoint, LocalityLbEndpoints
    from sandbox.plan.listener import DnsCacheConfig
    from sandbox.proxy.cluster_manager import ClusterEnvironment
    from sandbox.proxy.load_balancer import LoadBalancerContext

DEFAULT_REFRESH_SECONDS: Final = 5.0
FORWARD_REFRESH_SECONDS: Final = 60.0
FORWARD_HOST_LIFE: Final = 300.0
DEFAULT_MAX_HOSTS: Final = 1024
SHORTEST_REFRESH: Final = 0.1


class DnsHosts(HostSource):
    """Resolves every name of the plan again and again; a failed look-up leaves the hosts as they were."""

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
        if not isinstance(outcome, Answer):
            self._answered(name)
            return self._refresh
        addresses = outcome.addresses[:1] if self._is_logical else outcome.addresses
        self._take(name, addresses)
        return outcome.ttl if self._respects_ttl and outcome.ttl else self._refresh

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


class ForwardProxyHosts(HostSource):
    """Dynamic forward proxy: names come with requests, are resolved once, and kept while they are used."""

    def __init__(self, config: DnsCacheConfig | None, environment: ClusterEnvironment) -> None:
        super().__init__(environment)
        refresh = config.dns_refresh_rate if config else None
        self._refresh = FORWARD_REFRESH_SECONDS if refresh is None else refresh.total_seconds()
        self._family = config.dns_lookup_family if config else "AUTO"
        self._max_hosts = (config.max_hosts if config else None) or DEFAULT_MAX_HOSTS
        self._entries: dict[tuple[str, int], _Entry] = {}

    def choose(self, context: LoadBalancerContext) -> Host | None:
        """The host that ``resolve`` found for this name before."""
        if context.forward_host is None:
            return None
        return context.forward_host

    async def resolve(self, authority: str, default_port: int) -> Host | None:
        """The host of ``name[:port]``, from the cache while it is fresh."""
        name, port = split_authority(authority, default_port)
        now = self.environment.loop.time()
        entry = self._entries.get((name, port))
        if entry is None or entry.expires <= now:
            entry = await self._look_up(name, port, entry)
        return entry.host if entry else None

    async def _look_up(self, name: str, port: int, known: _Entry | None) -> _Entry | None:
        resolver, now = self.environment.resolver, self.environment.loop.time()
        target = resolver.override(name, port)
        life: float | None = None
        if target is None and is_address(name):
            target = (name, port)
        if target is None:
            outcome = await resolver.resolve(name, self._family, port)
            if not isinstance(outcome, Answer) or not outcome.addresses:
                return known if known and known.expires + FORWARD_HOST_LIFE > now else None
            target, life = (outcome.addresses[0], port), outcome.ttl
        if known is None and len(self._entries) >= self._max_hosts:
            self._forget(now)
            if len(self._entries) >= self._max_hosts:
                return None
        host = known.host if known and known.host.target == target else Host(target, address_text(*target))
        host.hostname = name
        entry = self._entries[name, port] = _Entry(host, now + max(life or self._refresh, 1.0))
        return entry

    def _forget(self, now: float) -> None:
        self._entries = {
            key: entry
            for key, entry in self._entries.items()
            if entry.expires > now or entry.host.active_connections or entry.host.pools
        }


class _Entry:
    """A resolved name and until when it holds."""

    __slots__ = ("expires", "host")

    def __init__(self, host: Host, expires: float) -> None:
        self.host = host
        self.expires = expires


def split_authority(authority: str, default_port: int) -> tuple[str, int]:
    """``name[:port]`` or ``[v6][:port]`` as lower-case name without brackets, and port."""
    host, separator, text = authority.rpartition(":")
    port = decimal_number(text.encode(), MOST_PORT)
    if not separator or port is None or (":" in host and not host.endswith("]")):
        host, port = authority, default_port
    return host.lower().removeprefix("[").removesuffix("]"), port
