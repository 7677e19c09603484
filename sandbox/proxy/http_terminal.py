"""Hands a connection to the HTTP connection manager: the untouched socket becomes a transport of the loop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sandbox.proxy.tasks import detach

if TYPE_CHECKING:
    from sandbox.plan.http_connection_manager import HttpConnectionManager
    from sandbox.plan.listener import FilterChain
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.proxy.snapshot import NodeRuntime

log = logging.getLogger("sandbox.proxy")


class HttpTerminal:
    """An HTTP connection manager at the end of a chain."""

    __slots__ = ("_chain", "_node", "_runtime")

    def __init__(self, plan: HttpConnectionManager, chain: FilterChain, node: NodeRuntime) -> None:
        from sandbox.proxy.http_connection_manager import HttpConnectionManagerRuntime

        self._chain = chain
        self._node = node
        self._runtime = HttpConnectionManagerRuntime(plan, node)

    def take(self, connection: DownstreamConnection) -> None:
        """Adopts the socket; what the inspectors peeked at is still unread."""
        detach(self._adopt(connection), "adopt")

    async def _adopt(self, connection: DownstreamConnection) -> None:
        try:
            await self._node.loop.connect_accepted_socket(
                lambda: self._runtime.new_protocol(connection), connection.socket
            )
        except OSError:
            connection.socket.close()
            connection.finished()
