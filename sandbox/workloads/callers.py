"""Workloads that call through the doors of one run: by credentials, by a port of their own, or by their address.

Each has a plan of its own, compiled when it first calls; whoever says nothing is the run's own workload.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from typing import TYPE_CHECKING

from sandbox.errors import ConfigError
from sandbox.istio.kubernetes import PodStatus
from sandbox.loading import load_workload
from sandbox.loading.own_workload import UNKNOWN_WORKLOAD
from sandbox.proxy.door import Caller, Origin, WorkloadNames
from sandbox.workloads.snapshots import SnapshotBuilder, table_lookup_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sandbox.loading import Loaded
    from sandbox.proxy.resolver import Resolver
    from sandbox.proxy.server import Server
    from sandbox.proxy.snapshot import Snapshot
    from sandbox.settings import Settings

WARM_SECONDS = 2.0
MOST_WORKLOADS = 200
"""Besides the run's own: whoever reaches a door may name any, and each has a plan. Who called last goes on."""
CAPTURE = "capture"
LOCAL = "127.0.0.1"
"""Everybody on this machine has it, so that it tells nobody apart."""


class CallingWorkload:
    """One workload besides the run's own."""

    def __init__(self, name: str, owner: Callers) -> None:
        self.name = name
        self.snapshot: Snapshot | None = None
        self._owner = owner
        self._table: Callable[[str], str | None] = lambda _name: None
        names = WorkloadNames(owner.resolver, lambda name: self._table(name))
        self.caller = Caller(names, owner.server.entrance(lambda: self.snapshot))

    async def take(self, loaded: Loaded) -> None:
        """From now on its new connections follow this plan."""
        snapshot = self._owner.builder.of(loaded)
        await snapshot.node.clusters.warm(WARM_SECONDS)
        old, self.snapshot = self.snapshot, snapshot
        self._table = table_lookup_of(loaded)
        if old is not None:
            old.node.draining = True
            old.close()

    def close(self) -> None:
        """Stops timers and look-ups; its connections end as over a reload."""
        if self.snapshot is not None:
            self.snapshot.node.draining = True
            self.snapshot.close()


class Callers:
    """All workloads of the run's doors."""

    def __init__(self, settings: Settings, server: Server, builder: SnapshotBuilder, own: Caller) -> None:
        self.server = server
        self.builder = builder
        self._settings = settings
        self._own = own
        self._loaded: Loaded | None = None
        self._by_address: dict[str, str] = {}
        self._workloads: dict[str, CallingWorkload] = {}
        """In the order of their last calls."""
        self._compiling = asyncio.Lock()

    async def take(self, loaded: Loaded) -> None:
        """The configuration, first or anew; who keeps no valid plan keeps the old one."""
        self._loaded = loaded
        self._by_address = _pods_by_address(loaded)
        for workload in list(self._workloads.values()):
            try:
                await workload.take(load_workload(loaded, self._settings_for(workload.name)))
            except ConfigError as error:
                print(f"egress: {workload.name} keeps its old plan: {error}", file=sys.stderr)

    def is_other(self, address: str) -> bool:
        """Whether a pod other than the run's own has this address."""
        return address in self._by_address

    async def of(self, workload: str | None, address: str) -> Caller | str:
        """The workload that was named, else the one whose pod has the address, else our own; or what is wrong."""
        name = self._full_name(workload) if workload else self._by_address.get(address)
        loaded = self._loaded
        if name is None or loaded is None or name == f"{loaded.proxy.namespace}/{loaded.proxy.name}":
            return self._own
        if name.count("/") != 1 or not all(name.split("/")):
            return f"{workload!r} is no workload, as in frontend.shop or shop/frontend"
        async with self._compiling:
            known = self._workloads.pop(name, None)
            if known is None:
                try:
                    known = await self._new(name, loaded)
                except ConfigError as error:
                    return "; ".join(str(problem) for problem in error.problems.errors)
            self._workloads[name] = known
        return known.caller

    async def take_captured(self, sock: socket.socket, remote: tuple[str, int], destination: tuple[str, int]) -> None:
        """A redirected connection from another workload's pod."""
        caller = await self.of(None, remote[0])
        if isinstance(caller, str):
            print(f"egress: {remote[0]}: {caller}", file=sys.stderr)
            sock.close()
            return
        caller.enter(sock, Origin(remote, destination, CAPTURE))

    @property
    def snapshots(self) -> dict[str, Snapshot]:
        """What serves each workload that has called, by ``namespace/pod``."""
        return {name: each.snapshot for name, each in self._workloads.items() if each.snapshot is not None}

    def close(self) -> None:
        """Stops timers and look-ups."""
        for workload in self._workloads.values():
            workload.close()

    def resolver(self) -> Resolver:
        """For names that no table has."""
        return self.builder.surroundings.resolver

    async def _new(self, name: str, loaded: Loaded) -> CallingWorkload:
        told = len(loaded.configuration.problems)
        of_workload = load_workload(loaded, self._settings_for(name))
        for problem in list(loaded.configuration.problems)[told:]:
            if problem.code == UNKNOWN_WORKLOAD:
                print(f"egress: {problem.message}", file=sys.stderr)
        workload = CallingWorkload(name, self)
        await workload.take(of_workload)
        while len(self._workloads) >= MOST_WORKLOADS:
            self._workloads.pop(next(iter(self._workloads))).close()
        return workload

    def _full_name(self, said: str) -> str:
        """``NAMESPACE/NAME`` of that, or of ``NAME.NAMESPACE`` or ``NAME``."""
        if "/" in said:
            return said
        name, _, namespace = said.partition(".")
        return f"{namespace or self._settings.namespace}/{name}"

    def _settings_for(self, name: str) -> Settings:
        return dataclasses.replace(
            self._settings, node_type="sidecar", workload=name, labels={}, service_account=None, pod_ip=None
        )


def _pods_by_address(loaded: Loaded) -> dict[str, str]:
    """Pods whose calls can be told by where they come from."""
    own = f"{loaded.proxy.namespace}/{loaded.proxy.name}"
    found: dict[str, str] = {}
    for pod in loaded.configuration.resources("Pod"):
        workload = f"{pod.namespace}/{pod.name}"
        address = pod.status.pod_ip if isinstance(pod.status, PodStatus) else ""
        if address not in ("", LOCAL) and workload != own and not pod.spec.host_network:
            found[address] = workload
    return found
