"""Pools of HTTP/1 connections, one for each host and kind of transport; requests wait here for a connection."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

from sandbox.plan.cluster import HttpProtocolOptions
from sandbox.proxy.connection_pool import ConnectionPool, PoolUser
from sandbox.proxy.failure import REQUESTS_OVERFLOW, FailureKind, UpstreamFailure
from sandbox.proxy.http2_connection_pool import Http2ConnectionPool
from sandbox.proxy.http_upstream import Http1ClientConnection
from sandbox.proxy.tasks import detach
from sandbox.proxy.timers import TOLERANCE_SECONDS
from sandbox.proxy.upstream import connect

if TYPE_CHECKING:
    from sandbox.plan.http_connection_manager import Http2ProtocolOptions
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.host import Host
    from sandbox.proxy.upstream import TransportOptions


class HttpConnectionPool(ConnectionPool):
    """Connections to one host; a request takes the one used last, or waits for a new one."""

    __slots__ = (
        "_active_requests",
        "_connecting",
        "_counters",
        "_generation",
        "_idle",
        "_reaper",
        "busy",
        "preserve_case",
    )

    def __init__(self, cluster: ClusterRuntime, host: Host, options: TransportOptions | None) -> None:
        super().__init__(cluster, host, options)
        self._idle: list[Http1ClientConnection] = []
        self._generation = 0
        """Grows when the pool is drained: older connections are closed after their response."""
        self._connecting = 0
        self._reaper: asyncio.TimerHandle | None = None
        self.busy = 0
        self._active_requests = cluster.resources.requests
        self._counters = cluster.counters
        self.preserve_case = _keeps_case(cluster.http_options)

    def acquire(self, user: PoolUser) -> Http1ClientConnection | UpstreamFailure | None:
        """An idle connection at once, a refusal (overflow), or ``None``: the user waits and is called back."""
        if self._idle:
            requests = self._active_requests
            if requests.active >= requests.maximum:
                return self._too_many_requests()
            connection = self._idle.pop()
            self._attach(connection)
            return connection
        return self._wait(user)

    def _attach(self, connection: Http1ClientConnection) -> None:
        host = self.host
        self.busy += 1
        self._active_requests.active += 1
        self._counters.requests += 1
        host.active_requests += 1
        host.requests += 1
        if self.cluster.outlier is not None:
            self.cluster.outlier.put_local_success(host)
        connection.requests += 1

    def _connect_if_needed(self) -> None:
        if len(self._pending) <= self._connecting:
            return
        connections = self.cluster.resources.connections
        if connections.is_full:
            self.cluster.counters.connection_overflows += 1
            if self.busy or self._connecting:
                return
        self._connecting += 1
        number = self.cluster.begin_connection(self.host)
        detach(self._connect(number), f"connect to {self.host.address}")

    async def _connect(self, number: int) -> None:
        result = await connect(self.cluster, self.host, self._new_connection, self.options, number=number)
        self._connecting -= 1
        if isinstance(result, UpstreamFailure):
            self.cluster.connect_failed(self.host, is_timeout=result.kind is FailureKind.CONNECTION_TIMEOUT)
            self._fail(result)
            self.connection_closed()
            return
        connection = result.protocol
        assert isinstance(connection, Http1ClientConnection)
        connection.generation = self._generation
        connection.connected(result)
        self._offer(connection)
        if connection.is_closed:
            connection.closed_early()

    def _new_connection(self) -> Http1ClientConnection:
        return Http1ClientConnection(self)

    def _offer(self, connection: Http1ClientConnection) -> None:
        """A connection has nothing to do: the longest waiting request gets it, else it stays idle."""
        resources = self.cluster.resources
        while self._pending:
            user = self._pending.popleft()
            resources.pending_requests.active -= 1
            if resources.requests.is_full:
                self.cluster.counters.active_overflows += 1
                self._refuse(user, REQUESTS_OVERFLOW)
                continue
            self._attach(connection)
            user.on_pool_ready(connection)
            self._connect_if_needed()
            return
        if connection.is_closed:
            return
        self._idle.append(connection)
        connection.idle_since = time.monotonic()
        if self._reaper is None and self.idle_timeout > 0:
            self._reaper = asyncio.get_running_loop().call_later(self.idle_timeout, self._reap)

    def release(self, connection: Http1ClientConnection) -> None:
        """A request is done with its connection, which is kept where it may be."""
        self.busy -= 1
        self._active_requests.active -= 1
        self.host.active_requests -= 1
        if connection.is_closed:
            self._connect_if_needed()
            return
        is_used_up = self.max_requests and connection.requests >= self.max_requests
        if is_used_up or connection.must_close or connection.generation != self._generation:
            connection.close()
            return
        self._offer(connection)

    def connection_closed(self, connection: Http1ClientConnection | None = None) -> None:
        """A connection is gone, whoever ended it (or it never came about)."""
        self.cluster.resources.connections.active -= 1
        self.host.active_connections -= 1
        if connection is not None:
            with contextlib.suppress(ValueError):
                self._idle.remove(connection)
        self._connect_if_needed()

    def close_idle(self) -> None:
        """Drains it, for the host was ejected or is gone: what nobody uses is closed, the rest after its response."""
        self._generation += 1
        for connection in list(self._idle):
            connection.close()

    def _reap(self) -> None:
        self._reaper = None
        loop = asyncio.get_running_loop()
        deadline = loop.time() - self.idle_timeout + TOLERANCE_SECONDS
        while self._idle and self._idle[0].idle_since <= deadline:
            self._idle[0].close()
        if self._idle:
            wait = self._idle[0].idle_since + self.idle_timeout - loop.time()
            self._reaper = loop.call_later(max(wait, 0.001), self._reap)


_POOLS: Final = (HttpConnectionPool, Http2ConnectionPool)


def pool_of(
    cluster: ClusterRuntime, host: Host, options: TransportOptions | None, is_http2: bool = False
) -> HttpConnectionPool | Http2ConnectionPool:
    """The host's pool for that kind of transport and protocol, made on first need."""
    key = (options, is_http2)
    pool = host.pools.get(key)
    if pool is None:
        made: HttpConnectionPool | Http2ConnectionPool
        if is_http2:
            made = Http2ConnectionPool(cluster, host, options, _http2_options(cluster.http_options))
        else:
            made = HttpConnectionPool(cluster, host, options)
        pool = host.pools[key] = made
    assert isinstance(pool, _POOLS)
    return pool


def speaks_http2(cluster: ClusterRuntime, downstream_protocol: str | None) -> bool:
    """Whether a request goes upstream by HTTP/2: where the cluster says so, or does as the client did."""
    http = cluster.http_options
    if http is None:
        return False
    if http.explicit_http_config is not None:
        return http.explicit_http_config.http2_protocol_options is not None
    return http.use_downstream_protocol_config is not None and downstream_protocol == "HTTP/2"


def _http2_options(http: HttpProtocolOptions | None) -> Http2ProtocolOptions | None:
    if http is None:
        return None
    for choice in (http.explicit_http_config, http.use_downstream_protocol_config, http.auto_config):
        if choice is not None and choice.http2_protocol_options is not None:
            return choice.http2_protocol_options
    return None


def _keeps_case(http: HttpProtocolOptions | None) -> bool:
    if http is None:
        return False
    for choice in (http.explicit_http_config, http.use_downstream_protocol_config, http.auto_config):
        options = choice.http_protocol_options if choice is not None else None
        if options is not None and options.header_key_format is not None:
            return options.header_key_format.stateful_formatter is not None
    return False
