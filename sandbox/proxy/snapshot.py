"""Snapshot: all runtimes built from one NodePlan; immutable once built, swapped as a whole."""

from __future__ import annotations

import asyncio
import copy
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sandbox.access_log.format import LogEnvironment, compile_access_log
from sandbox.access_log.stream_info import StreamInfo
from sandbox.match.filter_chain_table import FilterChainTable
from sandbox.match.listener_table import ListenerTable
from sandbox.metrics.cluster_counters import ClusterMeter
from sandbox.metrics.http_meter import HttpMeter
from sandbox.metrics.node_metrics import MetricsRegistry
from sandbox.metrics.tcp_meter import TcpMeter
from sandbox.plan.access_log import FileAccessLog
from sandbox.plan.base import EnvoyInternalAddress, SocketAddress
from sandbox.proxy.cluster_manager import ClusterManager
from sandbox.proxy.cluster_runtime import ClusterEnvironment
from sandbox.proxy.downstream import address_text
from sandbox.proxy.filter_chain import filters_of_chain
from sandbox.proxy.internal_listener import CLIENT
from sandbox.proxy.listener import ConnectionHandler, ListenerRuntime, NetworkFilter

if TYPE_CHECKING:
    from sandbox.plan import NodePlan
    from sandbox.plan.access_log import AccessLog
    from sandbox.plan.listener import FilterChain, Listener
    from sandbox.proxy.access_log_sink import AccessLogSink
    from sandbox.proxy.ended_streams import EndedStreams
    from sandbox.proxy.resolver import Resolver
    from sandbox.proxy.secrets import SecretStore

USES_NEW_HTTP_PARSER = "envoy.reloadable_features.http_inspector_use_balsa_parser"
"""Envoy's runtime guard: which parser the HTTP inspector uses."""
Subscriber = Callable[[StreamInfo], None]
Meter = Callable[[StreamInfo], None]
"""Counts a stream that has ended."""


class StreamLogger:
    """The meters and access logs of one filter or listener, compiled; ``log`` never raises and never blocks."""

    __slots__ = ("_ended", "_logs", "_meters", "_subscribers")

    def __init__(
        self,
        logs: Sequence[tuple[Callable[[StreamInfo], bytes | None], Callable[[bytes], None]]],
        subscribers: Sequence[Subscriber],
        ended: EndedStreams,
        meters: Sequence[Meter] = (),
    ) -> None:
        self._ended = ended
        self._meters = tuple(meters)
        self._logs = tuple(logs)
        self._subscribers = subscribers

    def log(self, info: StreamInfo) -> None:
        """The stream has ended: it is counted, then told, in the order in which streams end.

        One of HTTP/1 may wait a little for others. Of HTTP/2 some frames are counted late, so it does not wait; nor
        does any where somebody is told of each.
        """
        if info.is_http and info.protocol != "HTTP/2" and not self._subscribers:
            self._ended.add(self, info)
            return
        self._ended.tell()
        self.tell(info)

    def tell(self, info: StreamInfo) -> None:
        """Counts it; writes one line for each log whose filter lets it through; then come the subscribers."""
        for meter in self._meters:
            meter(info)
        for line_of, write in self._logs:
            line = line_of(info)
            if line is not None:
                write(line)
        for subscriber in self._subscribers:
            subscriber(info)


class Surroundings:
    """What outlives a snapshot: log targets, names, draws, secrets, subscribers, metrics."""

    __slots__ = ("metrics", "pod", "random", "resolver", "secrets", "sink", "subscribers")

    def __init__(
        self,
        sink: AccessLogSink,
        resolver: Resolver,
        secrets: SecretStore,
        seed: int | None = None,
    ) -> None:
        self.sink = sink
        self.resolver = resolver
        self.secrets = secrets
        self.random = random.Random(seed)
        self.subscribers: list[Subscriber] = []
        self.metrics = MetricsRegistry()
        self.pod: str | None = None
        """The address of the node's pod."""

    def with_secrets(self, secrets: SecretStore, pod: str | None = None) -> Surroundings:
        """The same for a node with secrets and an address of its own; the system's authorities stay."""
        secrets.further_roots = self.secrets.further_roots
        own = copy.copy(self)
        own.secrets = secrets
        own.pod = pod
        return own


class NodeRuntime:
    """What the filters of one node share: plan, clusters, logs, draws. One per snapshot."""

    def __init__(self, plan: NodePlan, surroundings: Surroundings, previous: ClusterManager | None = None) -> None:
        self.plan = plan
        self.surroundings = surroundings
        self.resolver = surroundings.resolver
        self.secrets = surroundings.secrets
        self.random = surroundings.random
        """The only source of draws; seeded by ``--seed``."""
        self.loop = asyncio.get_running_loop()
        self.shared: dict[Any, Any] = {}
        """Things that several filters build once for all, e.g. the tables of a route configuration by its name."""
        self.draining = False
        self.metrics = surroundings.metrics.node(plan.workload)
        environment = ClusterEnvironment(self.loop, self.resolver, self.random, self.secrets, self.metrics.cluster)
        environment.pod = surroundings.pod
        if plan.node_type == "router" and surroundings.pod is not None:
            ports = map(_port, plan.listeners)
            environment.own_listeners = frozenset((surroundings.pod, port) for port in ports if port is not None)
        self.cluster_environment = environment
        self.clusters = ClusterManager(plan.clusters, environment, previous)
        self._cluster_meter = ClusterMeter(self.metrics.cluster)
        self.http_meters = tuple(HttpMeter(each, plan.node_metadata, self.metrics) for each in plan.stats)
        self.tcp_meters = tuple(TcpMeter(each, plan.node_metadata, self.metrics) for each in plan.stats)
        self._capture_port = next((_port(each) for each in plan.listeners if each.use_original_dst), None)
        self._loggers: dict[tuple[int, ...], StreamLogger] = {}
        self._log_environment = log_environment(plan.workload)
        self.header_environment = replace(self._log_environment, clock=time.monotonic)
        """What operators in header values may say."""

    def capture_address(self, destination_ip: str) -> str | None:
        """Where a connection to this address arrives after its redirection, as Envoy prints it."""
        if self._capture_port is None:
            return None
        return address_text("::1" if ":" in destination_ip else "127.0.0.1", self._capture_port)

    def http_logger(self, access_logs: Sequence[AccessLog]) -> StreamLogger:
        """The logger of a connection manager, which also counts requests."""
        return self.stream_logger(
            access_logs, (self._cluster_meter.record, *(meter.record for meter in self.http_meters))
        )

    def stream_logger(self, access_logs: Sequence[AccessLog], meters: Sequence[Meter] = ()) -> StreamLogger:
        """Compiles the access logs (the same ones compile once); what is no file log is exported, not written."""
        key = (len(meters), *(id(each) for each in access_logs))
        known = self._loggers.get(key)
        if known is not None:
            return known
        logs = []
        for each in access_logs:
            if isinstance(each.typed_config, FileAccessLog):
                compiled = compile_access_log(each, self._log_environment)
                if compiled is not None:
                    logs.append((compiled.line, self.surroundings.sink.writer(compiled.path)))
        around = self.surroundings
        logger = self._loggers[key] = StreamLogger(logs, around.subscribers, around.sink.ended, meters)
        return logger


def _port(listener: Listener) -> int | None:
    return listener.address.port_value if isinstance(listener.address, SocketAddress) else None


NOWHERE: Final = ("127.0.0.1", 0)
"""Who calls an internal listener, and where: not an address."""


def log_environment(workload: str) -> LogEnvironment:
    """What ``%HOSTNAME%`` and ``%ENVIRONMENT(X)%`` print: as in the workload's pod, else as in our own process."""
    namespace, _, name = workload.rpartition("/")
    in_pod = {"HOSTNAME": name, "POD_NAME": name, "POD_NAMESPACE": namespace}
    return LogEnvironment(hostname=name, variables={**os.environ, **in_pod}, new_id=lambda: str(uuid.uuid4()))


class Snapshot:
    """A NodeRuntime and its listeners; a listener's tables are built when its first connection comes."""

    def __init__(self, plan: NodePlan, surroundings: Surroundings, previous: Snapshot | None = None) -> None:
        """``previous`` is the snapshot that this one will replace: clusters that are the same go on."""
        self.plan = plan
        self.node: NodeRuntime = NodeRuntime(
            plan, surroundings, previous.node.clusters if previous is not None else None
        )
        self._table = ListenerTable(plan.listeners)
        self._internal = {
            EnvoyInternalAddress(server_listener_name=listener.name).path: listener
            for listener in plan.listeners
            if listener.internal_listener is not None
        }
        self.handler: ConnectionHandler | None = None
        """Who has the connections, once the snapshot serves."""
        if self._internal:
            self.node.cluster_environment.enter_internal = self._enter_internal
        self._runtimes: dict[int, ListenerRuntime] = {}
        self._chains: dict[int, NetworkFilter] = {}

    def find(self, ip: str, port: int) -> ListenerRuntime | None:
        """Where a connection meant for this address goes."""
        listener = self._table.find(ip, port)
        return None if listener is None else self.runtime_of(listener)

    @property
    def virtual_outbound(self) -> ListenerRuntime | None:
        """Where captured connections that no listener wants stay."""
        listener = self._table.virtual_outbound
        return None if listener is None else self.runtime_of(listener)

    def runtime_of(self, listener: Listener) -> ListenerRuntime:
        """The runtime of a listener of this plan."""
        runtime = self._runtimes.get(id(listener))
        if runtime is None:
            logger = self.node.stream_logger(listener.access_log)
            runtime = ListenerRuntime(
                listener,
                FilterChainTable(listener),
                self._filters,
                logger,
                uses_old_parser=self.plan.runtime.get(USES_NEW_HTTP_PARSER) == "false",
            )
            self._runtimes[id(listener)] = runtime
            if listener.bind_to_port is False and listener is not self._table.virtual_outbound:
                captures = self.virtual_outbound
                runtime.before = captures if captures is not None and captures.inspectors else None
        return runtime

    def _filters(self, chain: FilterChain) -> NetworkFilter:
        filters = self._chains.get(id(chain))
        if filters is None:
            filters = self._chains[id(chain)] = filters_of_chain(chain, self.node)
        return filters

    def _enter_internal(self, address: str, sock: socket.socket) -> bool:
        """A connection from one of the node's own clusters."""
        listener = self._internal.get(address)
        if listener is None or self.handler is None:
            return False
        connection = self.handler.admit(sock, NOWHERE, NOWHERE, "listener")
        connection.local_address, connection.remote_address = address, CLIENT
        self.handler.dispatch(connection, self.runtime_of(listener), self.node)
        return True

    def bound_listeners(self) -> Iterable[Listener]:
        """Listeners that have a port of their own."""
        return (listener for listener in self.plan.listeners if listener.bind_to_port is not False)

    def close(self, successor: Snapshot | None = None) -> None:
        """Stops timers and look-ups that the next snapshot does not go on with; live connections are not concerned."""
        self.node.clusters.close(successor.node.clusters if successor is not None else None)
