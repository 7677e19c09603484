"""Programs in capture namespaces: each is a workload of the mesh with a plan of its own."""

from __future__ import annotations

import dataclasses
import logging
import random
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from sandbox.capture.control_server import HOST_ADDRESS, HOST_NAME, ControlServer, Refused, WorkloadIdentity
from sandbox.capture.raw_relay import RawRelays
from sandbox.compiler.capture import CaptureInputs, build_capture_settings, capture_inputs
from sandbox.errors import ConfigError
from sandbox.explain.capture import step_of
from sandbox.loading import Loaded, load_workload
from sandbox.loading.own_workload import UNKNOWN_WORKLOAD
from sandbox.loading.service_network import cluster_names
from sandbox.match.capture_rules import Packet, build_rules, decide
from sandbox.match.name_lookup import NameLookup
from sandbox.plan.name_table import NameEntry, NameTable
from sandbox.proxy.tasks import spawn
from sandbox.settings import HostPort
from sandbox.workloads.callers import WARM_SECONDS
from sandbox.workloads.loopback_stand_ins import LoopbackStandIns
from sandbox.workloads.own_resolvers import own_resolvers
from sandbox.yaml_source.problems import Problems

if TYPE_CHECKING:
    from sandbox.dns.server import DnsServer
    from sandbox.match.cluster_names import ClusterNames
    from sandbox.proxy.server import Server
    from sandbox.proxy.snapshot import Snapshot
    from sandbox.settings import Settings
    from sandbox.workloads.snapshots import SnapshotBuilder

log = logging.getLogger("sandbox.capture")


class CapturedWorkload:
    """One identity in the mesh, shared by all programs that have it at this moment."""

    def __init__(self, identity: WorkloadIdentity, loaded: Loaded, owner: CapturedWorkloads) -> None:
        self.identity = identity
        self.warnings: Sequence[str] = ()
        self._owner = owner
        self._relays = RawRelays()
        self.users = 0
        self.snapshot = owner.builder.of(loaded)
        self._know(loaded)

    def take_over(self, loaded: Loaded) -> None:
        """From now on new connections follow this plan."""
        old, self.snapshot = self.snapshot, self._owner.builder.of(loaded)
        self._know(loaded)
        old.node.draining = True
        old.close()

    def _know(self, loaded: Loaded) -> None:
        """What the plan says about capture and names; its clusters look their addresses up meanwhile."""
        self._warm = spawn(self.snapshot.node.clusters.warm(WARM_SECONDS), f"warm {self.identity}")
        problems = Problems()
        settings = build_capture_settings(_capture_inputs(loaded, self.identity), problems)
        self.warnings = [*map(str, problems), *_unknown(loaded)]
        self._settings = settings
        self._rules = {version: build_rules(settings, version) for version in (4, 6)}
        self.lookup = self._owner.lookup_of(loaded)
        self._cluster = self._owner.cluster_names_of(loaded)

    def take(self, sock: socket.socket, remote: tuple[str, int], destination: tuple[str, int]) -> None:
        """To the proxy, or past it where the workload's capture settings say so."""
        address, port = self._owner.stand_ins.real(destination[0]), destination[1]
        packet = Packet(destination=destination[0], destination_port=port, uid="app", gid="app")
        verdict = decide(self._rules[6 if ":" in destination[0] else 4], packet)
        if verdict.port != self._settings.proxy_port:
            step = step_of(self._settings, verdict)
            # No line of the mesh's log: its proxy has never seen the connection. The note is ours.
            print(f"egress: BYPASS {HostPort(address, port)}: {step}", file=sys.stderr, flush=True)
            self._relays.start(sock, (self._owner.connect_target(address, port),))
            return
        if self._warm.done():
            self._enter(sock, remote, (address, port))
        else:
            self._warm.add_done_callback(lambda _: self._enter(sock, remote, (address, port)))

    def _enter(self, sock: socket.socket, remote: tuple[str, int], destination: tuple[str, int]) -> None:
        handler = self._owner.server.handler
        connection = handler.admit(sock, remote, destination, "capture")
        handler.dispatch(connection, self.snapshot.find(*destination), self.snapshot.node)

    def new_dns_server(self) -> DnsServer:
        """Answers from the name table of whatever plan then holds."""
        # Imported here: the DNS library is a tenth of the time to start, and most runs never capture a program.
        from sandbox.dns.cluster import ClusterServer
        from sandbox.dns.server import DnsServer

        randomness = random.Random()
        cluster = ClusterServer(lambda: self._cluster, self._owner.upstream, randomness.shuffle)
        return DnsServer(lambda: self.lookup, cluster, randomness)

    async def close(self) -> None:
        """One program less; with the last one the workload is forgotten."""
        self.users -= 1
        if self.users == 0:
            self._owner.forget(self)
            await self._relays.close()


class CapturedWorkloads:
    """All identities in use, and the control socket by which programs come."""

    def __init__(
        self,
        settings: Settings,
        server: Server,
        builder: SnapshotBuilder,
        loaded: Loaded,
    ) -> None:
        self.server = server
        self.builder = builder
        self.stand_ins = LoopbackStandIns()
        self._settings = settings
        self._loaded = loaded
        self._workloads: dict[tuple[object, ...], CapturedWorkload] = {}
        self._control: ControlServer | None = None
        self._overrides: tuple[tuple[str, str], ...] = ()
        self.upstream, self._search = own_resolvers(settings)

    def start(self, path: str, overrides: Iterable[tuple[str, str]], on_empty: Callable[[], None] | None) -> None:
        """Opens the control socket; ``overrides`` are names and the addresses that ``--resolve`` and ``--lab`` give.

        Raises ``OSError`` where the socket cannot be had.
        """
        self._overrides = tuple(overrides)
        control = ControlServer(path, self.admit, on_empty, allow_remote=self._settings.allow_remote)
        control.start()
        self._control = control

    @property
    def path(self) -> str | None:
        """Of the control socket, once it is open."""
        return None if self._control is None else self._control.path

    @property
    def snapshots(self) -> dict[str, Snapshot]:
        """What serves each workload that a program is at this moment, by ``namespace/pod``."""
        return {each.snapshot.plan.workload: each.snapshot for each in self._workloads.values()}

    @property
    def is_empty(self) -> bool:
        """No program is inside."""
        return not self._workloads

    async def stop(self) -> None:
        """Closes the control socket and every namespace's sockets."""
        if self._control is not None:
            await self._control.stop()

    def admit(self, identity: WorkloadIdentity) -> CapturedWorkload:
        """Compiles the workload's plan, once for all programs with this identity; raises ``Refused``."""
        told = tuple(tuple(sorted(each.items())) for each in (identity.labels, identity.capture))
        key = (identity.workload, identity.namespace, *told)
        workload = self._workloads.get(key)
        if workload is None:
            try:
                settings = self._settings_for(identity)
                loaded = self._loaded if settings == self._settings else load_workload(self._loaded, settings)
            except ConfigError as error:
                raise Refused("; ".join(str(problem) for problem in error.problems.errors)) from error
            workload = self._workloads[key] = CapturedWorkload(identity, loaded, self)
        workload.users += 1
        return workload

    def reload(self, loaded: Loaded) -> None:
        """The configuration has changed: every workload gets its new plan."""
        self._loaded = loaded
        for workload in self._workloads.values():
            try:
                workload.take_over(load_workload(loaded, self._settings_for(workload.identity)))
            except ConfigError as error:
                log.warning("%s keeps its old plan: %s", workload.identity, error)

    def forget(self, workload: CapturedWorkload) -> None:
        """Its last program is gone."""
        self._workloads = {key: each for key, each in self._workloads.items() if each is not workload}
        workload.snapshot.close()

    def connect_target(self, address: str, port: int) -> tuple[str, int]:
        """Where an address really is (the embedded internet may use another port)."""
        return self.builder.surroundings.resolver.connect_target(address, port)

    def lookup_of(self, loaded: Loaded) -> NameLookup:
        """What the program's DNS questions are answered from: the host, overrides, and with DNS capture the mesh."""
        hosts = dict(loaded.plan.name_table.hosts) if loaded.proxy.metadata.dns_capture else {}
        for name, address in self._overrides:
            known = NameEntry(addresses=(self.stand_ins.stand_in(address),), registry="External")
            hosts.setdefault(name, known)
        hosts[HOST_NAME] = NameEntry(addresses=(HOST_ADDRESS,), registry="External")
        return NameLookup(
            NameTable(hosts=hosts),
            namespace=loaded.proxy.namespace,
            domain=loaded.proxy.dns_domain,
            search_domain=self._search,
        )

    def cluster_names_of(self, loaded: Loaded) -> ClusterNames:
        """What the cluster's DNS server would tell the program of names that the mesh leaves to it."""
        given = {name: (self.stand_ins.stand_in(address),) for name, address in self._overrides}
        return cluster_names(loaded, search_domain=self._search, given=given)

    def _settings_for(self, identity: WorkloadIdentity) -> Settings:
        settings = self._settings
        if identity.workload is not None:
            namespace, separator, name = identity.workload.rpartition("/")
            namespace = namespace if separator else identity.namespace or settings.namespace
            return dataclasses.replace(settings, workload=f"{namespace}/{name}", labels=identity.labels, pod_ip=None)
        if identity.namespace is not None:
            return dataclasses.replace(
                settings, workload=f"{identity.namespace}/program", labels=identity.labels, pod_ip=None
            )
        return dataclasses.replace(settings, labels={**settings.labels, **identity.labels})


def _capture_inputs(loaded: Loaded, identity: WorkloadIdentity) -> CaptureInputs:
    """The rules that a pod's init container would be given; DNS is captured in any case, by the namespace itself."""
    inputs = capture_inputs(loaded.configuration, loaded.proxy, overrides=identity.capture)
    return dataclasses.replace(inputs, dns_capture=False)


def _unknown(loaded: Loaded) -> Iterable[str]:
    """That no object describes the workload, if so: its name may be misspelt."""
    name = f"the workload {loaded.proxy.namespace}/{loaded.proxy.name}:"
    found = (problem for problem in loaded.configuration.problems if problem.code == UNKNOWN_WORKLOAD)
    return dict.fromkeys(problem.message for problem in found if name in problem.message)
