"""Sandbox: load, compile, serve, reload; the one module that knows every layer."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from sandbox.doors import CAPTURE_PORT, open_doors
from sandbox.errors import ConfigError, ListenError, SandboxError
from sandbox.loading import Loaded, load
from sandbox.loading.service_network import external_names, service_names, service_targets
from sandbox.plan.acceptance import in_force
from sandbox.proxy.access_log_sink import AccessLogSink
from sandbox.proxy.door import Caller, WorkloadNames
from sandbox.proxy.readiness import ReadinessProtocol
from sandbox.proxy.resolver import Resolver
from sandbox.proxy.secrets import SecretStore
from sandbox.proxy.server import Server, bind, wide_address
from sandbox.proxy.snapshot import Snapshot, Subscriber, Surroundings
from sandbox.reloading import start_reload
from sandbox.settings import HostPort, ResolveOverride, Settings
from sandbox.watching import FileWatch
from sandbox.workloads.callers import WARM_SECONDS, Callers
from sandbox.workloads.identities import WorkloadIdentities
from sandbox.workloads.snapshots import SnapshotBuilder, table_lookup_of

if TYPE_CHECKING:
    from sandbox.admin.envoy_stats import ProcessFacts
    from sandbox.admin.ports import AdminPorts
    from sandbox.istio.load_cache import LoadCache
    from sandbox.lab.internet import Internet
    from sandbox.metrics.node_metrics import MetricsRegistry
    from sandbox.plan import NodePlan
    from sandbox.workloads.captured import CapturedWorkloads
    from sandbox.workloads.dns_proxy import DnsProxy
    from sandbox.workloads.gateway_nodes import GatewayNodes
    from sandbox.yaml_source.problems import Problems

INBOUND_PORT = 15006
READY_PORT = 15021


class Sandbox:
    """A proxy in this process.

    ``async with Sandbox(settings) as sandbox: ...`` serves until left; ``process`` is the command line's way.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.loaded: Loaded | None = None
        self.server = Server(allow_remote=settings.allow_remote)
        self._sink = AccessLogSink(settings.access_log)
        self._surroundings = Surroundings(self._sink, Resolver(), SecretStore(), settings.seed)
        self._names = WorkloadNames(lambda: self._surroundings.resolver, lambda name: self._table(name))
        self._table: Callable[[str], str | None] = lambda _name: None
        self._internet: Internet | None = None
        self._readiness: asyncio.Server | None = None
        self._ready_address: HostPort | None = None
        self._admin: AdminPorts | None = None
        self._started = time.monotonic()
        self._cache: LoadCache | None = None
        self._watch: FileWatch | None = None
        self._reloading = asyncio.Lock()
        self._captured: CapturedWorkloads | None = None
        self._callers: Callers | None = None
        self._dns: DnsProxy | None = None
        self.gateways: GatewayNodes | None = None
        """Those that run beside the sidecar."""
        self.unneeded = asyncio.Event()
        """Set by whoever wants the process to end: a signal, or the last program of its launcher."""

    async def __aenter__(self) -> Sandbox:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def subscribe(self, subscriber: Subscriber) -> None:
        """From now on ``subscriber`` gets each ended stream, after its lines were written."""
        self.count_ended()
        self._surroundings.subscribers.append(subscriber)

    @property
    def snapshot(self) -> Snapshot | None:
        """What serves new connections."""
        return self.server.snapshot

    @property
    def addresses(self) -> dict[str, HostPort]:
        """What is bound, by the door's name (``capture``, ``proxy``, ``map ADDRESS:PORT`` …), with its real port."""
        ready = {} if self._ready_address is None else {"ready": self._ready_address}
        return self.server.addresses | ready | (self._admin.addresses if self._admin is not None else {})

    @property
    def nodes(self) -> dict[str, Snapshot]:
        """What serves each node of this process, by ``namespace/pod``: its own first, gateways, other workloads."""
        own = self.snapshot
        if own is None:
            return {}
        owners = (self.gateways, self._callers, self._captured)
        beside = [owner.snapshots for owner in owners if owner is not None]
        found = {own.plan.workload: own}
        for name, each in ((name, each) for snapshots in beside for name, each in snapshots.items()):
            found.setdefault(name, each)
        return found

    @property
    def has_programs(self) -> bool:
        """Whether a captured program runs at this moment."""
        return self._captured is not None and not self._captured.is_empty

    def count_ended(self) -> None:
        """From now on metrics and logs know of every stream that has ended."""
        self._sink.ended.tell()

    @property
    def metrics(self) -> MetricsRegistry:
        """What was counted, for each node."""
        return self._surroundings.metrics

    @property
    def process(self) -> ProcessFacts:
        """What statistics tell about the process."""
        from sandbox.admin.envoy_stats import ProcessFacts

        gateways = len(self.gateways.handler.live) if self.gateways is not None else 0
        return ProcessFacts(self._started, len(self.server.handler.live) + gateways)

    async def start(self) -> None:
        """Loads, binds, opens readiness last. Raises any ``SandboxError``; then nothing is left open."""
        from sandbox.istio.load_cache import LoadCache

        self._cache = LoadCache()
        loaded = load(self.settings, cache=self._cache, logs_by_default=True)
        own = f"{loaded.proxy.namespace}/{loaded.proxy.name}"
        self._builder = SnapshotBuilder(self._surroundings, WorkloadIdentities(os.environ, own))
        try:
            await self._serve(loaded)
        except SandboxError:
            await self.stop()
            raise

    async def _serve(self, loaded: Loaded) -> None:
        settings = self.settings
        overrides = settings.resolve
        if settings.lab:
            overrides = (*overrides, *await self._start_lab())
        self._surroundings.resolver = Resolver(overrides, settings.dns_servers)
        await self._take(loaded)
        own = Caller(self._names, self.server.enter)
        self._callers = callers = Callers(settings, self.server, self._builder, own)
        await callers.take(loaded)
        open_doors(settings, self.server, callers)
        if settings.control is not None:
            self._open_control(settings.control, loaded, overrides)
        if settings.istio_ports and loaded.proxy.metadata.dns_capture:
            await self._open_dns(loaded)
        if settings.istio_ports or settings.admin is not None:
            await self._open_admin()
        if settings.istio_ports:
            await self._open_readiness()
        if settings.watch:
            files = (*settings.files, *filter(None, [settings.mesh]))
            self._watch = FileWatch(files, partial(start_reload, self))

    async def reload(self) -> Problems:
        """Loads again and swaps; with errors the old snapshot stays. The findings are returned either way."""
        async with self._reloading:
            try:
                loaded = load(self.settings, cache=self._cache, logs_by_default=True, previous=self.loaded)
            except ConfigError as error:
                return error.problems
            await self._take(loaded)
            if self._callers is not None:
                await self._callers.take(loaded)
            if self._captured is not None:
                self._captured.reload(loaded)
            if self.gateways is not None:
                self.gateways.retire()
            if self._dns is not None:
                self._dns.take(loaded)
            return loaded.problems

    async def stop(self) -> None:
        """Drains (at most ``drain_seconds``) and closes everything; every log line is written."""
        if self._watch is not None:
            self._watch.close()
        if self._readiness is not None:
            self._readiness.close()
        if self._admin is not None:
            self._admin.close()
        if self._captured is not None:
            await self._captured.stop()
        if self._dns is not None:
            await self._dns.stop()
        if self._callers is not None:
            self._callers.close()
        await self.server.drain(self.settings.drain_seconds)
        if self.gateways is not None:
            await self.gateways.stop(self.settings.drain_seconds)
        if self._internet is not None:
            await self._internet.stop()
            self._internet = None
        self._sink.close()

    def drain_listeners(self, *, graceful: bool) -> None:
        """No further connections, gracefully after ``drain_seconds`` in which clients are asked to close theirs."""
        if not graceful:
            self._close_listeners()
            return
        for snapshot in self.nodes.values():
            snapshot.node.draining = True
        asyncio.get_running_loop().call_later(self.settings.drain_seconds, self._close_listeners)

    def _close_listeners(self) -> None:
        self.server.close_doors()
        if self.gateways is not None:
            self.gateways.close_ports()

    def reopen_logs(self) -> None:
        """After logrotate has moved the files."""
        self._sink.reopen()

    async def _take(self, loaded: Loaded) -> None:
        """From now on new connections follow this plan, and those to gateways go to the ports that theirs have."""
        self._know_cluster(loaded)
        await self._take_gateways(loaded)
        plan, before = self._plan_of(loaded), self.server.snapshot
        snapshot = self._builder.build(plan, loaded.configuration, loaded.proxy, before)
        await snapshot.node.clusters.warm(WARM_SECONDS)
        self.server.swap(snapshot, skip_ports=self._own_ports())
        self.loaded = loaded
        self._table = table_lookup_of(loaded)

    def _know_cluster(self, loaded: Loaded) -> None:
        """Names and addresses of the cluster's Services, which clusters resolve as soon as they are there."""
        resolver, proxy = self._surroundings.resolver, loaded.proxy
        resolver.know_aliases(external_names(loaded.configuration, proxy.namespace))
        resolver.know_services(service_names(loaded.push, proxy), service_targets(loaded.push, proxy))

    async def _take_gateways(self, loaded: Loaded) -> None:
        if self.gateways is None and not (self.settings.with_gateways and loaded.configuration.resources("Gateway")):
            return
        from sandbox.workloads.gateway_nodes import GatewayNodes

        if self.gateways is None:
            self._builder.identities.has_others = True
            self.gateways = GatewayNodes(self._builder)
        await self.gateways.take(loaded, WARM_SECONDS)

    def _plan_of(self, loaded: Loaded) -> NodePlan:
        if loaded.proxy.node_type != "router":
            return in_force(loaded.plan)
        from sandbox.loading.gateway_plans import GatewayPlans
        from sandbox.workloads.gateway_nodes import refuse_loops

        plans = GatewayPlans(loaded.configuration, loaded.push)
        plans.know(loaded.proxy, loaded.plan)
        return refuse_loops(plans, loaded.proxy)

    def _own_ports(self) -> frozenset[int]:
        """Ports of the plan that are doors of ours, or are opened only with ``--istio-ports``."""
        return frozenset({CAPTURE_PORT, INBOUND_PORT, *(address.port for address in self.settings.capture)})

    def _open_control(self, path: str, loaded: Loaded, overrides: Sequence[ResolveOverride]) -> None:
        from sandbox.workloads.captured import CapturedWorkloads

        captured = CapturedWorkloads(self.settings, self.server, self._builder, loaded)
        names = [(each.host, each.address) for each in overrides]
        try:
            captured.start(path, names, self.unneeded.set if self.settings.launcher_fd is not None else None)
        except OSError as error:
            raise ListenError(f"cannot open the control socket: {error}") from None
        self._captured = captured

    async def _open_dns(self, loaded: Loaded) -> None:
        from sandbox.workloads.dns_proxy import DnsProxy

        self._dns = DnsProxy(self.settings)
        self._dns.take(loaded)
        await self._dns.start()

    async def _open_readiness(self) -> None:
        address = HostPort(wide_address(allow_remote=self.settings.allow_remote), READY_PORT)
        sock = bind(address, allow_remote=self.settings.allow_remote)
        self._readiness = await asyncio.get_running_loop().create_server(ReadinessProtocol, sock=sock)
        self._ready_address = address

    async def _open_admin(self) -> None:
        from sandbox.admin.ports import AdminPorts  # most runs are asked nothing

        self._admin = AdminPorts(self)
        await self._admin.open()
        self._surroundings.resolver.keep(self._admin.addresses.values())

    async def _start_lab(self) -> tuple[ResolveOverride, ...]:
        from sandbox.lab.internet import Internet
        from sandbox.pki import default_directory

        self._internet = Internet(default_directory())
        await self._internet.start()
        self._surroundings.secrets.further_roots = str(self._internet.authority.certificate_file)
        return self._internet.overrides
