"""Connections that no policy concerns: the host's own ports, and what the capture settings leave out."""

from __future__ import annotations

import asyncio
import logging
import socket

from sandbox.proxy.socket_relay import RelayEnd, SocketRelay, reset
from sandbox.proxy.tasks import spawn

log = logging.getLogger("sandbox.capture")
CONNECT_SECONDS = 10.0


class RawRelays:
    """Relays under way, and the tasks that are still connecting; ``close`` ends all of them."""

    def __init__(self) -> None:
        self._connecting: set[asyncio.Task[None]] = set()
        self._relays: set[SocketRelay] = set()

    def start(self, downstream: socket.socket, targets: tuple[tuple[str, int], ...]) -> None:
        """Takes the connection over: the first target that accepts gets its bytes; where none does, it is reset."""
        task = spawn(self._connect(downstream, targets), name="raw relay")
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, downstream: socket.socket, targets: tuple[tuple[str, int], ...]) -> None:
        loop = asyncio.get_running_loop()
        for address, port in targets:
            upstream = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            upstream.setblocking(False)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await loop.sock_connect(upstream, (address, port))
            except (OSError, TimeoutError):
                upstream.close()
                continue
            except asyncio.CancelledError:
                upstream.close()
                reset(downstream)
                raise
            self._relay(loop, downstream, upstream)
            return
        reset(downstream)

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
