"""The dynamic forward proxy's cache of names (``dns_cache_impl.cc``)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from sandbox.proxy.downstream import address_text
from sandbox.proxy.host import Host, close_idle_pools
from sandbox.proxy.host_source import HostSource, is_address
from sandbox.proxy.resolver import (
    MISUNDERSTOOD,
    NO_SERVER,
    NO_SUCH_NAME,
    NOT_IMPLEMENTED,
    REFUSED,
    SERVER_FAILURE,
    TIMED_OUT,
    UNREACHABLE,
    UNREADABLE,
    NoAnswer,
)
from sandbox.proxy.tasks import spawn
from sandbox.wire.decimal_number import decimal_number
from sandbox.wire.http1_target import MOST_PORT

if TYPE_CHECKING:
    from sandbox.plan.listener import DnsCacheConfig
    from sandbox.proxy.cluster_runtime import ClusterEnvironment
    from sandbox.proxy.load_balancer import LoadBalancerContext

log = logging.getLogger("sandbox.proxy")

DEFAULT_REFRESH: Final = 60.0
"""Seconds until the next look-up of a name without an address (``dns_refresh_rate``)."""
LEAST_REFRESH: Final = 5.0
"""However short an answer's life is (``dns_min_refresh_rate``)."""
QUERY_TIMEOUT: Final = 5.0
"""How long a name may take (``dns_query_timeout``)."""
UNUSED_LIFE: Final = 300.0
"""A name that nobody asked for is forgotten after that (``host_ttl``)."""
DEFAULT_MAX_HOSTS: Final = 1024

TOO_MANY: Final = "dns_cache_overflow"
LOOP: Final = "egress:the_name_leads_back_to_this_gateway"
"""Envoy would go round until it is out of headers or sockets."""
NO_DATA: Final = "cares_norecords:DNS_server_returned_answer_with_no_data"
TOO_SLOW: Final = "resolve_timeout"
FAILURES: Final = {
    NO_SUCH_NAME: "cares_norecords:Domain_name_not_found",
    SERVER_FAILURE: "cares_failure:DNS_server_returned_general_failure",
    REFUSED: "cares_failure:DNS_server_refused_query",
    TIMED_OUT: "cares_failure:Timeout_while_contacting_DNS_servers",
    NOT_IMPLEMENTED: "cares_failure:DNS_server_does_not_implement_requested_operation",
    MISUNDERSTOOD: "cares_failure:DNS_server_claims_query_was_misformatted",
    UNREADABLE: "cares_failure:Misformatted_DNS_reply",
    UNREACHABLE: "cares_failure:Could_not_contact_DNS_servers",
    NO_SERVER: "cares_failure:Could_not_contact_DNS_servers",
}
"""What Envoy's resolver, c-ares, says of them."""


class ForwardProxyHosts(HostSource):
    """Names come with requests; the first waits for the address, and from then on it is kept fresh in the background.

    A name without an address fails at once until its next look-up. A new address leaves connections as they are.
    """

    def __init__(self, config: DnsCacheConfig | None, environment: ClusterEnvironment) -> None:
        super().__init__(environment)
        refresh = config.dns_refresh_rate if config else None
        self._refresh = DEFAULT_REFRESH if refresh is None else refresh.total_seconds()
        self._family = config.dns_lookup_family if config else "AUTO"
        self._max_hosts = (config.max_hosts if config else None) or DEFAULT_MAX_HOSTS
        self._entries: dict[tuple[str, int], _Entry] = {}

    def choose(self, context: LoadBalancerContext) -> Host | None:
        """The host that ``resolve`` found for this name before."""
        return context.forward_host

    def close(self) -> None:
        """Stops resolving; requests that wait for a name still get it."""
        for entry in self._entries.values():
            entry.is_answered.add_done_callback(entry.stop)

    async def resolve(self, authority: str, default_port: int) -> Host | str:
        """The host of ``name[:port]``; where there is none, the details of the failure."""
        name, port = split_authority(authority, default_port)
        entry = self._entries.get((name, port))
        if entry is None:
            if len(self._entries) > self._max_hosts:
                return TOO_MANY
            entry = self._entries[name, port] = _Entry(name, port, self.environment.loop.create_future())
            entry.task = spawn(self._keep(entry), f"dns {name}")
        entry.used = self.environment.loop.time()
        if not entry.is_answered.done():
            await asyncio.wait([entry.is_answered])
        return entry.host or f"dns_resolution_failure{{{entry.failure}}}"

    async def _keep(self, entry: _Entry) -> None:
        while True:
            seconds = await self._look_up(entry)
            if not entry.is_answered.done():
                entry.is_answered.set_result(None)
            await asyncio.sleep(seconds)
            if self.environment.loop.time() - entry.used > UNUSED_LIFE:
                break
        del self._entries[entry.name, entry.port]
        if entry.host is not None:
            close_idle_pools(entry.host)

    async def _look_up(self, entry: _Entry) -> float:
        """Takes what is found; the seconds until it is looked up again."""
        resolver, name, port = self.environment.resolver, entry.name, entry.port
        target = resolver.override(name, port) or ((name, port) if is_address(name) else None)
        if target is not None:
            self._take(entry, target)
            return UNUSED_LIFE
        try:
            async with asyncio.timeout(QUERY_TIMEOUT):
                outcome = await resolver.resolve(name, self._family, port)
        except TimeoutError:
            entry.failure = TOO_SLOW
            return self._refresh
        if isinstance(outcome, NoAnswer):
            entry.failure = FAILURES[outcome]
        elif not outcome.addresses:
            entry.failure = NO_DATA
        else:
            self._take(entry, (outcome.addresses[0], port))
            return self._refresh if outcome.ttl is None else max(outcome.ttl, LEAST_REFRESH)
        return self._refresh

    def _take(self, entry: _Entry, target: tuple[str, int]) -> None:
        environment = self.environment
        if environment.own_listeners.isdisjoint(environment.resolver.destinations(*target)):
            entry.take(target)
            return
        if entry.failure != LOOP:
            log.warning("egress: LOOP refused: %s:%d leads back to this gateway", entry.name, entry.port)
        entry.host, entry.failure = None, LOOP


class _Entry:
    """A name, and what is known of it."""

    __slots__ = ("failure", "host", "is_answered", "name", "port", "task", "used")

    def __init__(self, name: str, port: int, is_answered: asyncio.Future[None]) -> None:
        self.name, self.port = name, port
        self.host: Host | None = None
        self.failure = ""
        """Why there is no host."""
        self.is_answered = is_answered
        self.used = 0.0
        self.task: asyncio.Task[None] | None = None

    def stop(self, _answered: asyncio.Future[None]) -> None:
        """Looks the name up no more."""
        if self.task is not None:
            self.task.cancel()

    def take(self, target: tuple[str, int]) -> None:
        """Its address, from now on."""
        if self.host is None:
            self.host = Host(target, address_text(*target))
            self.host.hostname = self.name
        else:
            self.host.target, self.host.address = target, address_text(*target)


def split_authority(authority: str, default_port: int) -> tuple[str, int]:
    """``name[:port]`` or ``[v6][:port]`` as lower-case name without brackets, and port."""
    host, separator, text = authority.rpartition(":")
    port = decimal_number(text.encode(), MOST_PORT)
    if not separator or port is None or (":" in host and not host.endswith("]")):
        host, port = authority, default_port
    return host.lower().removeprefix("[").removesuffix("]"), port
