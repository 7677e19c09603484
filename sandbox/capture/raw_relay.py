"""Connections that no policy concerns: the host's own ports, and what the capture settings leave out."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence

from sandbox.proxy.relay import RelayEnd, reset
from sandbox.proxy.socket_relay import SocketRelay
from sandbox.proxy.tasks import spawn

log = logging.getLogger("sandbox.capture")
CONNECT_SECONDS = 10.0
Targets = Sequence[tuple[socket.socket, tuple[str, int]]]
"""Sockets that are not connected yet, each with where it is to go."""


class RawRelays:
    """Relays under way, and the tasks that are still connecting; ``close`` ends all of them."""

    def __init__(self) -> None:
        self._connecting: set[asyncio.Task[None]] = set()
        self._relays: set[SocketRelay] = set()

    def start(self, downstream: socket.socket, targets: Sequence[tuple[str, int]]) -> None:
        """Takes the connection over: the first target that accepts gets its bytes; where none does, it is reset."""
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address, _ in targets]
        made = [socket.socket(family, socket.SOCK_STREAM) for family in families]
        self.start_from(downstream, tuple(zip(made, targets, strict=True)))

    def start_from(self, downstream: socket.socket, targets: Targets) -> None:
        """The same by sockets that somebody has made for each target, perhaps in another namespace."""
        task = spawn(self._connect(downstream, targets), name="raw relay")
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, downstream: socket.socket, targets: Targets) -> None:
        try:
            upstream = await _first_connected(targets)
        except asyncio.CancelledError:
            reset(downstream)
            raise
        if upstream is None:
            reset(downstream)
        else:
            self._relay(asyncio.get_running_loop(), downstream, upstream)

    def _relay(self, loop: asyncio.AbstractEventLoop, downstream: socket.socket, upstream: socket.socket) -> None:
        relay = SocketRelay(loop, (downstream, upstream), None)

        def ended(_end: RelayEnd) -> None:
            self._relays.discard(relay)

        relay.on_end = ended
        self._relays.add(relay)
        relay.start()

    async def close(self) -> None:
        """Ends everything now."""
        connecting = tuple(self._connecting)
        for task in connecting:
            task.cancel()
        await asyncio.gather(*connecting, return_exceptions=True)
        for relay in tuple(self._relays):
            relay.close()


async def _first_connected(targets: Targets) -> socket.socket | None:
    """The first socket that reaches its target; all others are closed."""
    loop = asyncio.get_running_loop()
    left = {upstream for upstream, _ in targets}
    try:
        for upstream, address in targets:
            upstream.setblocking(False)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await loop.sock_connect(upstream, address)
            except (OSError, TimeoutError):
                continue
            left.discard(upstream)
            return upstream
        return None
    finally:
        for upstream in left:
            upstream.close()
