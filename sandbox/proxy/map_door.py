"""Static maps: whatever arrives at an address of ours is meant for one host and port."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Final

from sandbox.proxy.door import CallerFinder, Origin
from sandbox.proxy.resolver import NoAnswer
from sandbox.proxy.tasks import detach

if TYPE_CHECKING:
    from sandbox.settings import HostPort

log = logging.getLogger("sandbox.proxy")
DOOR: Final = "map"


class MapDoor:
    """Takes the connections of one mapped port."""

    def __init__(self, target: HostPort, callers: CallerFinder) -> None:
        self._target = target
        self._callers = callers

    def accept(self, sock: socket.socket, remote: tuple[str, int]) -> None:
        """Looks the target up afresh, as a client would, then hands over."""
        detach(self._visit(sock, remote), f"map to {self._target}")

    async def _visit(self, sock: socket.socket, remote: tuple[str, int]) -> None:
        caller = await self._callers.of(None, remote[0])
        if isinstance(caller, str):
            log.warning("%s: %s", remote[0], caller)
            sock.close()
            return
        address = await caller.names.look_up(self._target.host, self._target.port)
        if isinstance(address, NoAnswer):
            log.warning("%s does not resolve: %s", self._target.host, address.reason)
            sock.close()
            return
        caller.enter(sock, Origin(remote, (address, self._target.port), DOOR))
