"""ClusterRuntime: a cluster at work, with its hosts, limits, counters and load balancer."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sandbox.match.endpoint_picker import EndpointPicker
from sandbox.metrics.cluster_counters import ClusterCounters
from sandbox.plan.cluster import HttpProtocolOptions
from sandbox.proxy.circuit_breakers import ResourceManager
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
    from sandbox.plan.cluster import Cluster
    from sandbox.proxy.host import SocketTarget
    from sandbox.proxy.resolver import Resolver
    from sandbox.proxy.secrets import SecretStore

DEFAULT_CONNECT_TIMEOUT: Final = 5.0
MERGE_WINDOW: Final = 1.0
"""Seconds after an update during which changes of health wait (``update_merge_window``, which istiod leaves alone)."""
HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

SocketOption = tuple[int, int, int]


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
