"""What the explicit doors share: a name is looked up as the workload would, then the connection enters."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

from sandbox.proxy.host_source import is_address
from sandbox.proxy.resolver import Answer, NoAnswer, Resolver

Enter = Callable[[socket.socket, tuple[str, int], tuple[str, int], str], None]
"""Socket, source, destination, the door's name: from here on it is a captured connection."""
LookUp = Callable[[str, int], Awaitable["str | NoAnswer"]]
"""A name (or address) and a port → the address that the workload would dial."""


class WorkloadNames:
    """How the workload resolves a name: the mesh's name table first, then the resolver."""

    def __init__(self, resolver: Callable[[], Resolver], table: Callable[[str], str | None]) -> None:
        self._resolver = resolver
        self._table = table

    async def look_up(self, name: str, port: int) -> str | NoAnswer:
        """One address; the first of the answer."""
        if is_address(name):
            return name
        resolver = self._resolver()
        override = resolver.override(name, port)
        if override is not None:
            return override[0]
        known = self._table(name)
        if known is not None:
            return known
        answer = await resolver.resolve(name, "V4_PREFERRED", port)
        if isinstance(answer, Answer):
            return answer.addresses[0] if answer.addresses else NoAnswer("the name has no address")
        return answer
