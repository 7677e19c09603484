"""The gateways of the mesh in this process: each has its own plan and ports, and the hop to it is a real connection."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from typing import TYPE_CHECKING

from sandbox.explain.loops import without_loops
from sandbox.loading.gateway_plans import GatewayPlans
from sandbox.loading.plan_refusals import report_refusals
from sandbox.loading.stand_in_gateways import gateway_workloads
from sandbox.plan.base import SocketAddress
from sandbox.plan.because import origin_of
from sandbox.proxy.listener import ConnectionHandler
from sandbox.proxy.server import ListeningSocket, bind
from sandbox.settings import HostPort

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.compiler.proxy import Proxy
    from sandbox.explain.loops import Loop
    from sandbox.loading import Loaded
    from sandbox.plan import NodePlan
    from sandbox.proxy.snapshot import Snapshot
    from sandbox.workloads.snapshots import SnapshotBuilder

LOOPBACK = "127.0.0.1"
RETIRE_SECONDS = 5.0
"""A connection of an older plan ends after the request that it carries, or the next one."""


class GatewayNode:
    """One gateway: a snapshot, and a loopback port for each port that its pod would listen on."""

    def __init__(self, proxy: Proxy, owner: GatewayNodes) -> None:
        self.proxy = proxy
        self.snapshot: Snapshot | None = None
        self._owner = owner
        self._ports: dict[int, ListeningSocket] = {}
        self.wanted: set[int] = set()
        """The ports of the plan; others are still open for a while."""

    def take(self, proxy: Proxy, snapshot: Snapshot) -> None:
        """From now on new connections follow this plan."""
        old, self.proxy, self.snapshot = self.snapshot, proxy, snapshot
        snapshot.handler = self._owner.handler
        wanted = {
            listener.address.port_value or 0
            for listener in snapshot.bound_listeners()
            if isinstance(listener.address, SocketAddress)
        }
        for port in wanted - self._ports.keys():
            sock = bind(HostPort(LOOPBACK, 0), allow_remote=False)
            self._ports[port] = ListeningSocket(sock, self._acceptor(port))
        self.wanted = wanted
        if old is not None:
            old.node.draining = True
            old.close()

    def retire(self) -> None:
        """Closes the ports that the plan has no more."""
        for port in self._ports.keys() - self.wanted:
            self._ports.pop(port).close()

    @property
    def addresses(self) -> dict[tuple[str, int], HostPort]:
        """Where a connection to an address and port of the pod really goes."""
        return {(ip, port): each.address for ip in self.proxy.ip_addresses for port, each in self._ports.items()}

    def _acceptor(self, port: int) -> Callable[[socket.socket, tuple[str, int]], None]:
        def accept(sock: socket.socket, remote: tuple[str, int]) -> None:
            snapshot = self.snapshot
            if snapshot is None:
                sock.close()
                return
            destination = (self.proxy.ip_addresses[0], port)
            handler = self._owner.handler
            connection = handler.admit(sock, self._owner.source_of(remote), destination, "listener")
            handler.dispatch(connection, snapshot.find(*destination), snapshot.node)

        return accept

    def close_ports(self) -> None:
        """No further connections."""
        for each in self._ports.values():
            each.close()
        self._ports.clear()

    def close(self) -> None:
        """No further connections, and no timers."""
        self.close_ports()
        if self.snapshot is not None:
            self.snapshot.close()


def refuse_loops(plans: GatewayPlans, proxy: Proxy) -> NodePlan:
    """A gateway's plan without the routes by which calls would come back to it; each is told on standard error."""
    loops = plans.loops(proxy)
    for loop in loops:
        print(f"egress: LOOP refused: {loop}{_place(loop)}", file=sys.stderr, flush=True)
    return without_loops(plans.plan(proxy), loops)


def _place(loop: Loop) -> str:
    origin = origin_of(loop.because)
    return f" ({origin})" if origin is not None else ""


class GatewayNodes:
    """All gateways that the configuration names."""

    def __init__(self, builder: SnapshotBuilder) -> None:
        self.handler = ConnectionHandler()
        self._builder = builder
        self._resolver = builder.surroundings.resolver
        self._nodes: dict[str, GatewayNode] = {}
        self._gone: list[GatewayNode] = []

    async def take(self, loaded: Loaded, warm_seconds: float) -> None:
        """Compiles every gateway's plan and serves it; gateways that are gone serve until ``retire``."""
        snapshots: dict[str, tuple[Proxy, Snapshot]] = {}
        plans = GatewayPlans(loaded.configuration, loaded.push)
        here = set(gateway_workloads(loaded.configuration))
        for proxy in plans.proxies:
            workload = f"{proxy.namespace}/{proxy.name}"
            if workload in here:
                report_refusals(plans.compiled(proxy), loaded.push)
                plan = refuse_loops(plans, proxy)
                snapshots[workload] = proxy, self._builder.build(plan, loaded.configuration, proxy)
        await asyncio.gather(*(each.node.clusters.warm(warm_seconds) for _, each in snapshots.values()))
        self._gone.extend(self._nodes.pop(workload) for workload in self._nodes.keys() - snapshots.keys())
        for workload, (proxy, snapshot) in snapshots.items():
            node = self._nodes.setdefault(workload, GatewayNode(proxy, self))
            node.take(proxy, snapshot)
        self._redirect(*self._gone, *self._nodes.values())

    def source_of(self, remote: tuple[str, int]) -> tuple[str, int]:
        """Who is on the hop's other side: the pod, which addresses in policies and logs mean, and no loopback."""
        return self._resolver.hops.shown(remote[0]), remote[1]

    def retire(self) -> None:
        """Closes, after a while, what the sidecar's plan names no more: older connections still follow the old one."""
        asyncio.get_running_loop().call_later(RETIRE_SECONDS, self._close, tuple(self._gone))

    def _close(self, gone: tuple[GatewayNode, ...]) -> None:
        for node in gone:
            if node in self._gone:
                self._gone.remove(node)
                node.close()
        for node in self._nodes.values():
            node.retire()
        self._redirect(*self._gone, *self._nodes.values())

    def _redirect(self, *nodes: GatewayNode) -> None:
        targets: dict[tuple[str, int], HostPort] = {}
        for node in nodes:
            targets |= node.addresses
        pods = {ip for node in nodes for ip in node.proxy.ip_addresses if not ipaddress.ip_address(ip).is_loopback}
        self._resolver.redirect(targets, pods)

    @property
    def snapshots(self) -> dict[str, Snapshot]:
        """What serves each gateway, by ``namespace/pod``."""
        return {name: node.snapshot for name, node in self._nodes.items() if node.snapshot is not None}

    def close_ports(self) -> None:
        """No further connections; those that are open go on."""
        for node in (*self._nodes.values(), *self._gone):
            node.close_ports()

    @property
    def names(self) -> list[str]:
        """``namespace/pod`` of each."""
        return list(self._nodes)

    @property
    def listening(self) -> list[str]:
        """``ip:port`` of every port that the plans of the pods have."""
        return [f"{ip}:{port}" for node in self._nodes.values() for ip, port in node.addresses if port in node.wanted]

    async def stop(self, seconds: float) -> None:
        """Closes all of them, once the sidecar has let go of its connections; after ``seconds`` whatever is left."""
        for node in (*self._nodes.values(), *self._gone):
            node.close()
        self._gone.clear()
        await self.handler.let_finish(seconds)
        self._nodes.clear()
