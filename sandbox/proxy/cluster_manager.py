"""ClusterManager: the clusters of a snapshot, their limits, counters and load balancing."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sandbox.match.endpoint_picker import EndpointPicker
from sandbox.match.xxhash64 import xxhash64
from sandbox.metrics.cluster_counters import ClusterCounters
from sandbox.plan.cluster import HttpProtocolOptions, Thresholds
from sandbox.proxy import certificates
from sandbox.proxy.cluster_transports import ClusterTransports
from sandbox.proxy.connection_numbers import next_connection_number
from sandbox.proxy.downstream import address_text
from sandbox.proxy.host import Host, close_idle_pools
from sandbox.proxy.host_source import HostSource, host_source
from sandbox.proxy.internal_listener import CLIENT, EnterInternal, leads_inside, nobody_listens
from sandbox.proxy.load_balancer import LoadBalancerContext
from sandbox.proxy.original_dst import plain_address
from sandbox.proxy.outlier_detection import OutlierDetector, counted_status, error_statuses
from sandbox.proxy.transport_socket import TransportSocketRuntime

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster, RetryBudget
    from sandbox.proxy.host import SocketTarget
    from sandbox.proxy.resolver import Resolver
    from sandbox.proxy.secrets import SecretStore

__all__ = ["ClusterManager", "ClusterRuntime", "Limit", "LoadBalancerContext", "ResourceManager"]

DEFAULT_CONNECT_TIMEOUT: Final = 5.0
DEFAULT_LIMIT: Final = 1024
DEFAULT_MAX_RETRIES: Final = 3
DEFAULT_RETRY_PERCENT: Final = 20.0
MERGE_WINDOW: Final = 1.0
"""Seconds after an update during which changes of health wait (``update_merge_window``, which istiod leaves alone)."""
HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

SocketOption = tuple[int, int, int]


class Limit:
    """One circuit breaker: how many at once."""

    __slots__ = ("active", "maximum")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.active = 0

    @property
    def is_full(self) -> bool:
        """No further one may begin."""
        return self.active >= self.maximum


class RetryLimit(Limit):
    """Retries by a budget: a share of the requests that run or wait (``RetryBudgetImpl``), whatever the interval."""

    __slots__ = ("_least", "_of", "_share")

    def __init__(self, budget: RetryBudget, of: tuple[Limit, ...]) -> None:
        super().__init__(0)
        percent = budget.budget_percent
        self._share = (DEFAULT_RETRY_PERCENT if percent is None else percent.value) / 100
        least = budget.min_retry_concurrency
        self._least = DEFAULT_MAX_RETRIES if least is None else least
        self._of = of

    @property
    def is_full(self) -> bool:
        """No further one may begin."""
        return self.active >= max(int(self._share * sum(each.active for each in self._of)), self._least)


class ResourceManager:
    """Circuit breakers of a cluster (default priority): who begins adds to ``active``, who ends takes off again."""

    __slots__ = ("connections", "pending_requests", "requests", "retries")

    def __init__(self, plan: Cluster) -> None:
        thresholds = plan.circuit_breakers.thresholds if plan.circuit_breakers else ()
        first = thresholds[0] if thresholds else Thresholds()

        def limit(maximum: int | None, default: int) -> Limit:
            return Limit(default if maximum is None else maximum)

        self.connections = limit(first.max_connections, DEFAULT_LIMIT)
        self.pending_requests = limit(first.max_pending_requests, DEFAULT_LIMIT)
        self.requests = limit(first.max_requests, DEFAULT_LIMIT)
        self.retries = limit(first.max_retries, DEFAULT_MAX_RETRIES)
        if first.retry_budget is not None:
            self.retries = RetryLimit(first.retry_budget, (self.requests, self.pending_requests))


class ClusterEnvironment:
    """What clusters get from outside: names, draws, the loop, counters that outlive them."""

    __slots__ = ("counters_of", "enter_internal", "loop", "own_listeners", "pod", "random", "resolver", "secrets")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolver: Resolver,
        draws: random.Random,
        secrets: SecretStore,
        counters_of: Callable[[str], ClusterCounters] | None = None,
    ) -> None:
        self.counters_of = counters_of or (lambda _name: ClusterCounters())
        self.secrets = secrets
        self.loop = loop
        self.resolver = resolver
        self.random = draws
        self.pod: str | None = None
        """The address of the pod whose clusters these are, where other nodes of its mesh are in this process."""
        self.own_listeners: frozenset[tuple[str, int]] = frozenset()
        """Where a gateway is listening itself: what it forwards by a name must not come back."""
        self.enter_internal: EnterInternal = nobody_listens


class ClusterRuntime:
    """A cluster at work."""

    def __init__(self, plan: Cluster, environment: ClusterEnvironment) -> None:
        self.plan = plan
        self.name = plan.name
        self.environment = environment
        timeout = plan.connect_timeout
        self.connect_timeout = DEFAULT_CONNECT_TIMEOUT if timeout is None else timeout.total_seconds()
        self.socket_options = _keepalive(plan)
        self.leads_inside = leads_inside(plan)
        self.resources = ResourceManager(plan)
        self.counters = environment.counters_of(plan.name)
        options = (plan.typed_extension_protocol_options or {}).get(HTTP_OPTIONS)
        self.http_options = options if isinstance(options, HttpProtocolOptions) else None
        self.http_alpn = _http_alpn(self.http_options)
        """ALPN of TLS connections whose settings name no protocols."""
        self.picker: EndpointPicker[Host] = EndpointPicker(plan, environment.random)
        self.source: HostSource = host_source(plan, environment)
        self._known: tuple[Host, ...] = ()
        self._updated = float("-inf")
        self._merging: asyncio.TimerHandle | None = None
        self.source.on_change = self._hosts_changed
        self._transports = ClusterTransports(plan, self.http_options, environment.secrets)
        self._error_statuses = error_statuses(self.http_options)
        self.outlier: OutlierDetector | None = None
        if plan.outlier_detection is not None:
            self.outlier = OutlierDetector(
                plan, environment.loop, environment.random, self._health_changed, self.counters.outlier
            )
        self.source.begin()

    @property
    def hosts(self) -> Sequence[Host]:
        """All hosts now known."""
        return self.source.hosts

    @property
    def is_ready(self) -> bool:
        """The first answer about its hosts is in."""
        return self.source.is_ready

    def choose_host(self, context: LoadBalancerContext) -> Host | None:
        """The load balancer's choice; ``None`` is "no healthy upstream"."""
        chosen = self.source.choose(context)
        if chosen is not None:
            return chosen
        picker = self.picker
        now = self.environment.loop.time() if picker.needs_time else 0.0
        return picker.pick(now, context.hash_key, context.tried, context.retry_attempts, context.priority_excluded)

    def transport_of(self, host: Host) -> TransportSocketRuntime:
        """Plain text, TLS or PROXY header: by the host's metadata where the cluster has transport socket matches."""
        return self._transports.of(host)

    @property
    def is_plain(self) -> bool:
        """All hosts are spoken to in plain text without a PROXY header."""
        return self._transports.is_plain

    @property
    def sends_proxy_header(self) -> bool:
        """Connections begin with a PROXY header and so belong to one downstream connection each."""
        return self._transports.sends_proxy_header

    def connect_address(self, target: SocketTarget) -> SocketTarget:
        """Where the address of a host really is: a gateway of ours is on loopback."""
        return target if isinstance(target, str) else self.environment.resolver.connect_target(*target)

    def source_of(self, target: SocketTarget) -> str | None:
        """From which address to call: a node of ours sees by it who calls."""
        resolver = self.environment.resolver
        if isinstance(target, str) or not resolver.is_redirected(*target):
            return None
        return resolver.hops.alias_of(self.environment.pod)

    def local_address(self, sock: socket.socket) -> str:
        """The near end of a connection to a host, as it is logged."""
        if self.leads_inside:
            return CLIENT
        ip, port = plain_address(sock.getsockname())
        return address_text(self.environment.resolver.hops.shown(ip), port)

    async def resolve_host(self, authority: str, default_port: int) -> Host | str:
        """Dynamic forward proxy: the host for ``name[:port]``, or the details of a failure to find it."""
        return await self.source.resolve(authority, default_port)

    def begin_connection(self, host: Host) -> int:
        """Counts a connection to ``host``, from the moment it is begun; its number in this process."""
        self.resources.connections.active += 1
        self.counters.connections += 1
        host.active_connections += 1
        host.connections += 1
        return next_connection_number()

    def connect_failed(self, host: Host, *, is_timeout: bool = False) -> None:
        """Counts a connection that did not come about."""
        self.counters.connect_failures += 1
        self.counters.connect_timeouts += is_timeout
        host.connect_failures += 1

    def end_connection(self, host: Host, *, was_used: bool = False) -> None:
        """The connection is closed, or did not come about; ``was_used``: it came about for TCP."""
        host.active_requests -= was_used
        self.resources.connections.active -= 1
        host.active_connections -= 1

    def report_response(self, host: Host, status: int) -> None:
        """An HTTP answer, for outlier detection."""
        if self.outlier is not None:
            self.outlier.put_response(host, counted_status(status, self._error_statuses))

    def report_connect_failure(self, host: Host, *, is_timeout: bool = False) -> None:
        """A failed connect, or a reset before the answer, for outlier detection."""
        if self.outlier is not None:
            self.outlier.put_local_failure(host, is_timeout=is_timeout)

    def report_connect_success(self, host: Host) -> bool:
        """A TCP connection came about, which counts as a request under way; no answer will follow to tell more."""
        self.counters.requests += 1
        host.requests += 1
        host.active_requests += 1
        if self.outlier is not None:
            self.outlier.put_tcp_success(host)
        return True

    def follow(self, plan: Cluster) -> None:
        """The cluster goes on with endpoints that are planned anew, as after an update of them alone (EDS)."""
        if self.plan.load_assignment is not plan.load_assignment and self.plan != plan:
            self.plan = plan
            self.picker.follow(plan)
            self.source.follow(plan)

    def close(self) -> None:
        """Stops timers and look-ups; live connections are not concerned."""
        self.source.close()
        if self._merging is not None:
            self._merging.cancel()
        for host in self.source.hosts:
            close_idle_pools(host)
        if self.outlier is not None:
            self.outlier.close()

    def _hosts_changed(self) -> None:
        hosts = self.source.hosts
        for host in self._known:
            if host not in hosts:
                close_idle_pools(host)
        self._known = tuple(hosts)
        if self.outlier is not None:
            self.outlier.watch(self.source.hosts)
        self._update()
        if not self.source.is_ready:
            self._updated = float("-inf")  # a first answer is no update

    def _health_changed(self, ejected: Host | None) -> None:
        """The load balancer hears of it at once, or merged with others a second later (``scheduleUpdate``)."""
        if ejected is not None:
            close_idle_pools(ejected)
        if self.environment.loop.time() - self._updated > MERGE_WINDOW:
            self._update()
        elif self._merging is None:
            self._merging = self.environment.loop.call_later(MERGE_WINDOW, self._update)

    def _update(self) -> None:
        if self._merging is not None:
            self._merging.cancel()
            self._merging = None
        self._updated = self.environment.loop.time()
        self.picker.set_hosts(self.source.hosts, self._updated)


def _http_alpn(options: HttpProtocolOptions | None) -> tuple[str, ...]:
    if options is not None and options.auto_config is not None:
        return ("h2", "http/1.1")
    explicit = options.explicit_http_config if options is not None else None
    return ("h2",) if explicit is not None and explicit.http2_protocol_options is not None else ("http/1.1",)


def _keepalive(plan: Cluster) -> tuple[SocketOption, ...]:
    options = plan.upstream_connection_options
    keepalive = options.tcp_keepalive if options else None
    if keepalive is None:
        return ()
    chosen: list[SocketOption] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        ("TCP_KEEPCNT", keepalive.keepalive_probes),
        ("TCP_KEEPIDLE", keepalive.keepalive_time),
        ("TCP_KEEPINTVL", keepalive.keepalive_interval),
    ):
        if value is not None and hasattr(socket, name):
            chosen.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return tuple(chosen)


class ClusterManager:
    """All clusters of one snapshot; a runtime is made when first asked for, or at once for names and ages of hosts."""

    def __init__(
        self, plans: Mapping[str, Cluster], environment: ClusterEnvironment, previous: ClusterManager | None = None
    ) -> None:
        """Clusters of the snapshot before (``previous``) that are planned as they were go on as they are."""
        self.plans = plans
        self._environment = environment
        self._running: dict[str, ClusterRuntime] = {}
        self._preloading: asyncio.Future[None] | None = None
        for running in previous.running.values() if previous is not None else ():
            if _goes_on(running, plans.get(running.name)):
                self._running[running.name] = running
        self._warmed = frozenset(self._running)
        for plan in plans.values():
            if plan.type in ("STRICT_DNS", "LOGICAL_DNS") or _starts_slowly(plan):
                self.get(plan.name)

    def get(self, name: str) -> ClusterRuntime | None:
        """The cluster, or ``None`` (flag NC)."""
        running = self._running.get(name)
        if running is None:
            plan = self.plans.get(name)
            if plan is None:
                return None
            running = self._running[name] = ClusterRuntime(plan, self._environment)
        return running

    @property
    def running(self) -> Mapping[str, ClusterRuntime]:
        """Those that have been used so far."""
        return self._running

    async def warm(self, seconds: float) -> None:
        """Waits until every new cluster has its first answer, at most so long."""
        if any(plan.transport_socket is not None or plan.transport_socket_matches for plan in self.plans.values()):
            self._preloading = self._environment.loop.run_in_executor(None, certificates.preload)
        deadline = self._environment.loop.time() + seconds
        for cluster in list(self._running.values()):
            left = deadline - self._environment.loop.time()
            if left <= 0:
                return
            if not cluster.is_ready and cluster.name not in self._warmed:
                await asyncio.wait([cluster.source.ready], timeout=left)

    def close(self, successor: ClusterManager | None = None) -> None:
        """Stops timers and look-ups of all clusters but those that go on in the next snapshot."""
        going_on = successor.running if successor is not None else {}
        for cluster in self._running.values():
            if successor is not None and going_on.get(cluster.name) is cluster:
                cluster.follow(successor.plans[cluster.name])
            else:
                cluster.close()


def _starts_slowly(plan: Cluster) -> bool:
    """Whether the age of hosts counts, which begins with the configuration and not with the first call."""
    return any(
        config is not None and config.slow_start_config is not None
        for config in (plan.round_robin_lb_config, plan.least_request_lb_config)
    )


def _goes_on(running: ClusterRuntime, plan: Cluster | None) -> bool:
    """Whether hosts, breakers, ejections and turns stay, as in Envoy.

    Keys and certificates are read anew, and internal listeners are those of the new plan.
    """
    if plan is None or plan.transport_socket is not None or plan.transport_socket_matches or running.leads_inside:
        return False
    if running.plan is plan or running.plan == plan:
        return True
    return plan.type == "EDS" and running.plan == replace(plan, load_assignment=running.plan.load_assignment)


def hash_of_ip(ip: str) -> int:
    """A 64-bit hash of an address for ring hash and maglev; stable between runs."""
    return xxhash64(ip.encode())
