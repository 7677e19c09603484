"""Where a cluster's hosts come from: the plan, DNS, the original destination, or names that requests bring along."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sandbox.plan.base import EnvoyInternalAddress, Pipe, SocketAddress
from sandbox.plan.cluster import DynamicForwardProxyClusterConfig, used_endpoints
from sandbox.proxy.downstream import address_text
from sandbox.proxy.host import Host

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster, LbEndpoint, LocalityLbEndpoints
    from sandbox.proxy.cluster_runtime import ClusterEnvironment
    from sandbox.proxy.load_balancer import LoadBalancerContext

UNHEALTHY: Final = ("UNHEALTHY", "DRAINING", "TIMEOUT")
DEFAULT_CLEANUP_SECONDS: Final = 5.0


class HostSource:
    """Hosts of one cluster. The base class has none and is ready at once (BlackHoleCluster)."""

    def __init__(self, environment: ClusterEnvironment) -> None:
        self.environment = environment
        self.hosts: Sequence[Host] = ()
        self.on_change: Callable[[], None] = _nothing
        self.ready: asyncio.Future[None] = environment.loop.create_future()

    @property
    def is_ready(self) -> bool:
        """The first answer is in."""
        return self.ready.done()

    def begin(self) -> None:
        """Starts; ``on_change`` is set by now."""
        self.on_change()
        self.mark_ready()

    def mark_ready(self) -> None:
        """The first answer is in."""
        if not self.ready.done():
            self.ready.set_result(None)

    def choose(self, context: LoadBalancerContext) -> Host | None:
        """The host that the source itself decides on; ``None`` leaves it to the load balancer."""
        del context
        return None

    async def resolve(self, authority: str, default_port: int) -> Host | str:
        """Only dynamic forward proxies can; a text says why there is no host."""
        del authority, default_port
        return ""

    def follow(self, plan: Cluster) -> None:
        """The cluster's endpoints are planned anew."""
        del plan

    def close(self) -> None:
        """Stops whatever runs."""


def _nothing() -> None:
    """No one is interested yet."""


def host_source(plan: Cluster, environment: ClusterEnvironment) -> HostSource:
    """The source that the cluster's type asks for."""
    from sandbox.proxy.dns_hosts import DnsHosts
    from sandbox.proxy.forward_proxy_hosts import ForwardProxyHosts

    if plan.cluster_type is not None and isinstance(plan.cluster_type.typed_config, DynamicForwardProxyClusterConfig):
        return ForwardProxyHosts(plan.cluster_type.typed_config.dns_cache_config, environment)
    if plan.type == "ORIGINAL_DST":
        return OriginalDstHosts(plan, environment)
    if plan.type in ("STRICT_DNS", "LOGICAL_DNS"):
        return DnsHosts(plan, environment)
    return StaticHosts(plan, environment)


class StaticHosts(HostSource):
    """STATIC and EDS clusters: the endpoints that the plan lists."""

    def __init__(self, plan: Cluster, environment: ClusterEnvironment) -> None:
        super().__init__(environment)
        self.hosts = tuple(
            host_of_endpoint(endpoint, group, environment.loop.time()) for group, endpoint in endpoints_of(plan)
        )

    def follow(self, plan: Cluster) -> None:
        """Hosts that stay in their locality keep counters, pools, age and ejection (``updateDynamicHostList``)."""
        known = {(host.address, host.locality): host for host in self.hosts}
        hosts = []
        for group, endpoint in endpoints_of(plan):
            host = host_of_endpoint(endpoint, group, self.environment.loop.time())
            kept = known.pop((host.address, host.locality), None)
            if kept is not None:
                is_ejected = kept.outlier is not None and kept.outlier.ejected_at is not None
                describe(kept, endpoint, group)
                kept.healthy = kept.healthy and not is_ejected
            hosts.append(kept or host)
        self.hosts = tuple(hosts)
        self.on_change()


def endpoints_of(plan: Cluster) -> Iterator[tuple[LocalityLbEndpoints, LbEndpoint]]:
    """Every endpoint of the plan that counts, with the locality it stands in."""
    for group in used_endpoints(plan):
        for endpoint in group.lb_endpoints:
            if endpoint.endpoint is not None and endpoint.endpoint.address is not None:
                yield group, endpoint


def host_of_endpoint(endpoint: LbEndpoint, group: LocalityLbEndpoints, now: float, ip: str | None = None) -> Host:
    """A host for an endpoint; ``ip`` is what its name resolved to."""
    address = endpoint.endpoint.address if endpoint.endpoint else None
    if isinstance(address, Pipe):
        host = Host(address.path, address.path)
    elif isinstance(address, EnvoyInternalAddress):
        host = Host((address.path, 0), address.path)
    else:
        target = address if isinstance(address, SocketAddress) else SocketAddress()
        port = target.port_value or 0
        host = Host((ip or target.address, port), address_text(ip or target.address, port))
        if ip is not None:
            host.hostname = target.address
    describe(host, endpoint, group)
    host.created = now
    return host


def describe(host: Host, endpoint: LbEndpoint, group: LocalityLbEndpoints) -> None:
    """What the plan says of a host beside its address."""
    host.endpoint = endpoint
    host.weight = endpoint.load_balancing_weight or 1
    host.priority = group.priority
    host.locality = group.locality
    metadata = endpoint.metadata.filter_metadata if endpoint.metadata is not None else None
    host.metadata = metadata if metadata is not None else {}
    host.health_status = endpoint.health_status
    host.healthy = endpoint.health_status not in UNHEALTHY


class OriginalDstHosts(HostSource):
    """ORIGINAL_DST clusters: the address that the client dialled, as a host of its own."""

    def __init__(self, plan: Cluster, environment: ClusterEnvironment) -> None:
        super().__init__(environment)
        config = plan.original_dst_lb_config
        self._port = config.upstream_port_override if config else None
        cleanup = plan.cleanup_interval
        self._cleanup = DEFAULT_CLEANUP_SECONDS if cleanup is None else cleanup.total_seconds()
        self._by_address: dict[tuple[str, int], Host] = {}
        self._next_cleanup = 0.0

    def choose(self, context: LoadBalancerContext) -> Host | None:
        """The dialled address; ``None`` where nobody dialled one."""
        destination = context.destination
        if destination is None:
            return None
        if self._port:
            destination = (destination[0], self._port)
        host = self._by_address.get(destination)
        if host is None:
            self._forget_unused()
            target = self.environment.resolver.connect_target(*destination)
            host = self._by_address[destination] = Host(target, address_text(*destination))
        return host

    def _forget_unused(self) -> None:
        now = self.environment.loop.time()
        if now < self._next_cleanup:
            return
        self._next_cleanup = now + self._cleanup
        self._by_address = {
            address: host
            for address, host in self._by_address.items()
            if host.active_connections or host.active_requests or host.pools
        }


@lru_cache(maxsize=1024)  # a name costs 5 µs, and every connection to a mapped port asks about the same one
def is_address(text: str) -> bool:
    """``text`` is an IPv4 or IPv6 address, not a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
