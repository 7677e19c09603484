"""A small world for tests of the data plane: a plan of TCP listeners, real loopback sockets, and what was logged."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, ParamSpec

import uvloop

from sandbox.access_log.stream_info import StreamInfo
from sandbox.plan import NodePlan
from sandbox.plan.base import Extension, SocketAddress
from sandbox.plan.cluster import Cluster, ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints
from sandbox.plan.listener import Filter, FilterChain, Listener, TcpProxy
from sandbox.plan.metrics import StatsConfig
from sandbox.proxy.access_log_sink import AccessLogSink
from sandbox.proxy.resolver import Resolver
from sandbox.proxy.secrets import SecretStore
from sandbox.proxy.server import Server
from sandbox.proxy.snapshot import Snapshot, Surroundings
from sandbox.proxy.system_names import SystemNames

P = ParamSpec("P")

WAIT_SECONDS = 5.0
LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


def run(test: Callable[[], Awaitable[None]], loop: str = "uvloop") -> None:
    """Runs a test's coroutine on a loop of its own, with a limit."""

    async def limited() -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            await test()

    try:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(limited())
    finally:
        while _opened:
            _opened.pop().close()


def on_a_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """The test runs on a loop of its own: uvloop, or the one that its parameter ``loop`` names."""

    @functools.wraps(test)
    def ran(*args: P.args, **kwargs: P.kwargs) -> None:
        run(lambda: test(*args, **kwargs), str(kwargs.get("loop", "uvloop")))

    return ran


_opened: list[socket.socket] = []
"""Sockets of the test, closed at its end whatever happened."""


def address(port: int, ip: str = "127.0.0.1") -> SocketAddress:
    return SocketAddress(address=ip, port_value=port)


def static_cluster(name: str, *ports: int, **more: Any) -> Cluster:
    """A STATIC cluster of loopback ports."""
    endpoints = tuple(LbEndpoint(endpoint=Endpoint(address=address(port))) for port in ports)
    assignment = ClusterLoadAssignment(endpoints=(LocalityLbEndpoints(lb_endpoints=endpoints),))
    more.setdefault("connect_timeout", timedelta(seconds=2))
    return Cluster(name=name, type="STATIC", load_assignment=assignment, **more)


def tcp_listener(*filters: Extension, port: int = 0, **more: Any) -> Listener:
    """A listener of one chain on a port of its own (0: any)."""
    chain = FilterChain(filters=tuple(Filter(typed_config=each) for each in filters))
    return Listener(name=f"tcp_{port}", address=address(port), filter_chains=(chain,), **more)


def to_cluster(name: str, **more: Any) -> TcpProxy:
    return TcpProxy(stat_prefix=name, cluster=name, **more)


class World:
    """A running server and the streams that ended in it."""

    def __init__(self, server: Server, surroundings: Surroundings) -> None:
        self.server = server
        self.surroundings = surroundings
        self.ended: asyncio.Queue[StreamInfo] = asyncio.Queue()
        surroundings.subscribers.append(self.ended.put_nowait)

    @property
    def port(self) -> int:
        """The only bound port."""
        (bound,) = self.server.addresses.values()
        return bound.port

    async def client(self, port: int | None = None) -> Client:
        sock = socket.socket()
        sock.setblocking(False)
        client = Client(sock)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port or self.port))
        return client


def surroundings_of(resolver: Resolver | None = None) -> Surroundings:
    return Surroundings(AccessLogSink(), resolver or Resolver(system=SystemNames()), SecretStore(), seed=1)


@contextlib.asynccontextmanager
async def serving(
    listeners: tuple[Listener, ...],
    *clusters: Cluster,
    surroundings: Surroundings | None = None,
    stats: tuple[StatsConfig, ...] = (),
) -> AsyncIterator[World]:
    """Serves a plan; ports of the listeners are bound."""
    plan = NodePlan(
        node_type="sidecar",
        workload="default/test",
        listeners=listeners,
        clusters={cluster.name: cluster for cluster in clusters},
        stats=stats,
    )
    around = surroundings or surroundings_of()
    server = Server()
    world = World(server, around)
    server.swap(Snapshot(plan, around))
    try:
        yield world
    finally:
        await server.drain(0.0)


class Client:
    """One end of a connection, driven step by step."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        _opened.append(sock)
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def receive(self, size: int) -> bytes:
        """Exactly so many bytes, or fewer at the end."""
        data = b""
        while len(data) < size:
            part = await self._loop.sock_recv(self.sock, min(size - len(data), 1 << 20))
            if not part:
                return data
            data += part
        return data

    async def ending(self) -> str:
        """``fin`` or ``rst``; anything that comes before is dropped."""
        try:
            while await self._loop.sock_recv(self.sock, 65536):
                pass
        except ConnectionResetError:
            return "rst"
        return "fin"

    def finish(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


class Upstream:
    """A server socket whose connections the test takes by hand."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        _opened.append(self._socket)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    async def accept(self) -> Client:
        sock, _ = await asyncio.get_running_loop().sock_accept(self._socket)
        return Client(sock)

    def close(self) -> None:
        self._socket.close()


def closed_port() -> int:
    """A port that refuses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
