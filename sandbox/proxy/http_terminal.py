"""Hands a connection to the HTTP connection manager: the untouched socket becomes a transport of the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.proxy.http_connection_manager import HttpConnectionManagerRuntime
from sandbox.proxy.tasks import detach
from sandbox.proxy.tls_termination import terminate

if TYPE_CHECKING:
    from sandbox.plan.http_connection_manager import HttpConnectionManager
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.proxy.snapshot import NodeRuntime
    from sandbox.proxy.stream_relay import StreamEnd
    from sandbox.proxy.tls_context import ServerTls


class HttpTerminal:
    """An HTTP connection manager at the end of a chain."""

    __slots__ = ("_node", "_runtime", "_tls")

    def __init__(self, plan: HttpConnectionManager, tls: ServerTls | None, node: NodeRuntime) -> None:
        self._node = node
        self._tls = tls
        self._runtime = HttpConnectionManagerRuntime(plan, node, has_tls=tls is not None)

    def take(self, connection: DownstreamConnection) -> None:
        """Adopts the socket; what the inspectors peeked at is still unread."""
        if connection.stream is not None:
            self._take_stream(connection, connection.stream)
            return
        detach(self._adopt(connection), "adopt")

    def _take_stream(self, connection: DownstreamConnection, stream: StreamEnd) -> None:
        """The connection is a transport already (it comes from another connection manager)."""
        transport = stream.transport
        if transport is None or self._tls is not None:
            stream.close()
            connection.finished()
            return
        protocol = self._runtime.new_protocol(connection)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(stream.early)
        if not transport.is_closing():
            transport.resume_reading()

    async def _adopt(self, connection: DownstreamConnection) -> None:
        if self._tls is not None:
            if not await terminate(self._tls, connection, lambda: self._runtime.new_protocol(connection)):
                connection.finished()
            return
        try:
            await self._node.loop.connect_accepted_socket(
                lambda: self._runtime.new_protocol(connection), connection.socket
            )
        except OSError:
            connection.socket.close()
            connection.finished()
