"""What the explicit doors share: a name is looked up as the workload would, then the connection enters."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from sandbox.proxy.downstream import Redirect
from sandbox.proxy.host_source import is_address
from sandbox.proxy.resolver import TIMED_OUT, Answer, NoAnswer, Resolver
from sandbox.proxy.stream_relay import StreamEnd

LOOK_UP_SECONDS: Final = 12.0
"""A client waits no longer for its name."""


class Origin(msgspec.Struct, frozen=True):
    """Where a connection comes from, and where it was meant to go: (ip, port) both."""

    remote: tuple[str, int]
    destination: tuple[str, int]
    door: str
    redirect: Redirect | None = None
    stream: StreamEnd | None = None
    """The connection as a transport, where bytes of it have been read already."""


Enter = Callable[[socket.socket, Origin], None]
"""From here on it is a captured connection."""


class WorkloadNames:
    """How the workload resolves a name: the mesh's name table first, then the resolver."""

    def __init__(self, resolver: Callable[[], Resolver], table: Callable[[str], str | None]) -> None:
        self._resolver = resolver
        self._table = table

    async def look_up(self, name: str, port: int) -> str | NoAnswer:
        """One address; the first of the answer."""
        if is_address(name):
            return name
        # First, as the agent's DNS proxy is in a pod: overrides stand for the real DNS, which it asks for other names.
        known = self._table(name)
        if known is not None:
            return known
        resolver = self._resolver()
        override = resolver.override(name, port)
        if override is not None:
            return override[0]
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                answer = await resolver.resolve(name, "V4_PREFERRED", port)
        except TimeoutError:
            return TIMED_OUT
        if isinstance(answer, Answer):
            return answer.addresses[0] if answer.addresses else NoAnswer("the name has no address")
        return answer


class Caller(msgspec.Struct, frozen=True):
    """Whose connection it is: how that workload resolves names, and its way in."""

    names: WorkloadNames
    enter: Enter


class CallerFinder(Protocol):
    """Tells workloads apart, where several use one door."""

    async def of(self, workload: str | None, address: str) -> Caller | str:
        """By the name that was said, else by the address that the connection comes from; a text says what is wrong."""
        ...
