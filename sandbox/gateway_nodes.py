"""The gateways of the mesh in this process: each has its own plan and ports, and the hop to it is a real connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from sandbox.compiler import compile_node, find_proxy
from sandbox.loading import secrets_of
from sandbox.plan.acceptance import in_force
from sandbox.plan.base import SocketAddress
from sandbox.proxy.listener import ConnectionHandler, discard
from sandbox.proxy.secrets import SecretStore
from sandbox.proxy.server import ListeningSocket, bind
from sandbox.proxy.snapshot import Snapshot, Surroundings
from sandbox.settings import HostPort

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.compiler.proxy import Proxy
    from sandbox.istio.load import Configuration
    from sandbox.loading import Loaded
    from sandbox.proxy.secrets import WorkloadIdentity

LOOPBACK = "127.0.0.1"


def gateway_workloads(configuration: Configuration) -> list[str]:
    """``namespace/pod`` of every pod that a Gateway selects; one pod for each set of labels is enough."""
    found: dict[tuple[tuple[str, str], ...], str] = {}
    for gateway in configuration.resources("Gateway"):
        selector = gateway.spec.selector
        for pod in configuration.resources("Pod"):
            if selector and selector.items() <= pod.metadata.labels.items():
                labels = tuple(sorted(pod.metadata.labels.items()))
                found.setdefault(labels, f"{pod.metadata.namespace}/{pod.metadata.name}")
    return list(found.values())


class GatewayNode:
    """One gateway: a snapshot, and a loopback port for each port that its pod would listen on."""

    def __init__(self, proxy: Proxy, owner: GatewayNodes) -> None:
        self.proxy = proxy
        self.snapshot: Snapshot | None = None
        self._owner = owner
        self._ports: dict[int, ListeningSocket] = {}

    def take(self, proxy: Proxy, snapshot: Snapshot) -> None:
        """From now on new connections follow this plan."""
        old, self.proxy, self.snapshot = self.snapshot, proxy, snapshot
        wanted = {
            listener.address.port_value or 0
            for listener in snapshot.bound_listeners()
            if isinstance(listener.address, SocketAddress)
        }
        for port in wanted - self._ports.keys():
            sock = bind(HostPort(LOOPBACK, 0), allow_remote=False)
            self._ports[port] = ListeningSocket(sock, self._acceptor(port))
        for port in self._ports.keys() - wanted:
            self._ports.pop(port).close()
        if old is not None:
            old.node.draining = True
            old.close()

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
            connection = handler.admit(sock, remote, destination, "listener")
            handler.dispatch(connection, snapshot.find(*destination), snapshot.node)

        return accept

    def close(self) -> None:
        """No further connections."""
        for each in self._ports.values():
            each.close()
        self._ports.clear()
        if self.snapshot is not None:
            self.snapshot.close()


class GatewayNodes:
    """All gateways that the configuration names."""

    def __init__(self, surroundings: Surroundings, identity_of: Callable[[Proxy], WorkloadIdentity]) -> None:
        self.handler = ConnectionHandler()
        self._surroundings = surroundings
        self._identity_of = identity_of
        self._nodes: dict[str, GatewayNode] = {}

    async def take(self, loaded: Loaded, warm_seconds: float) -> None:
        """Compiles every gateway's plan and serves it; gateways that are gone are closed."""
        wanted: dict[str, Proxy] = {}
        for workload in gateway_workloads(loaded.configuration):
            proxy = find_proxy(loaded.configuration, workload, "router")
            if proxy is not None:
                wanted[workload] = proxy
        for workload in self._nodes.keys() - wanted.keys():
            self._nodes.pop(workload).close()
        for workload, proxy in wanted.items():
            snapshot = self._snapshot_of(loaded, proxy)
            await snapshot.node.clusters.warm(warm_seconds)
            node = self._nodes.get(workload) or GatewayNode(proxy, self)
            node.take(proxy, snapshot)
            self._nodes[workload] = node
        for node in self._nodes.values():
            self._surroundings.resolver.redirect(node.addresses)

    def _snapshot_of(self, loaded: Loaded, proxy: Proxy) -> Snapshot:
        common = self._surroundings
        secrets = SecretStore(secrets_of(loaded.configuration), proxy.namespace, self._identity_of(proxy))
        own = Surroundings(common.sink, common.resolver, secrets)
        own.random = common.random
        own.subscribers = common.subscribers
        return Snapshot(in_force(compile_node(loaded.push, proxy)), own)

    @property
    def names(self) -> list[str]:
        """``namespace/pod`` of each."""
        return list(self._nodes)

    async def stop(self, seconds: float) -> None:
        """Closes all of them, once the sidecar has let go of its connections; after ``seconds`` whatever is left."""
        for node in self._nodes.values():
            node.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.handler.until_idle()
        for connection in list(self.handler.live.values()):
            if connection.on_abort is not None:
                connection.on_abort()
            else:
                discard(connection)
        self._nodes.clear()
