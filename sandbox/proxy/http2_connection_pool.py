"""HTTP/2 connections to one host: a new one only where the upstream's limit, or an end, makes it necessary."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sandbox.proxy.connection_pool import ConnectionPool
from sandbox.proxy.failure import REQUESTS_OVERFLOW, FailureKind, UpstreamFailure
from sandbox.proxy.http2_client_stream import Http2ClientStream
from sandbox.proxy.http2_upstream import Http2ClientConnection
from sandbox.proxy.tasks import detach
from sandbox.proxy.upstream import connect

if TYPE_CHECKING:
    from sandbox.plan.http_connection_manager import Http2ProtocolOptions
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.connection_pool import PoolUser
    from sandbox.proxy.host import Host
    from sandbox.proxy.upstream import TransportOptions


class Http2ConnectionPool(ConnectionPool):
    """Connections to one host: a new one only where the upstream's limit, or an end, makes it necessary."""

    preserve_case = False

    def __init__(
        self,
        cluster: ClusterRuntime,
        host: Host,
        options: TransportOptions | None,
        http2_options: Http2ProtocolOptions | None,
    ) -> None:
        super().__init__(cluster, host, options)
        self.http2_options = http2_options
        self._ready: list[Http2ClientConnection] = []
        self._is_connecting = False

    def acquire(self, user: PoolUser) -> Http2ClientStream | UpstreamFailure | None:
        """A place at once, a refusal (overflow), or ``None``: the user waits and is called back."""
        connection = self._usable()
        if connection is not None:
            if self.cluster.resources.requests.is_full:
                return self._too_many_requests()
            return self._attach(connection)
        return self._wait(user)

    def _usable(self) -> Http2ClientConnection | None:
        return next((each for each in self._ready if each.takes_requests and not each.is_full), None)

    def _attach(self, connection: Http2ClientConnection) -> Http2ClientStream:
        self.cluster.resources.requests.active += 1
        self.cluster.counters.requests += 1
        self.host.active_requests += 1
        self.host.requests += 1
        if self.cluster.outlier is not None:
            self.cluster.outlier.put_local_success(self.host)
        return connection.new_stream()

    def _connect_if_needed(self) -> None:
        if self._is_connecting or not self._pending:
            return
        self._is_connecting = True
        number = self.cluster.begin_connection(self.host)
        detach(self._connect(number), f"connect to {self.host.address}")

    async def _connect(self, number: int) -> None:
        result = await connect(
            self.cluster, self.host, lambda: Http2ClientConnection(self), self.options, number=number
        )
        self._is_connecting = False
        if isinstance(result, UpstreamFailure):
            self.cluster.connect_failed(self.host, is_timeout=result.kind is FailureKind.CONNECTION_TIMEOUT)
            self.connection_closed(None)
            self._fail(result)
            return
        connection = result.protocol
        assert isinstance(connection, Http2ClientConnection)
        connection.connected(result)
        self._ready.append(connection)
        connection.send()
        self._serve_pending()
        connection.end_if_gone()

    def _serve_pending(self) -> None:
        resources = self.cluster.resources
        while self._pending:
            connection = self._usable()
            if connection is None:
                self._connect_if_needed()
                return
            user = self._pending.popleft()
            resources.pending_requests.active -= 1
            if resources.requests.is_full:
                self.cluster.counters.active_overflows += 1
                self._refuse(user, REQUESTS_OVERFLOW)
                continue
            user.on_pool_ready(self._attach(connection))

    def release(self, connection: Http2ClientConnection) -> None:
        """A request is done."""
        self.cluster.resources.requests.active -= 1
        self.host.active_requests -= 1
        if self._pending and not connection.is_closed:
            self._serve_pending()

    def forget(self, connection: Http2ClientConnection) -> None:
        """It takes no further requests."""
        with contextlib.suppress(ValueError):
            self._ready.remove(connection)

    def connection_closed(self, connection: Http2ClientConnection | None) -> None:
        """A connection is gone (or never came about)."""
        self.cluster.resources.connections.active -= 1
        self.host.active_connections -= 1
        if connection is not None:
            self.forget(connection)
            self._connect_if_needed()

    def close_idle(self) -> None:
        """Closes what nobody uses, and lets the rest end."""
        for connection in list(self._ready):
            connection.stop_taking()
            connection.close()
