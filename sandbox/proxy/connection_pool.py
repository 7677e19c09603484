"""What pools of HTTP/1 and HTTP/2 connections have in common: limits of the cluster, and requests that wait."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Protocol

from sandbox.proxy.failure import PENDING_OVERFLOW, REQUESTS_OVERFLOW, FailureKind, UpstreamFailure

if TYPE_CHECKING:
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.host import Host
    from sandbox.proxy.http2_client_stream import Http2ClientStream
    from sandbox.proxy.http_upstream import Http1ClientConnection
    from sandbox.proxy.upstream import TransportOptions

DEFAULT_IDLE_TIMEOUT = 3600.0


class PoolUser(Protocol):
    """Who waits for a connection; ``UpstreamCallbacks`` with the outcome of the wait."""

    def on_pool_ready(self, connection: Http1ClientConnection | Http2ClientStream) -> None:
        """The connection is the user's."""

    def on_pool_failure(self, host: Host, failure: UpstreamFailure) -> None:
        """No connection came about."""


class ConnectionPool(ABC):
    """Connections to one host, by one kind of transport."""

    __slots__ = ("_pending", "cluster", "host", "idle_timeout", "max_connection_duration", "max_requests", "options")

    def __init__(self, cluster: ClusterRuntime, host: Host, options: TransportOptions | None) -> None:
        self.cluster = cluster
        self.host = host
        self.options = options
        self._pending: deque[PoolUser] = deque()
        common = cluster.http_options.common_http_protocol_options if cluster.http_options is not None else None
        idle = common.idle_timeout if common is not None else None
        self.idle_timeout = DEFAULT_IDLE_TIMEOUT if idle is None else idle.total_seconds()
        self.max_requests = (common.max_requests_per_connection or 0) if common is not None else 0
        duration = common.max_connection_duration if common is not None else None
        self.max_connection_duration = 0.0 if duration is None else duration.total_seconds()

    def cancel(self, user: PoolUser) -> None:
        """The user no longer waits; a connection under way goes on, and serves others."""
        with contextlib.suppress(ValueError):
            self._pending.remove(user)
            self.cluster.resources.pending_requests.active -= 1

    def _wait(self, user: PoolUser) -> UpstreamFailure | None:
        """The user waits for a connection, unless too many do."""
        pending = self.cluster.resources.pending_requests
        if pending.is_full:
            self.cluster.counters.pending_overflows += 1
            return PENDING_OVERFLOW
        pending.active += 1
        self._pending.append(user)
        self._connect_if_needed()
        return None

    @abstractmethod
    def _connect_if_needed(self) -> None:
        """Begins a connection where those under way are too few for who waits."""

    def _fail(self, failure: UpstreamFailure) -> None:
        """No connection came about: nobody waits longer."""
        waiting = list(self._pending)
        self._pending.clear()
        self.cluster.resources.pending_requests.active -= len(waiting)
        for user in waiting:
            self._refuse(user, failure)

    def _refuse(self, user: PoolUser, failure: UpstreamFailure) -> None:
        """Outlier detection counts the requests that fail, not the connections (``onUpstreamReset`` of the router)."""
        self.cluster.report_connect_failure(self.host, is_timeout=failure.kind is FailureKind.CONNECTION_TIMEOUT)
        user.on_pool_failure(self.host, failure)

    def _too_many_requests(self) -> UpstreamFailure:
        """A connection is there, and the circuit breaker against it, which counts as a failure of the host."""
        self.cluster.counters.active_overflows += 1
        self.cluster.report_connect_failure(self.host)
        return REQUESTS_OVERFLOW
