"""The TCP proxy filter: picks a cluster, connects, relays; one log line when the connection is over."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

from sandbox.access_log.stream_info import CLIENT_RESET, DENIED, IDLE, OUTLIVED
from sandbox.plan.filter_names import NETWORK_RBAC
from sandbox.proxy.connector import Connector
from sandbox.proxy.failure import FailureKind, UpstreamFailure
from sandbox.proxy.http_tunnel import HttpTunnel, count_wire_bytes
from sandbox.proxy.load_balancer import LoadBalancerContext, hash_of_ip
from sandbox.proxy.relay import Relay, RelayEnd
from sandbox.proxy.socket_relay import SocketRelay
from sandbox.proxy.stream_relay import StreamEnd, StreamRelay
from sandbox.proxy.tasks import spawn
from sandbox.proxy.tls_failure import failure_of_handshake
from sandbox.proxy.tls_termination import terminate
from sandbox.proxy.upstream import connect, options_for_proxy_protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.plan.listener import TcpProxy
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.proxy.host import Host
    from sandbox.proxy.snapshot import NodeRuntime
    from sandbox.proxy.tls_context import ServerTls

DEFAULT_IDLE_SECONDS = 3600.0
DEFAULT_TLS_PORT = 443


class TcpProxyRuntime:
    """A ``TcpProxy`` filter at work; what connections share is computed here, once."""

    def __init__(
        self,
        plan: TcpProxy,
        node: NodeRuntime,
        *,
        policies: Sequence[Callable[[DownstreamConnection], None]] = (),
        tls: ServerTls | None = None,
    ) -> None:
        self.plan, self.node = plan, node
        self.policies = policies
        """They look at a connection when its client may speak: who that is, a handshake has to tell."""
        self.tls = tls
        self.logger = node.stream_logger(plan.access_log)
        self.max_connect_attempts = plan.max_connect_attempts or 1
        idle = plan.idle_timeout
        self.idle_seconds: float | None = DEFAULT_IDLE_SECONDS if idle is None else idle.total_seconds() or None
        self.idle_is_short = idle is not None and 0 < idle.total_seconds() < DEFAULT_IDLE_SECONDS
        """It may be over while the upstream is still under way."""
        duration = plan.max_downstream_connection_duration
        self.max_seconds = duration.total_seconds() if duration is not None else None
        weighted = plan.weighted_clusters.clusters if plan.weighted_clusters else ()
        self._weighted = tuple((cluster.name, cluster.weight) for cluster in weighted)
        self._total_weight = sum(weight for _, weight in self._weighted)
        self.tunnel = HttpTunnel(plan.tunneling_config) if plan.tunneling_config is not None else None
        self.hashes_source = any(policy.source_ip is not None for policy in plan.hash_policy)

    def take(self, connection: DownstreamConnection) -> None:
        """The connection is ours from now on, its bytes still unread."""
        TcpSession(self, connection).start()

    def pick_cluster(self, connection: DownstreamConnection) -> str:
        """The cluster's name; a weighted choice is drawn for every connection."""
        if connection.upstream_cluster is not None:
            return connection.upstream_cluster
        if not self._weighted:
            return self.plan.cluster or ""
        draw = self.node.random.randrange(self._total_weight)
        for name, weight in self._weighted:
            draw -= weight
            if draw < 0:
                return name
        return self._weighted[-1][0]


class TcpSession:
    """One connection through the TCP proxy."""

    __slots__ = (
        "_attempts",
        "_connection",
        "_connector",
        "_duration_timer",
        "_filter",
        "_handshake",
        "_host",
        "_idle_timer",
        "_is_counted",
        "_is_over",
        "_loop",
        "_number",
        "_relay",
        "_task",
        "_upstream_stands",
        "cluster",
        "info",
    )

    def __init__(self, runtime: TcpProxyRuntime, connection: DownstreamConnection) -> None:
        self._filter = runtime
        self._connection = connection
        self._loop, self._attempts = asyncio.get_running_loop(), 0
        self._connector: Connector | None = None
        self._handshake: asyncio.Task[StreamEnd | None] | None = None
        self._upstream_stands: asyncio.Event | None = None
        """The client's handshake waits for it."""
        self._is_over = False
        self._relay: Relay | None = None
        self._task: asyncio.Task[None] | None = None
        self._host: Host | None = None
        self._is_counted = False
        """Whether the host has it among its active requests."""
        self._number = 0
        """Of the connection that is under way."""
        self._duration_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        """Until bytes are relayed."""
        self.cluster: ClusterRuntime | None = None
        self.info: StreamInfo = connection.new_stream(connection.start, connection.start_wall)

    def start(self) -> None:
        """Begins to connect at once, whether or not the client has sent anything, or has done its handshake.

        The connection is measured from here on, also when its handshake fails: Istio's filter reports each at its end.
        """
        for meter in self._filter.node.tcp_meters:
            meter.begin(self)
        self._connection.on_drain, self._connection.on_abort = None, self.abort
        if self._filter.max_seconds is not None:
            self._duration_timer = self._loop.call_later(self._filter.max_seconds, self._duration_over)
        if self._filter.idle_is_short:
            self._idle_timer = self._loop.call_later(self._filter.idle_seconds or 0.0, self._idle_over)
        self._establish()
        if self._filter.tls is not None and not self._is_over:
            self._upstream_stands = asyncio.Event()
            self._handshake = spawn(self._shake_hands(self._filter.tls, self._upstream_stands), "tls")

    async def _shake_hands(self, tls: ServerTls, upstream_stands: asyncio.Event) -> StreamEnd | None:
        """The client's side; ``None`` where the handshake failed, which ends a session that is still connecting."""
        end = StreamEnd()
        if await terminate(tls, self._connection, lambda: end, upstream_stands=upstream_stands):
            self._connection.stream = end
            self._connection.tell_tls(self.info)
            self.info.upstream_handshake_end = time.monotonic()  # sic: Envoy's ``SslSocket`` notes it there
            return end
        self.info.downstream_transport_failure_reason = self._connection.handshake_failure
        if self._task is not None:
            self.abort()
        return None

    def _establish(self) -> None:
        runtime, info = self._filter, self.info
        name = runtime.pick_cluster(self._connection)
        cluster = runtime.node.clusters.get(name)
        if cluster is None:
            self._fail("NC")
            return
        self.cluster = cluster
        info.cluster, info.upstream_cluster_name = cluster.plan, name
        if cluster.resources.connections.is_full:
            cluster.counters.connection_overflows += 1
            self._fail("UO")
            return
        if self._attempts >= runtime.max_connect_attempts:
            self._fail("URX")
            return
        if self._connection.forward_authority is not None:
            self._task = spawn(self._resolve(cluster, self._connection.forward_authority), "sni forward proxy")
            return
        self._begin(cluster, cluster.choose_host(self._context()))

    async def _resolve(self, cluster: ClusterRuntime, authority: str) -> None:
        host = await cluster.resolve_host(authority, DEFAULT_TLS_PORT)
        self._task = None
        self._begin(cluster, None if isinstance(host, str) else host)

    def _begin(self, cluster: ClusterRuntime, host: Host | None) -> None:
        runtime, info = self._filter, self.info
        if host is None:
            self._fail("UH")
            return
        self._attempts += 1
        self._host = host
        self._number = cluster.begin_connection(host)
        info.upstream_request_attempt_count = self._attempts
        info.upstream_wait_start, info.upstream_wait_end = time.monotonic(), None
        is_plain = cluster.is_plain or cluster.transport_of(host).is_plain
        if is_plain and runtime.tls is None and runtime.tunnel is None:
            self._connector = Connector(self._loop, self._connected)
            self._connector.start(cluster, host.target)
        else:
            self._task = spawn(self._connect_stream(cluster, host), "tcp stream")

    def _context(self) -> LoadBalancerContext:
        connection = self._connection
        key = hash_of_ip(connection.remote_ip) if self._filter.hashes_source else None
        return LoadBalancerContext(connection.original_destination, key)

    def _note_host(self, host: Host) -> None:
        """It has answered, or failed to."""
        info = self.info
        info.upstream_wait_end = time.monotonic()
        info.upstream_host, info.upstream_host_name = host.address, host.hostname or host.address
        info.upstream_host_metadata = host.metadata

    def _connected(self, outcome: socket.socket | UpstreamFailure) -> None:
        self._connector = None
        cluster, host, info = self.cluster, self._host, self.info
        if cluster is None or host is None:
            return
        self._note_host(host)
        if isinstance(outcome, UpstreamFailure):
            self._connect_failed(cluster, host, outcome)
            return
        self._is_counted = cluster.report_connect_success(host)
        info.upstream_connection_id = self._number
        info.upstream_connect_start, info.upstream_connect_end = info.upstream_wait_start, info.upstream_wait_end
        if not isinstance(host.target, str):
            info.upstream_local_address = cluster.local_address(outcome)
        relay = SocketRelay(self._loop, (self._connection.socket, outcome), self._filter.idle_seconds)
        self._run(relay)

    def _run(self, relay: Relay) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        relay.on_end = self._relay_over
        for policy in self._filter.policies:
            policy(self._connection)
        relay.denies = self._connection.denial is not None
        self._relay = relay
        self._connection.on_abort = relay.close
        relay.start()

    async def _connect_stream(self, cluster: ClusterRuntime, host: Host) -> None:
        """The way through transports of the loop: TLS on one side, a PROXY header, or a tunnel."""
        connection, tunnel = self._connection, self._filter.tunnel
        end = tunnel.new_end() if tunnel is not None else StreamEnd()
        options = options_for_proxy_protocol(cluster, connection)
        outcome = await connect(cluster, host, lambda: end, options, number=self._number, for_bytes=True)
        self._note_host(host)
        if isinstance(outcome, UpstreamFailure):
            self._task = None
            self._connect_failed(cluster, host, outcome)
            return
        self._is_counted = cluster.report_connect_success(host)
        refusal = await tunnel.open(end, connection.requested_server_name) if tunnel is not None else None
        self._task = None
        if refusal is not None:
            count_wire_bytes(self.info, end)
            end.close()
            self._connect_failed(cluster, host, refusal)
            return
        outcome.tell(self.info)
        if tunnel is None:
            self.info.upstream_connect_start = outcome.connect_start
            self.info.upstream_connect_end = outcome.connect_end
        downstream = await self._downstream()
        if downstream is None:
            end.close()
            self._leave(cluster, host)
            self._end()
            return
        relay = StreamRelay(self._loop, (downstream, end), self._filter.idle_seconds)
        self._run(relay)

    async def _downstream(self) -> StreamEnd | None:
        """The client's side; ``None`` where there is no client any more."""
        handshake = self._handshake
        if handshake is None or self._upstream_stands is None:
            return await self._adopt()
        self._upstream_stands.set()
        await asyncio.wait({handshake})
        return None if handshake.cancelled() else handshake.result()

    async def _adopt(self) -> StreamEnd | None:
        """What the client has said by now is read at once: it goes on even if the upstream closes meanwhile."""
        end, sock = StreamEnd(), self._connection.socket
        end.read_first(sock)
        try:
            if not end.is_lost:
                await self._loop.connect_accepted_socket(lambda: end, sock)
        except OSError:
            sock.close()
            return None
        return end

    def _leave(self, cluster: ClusterRuntime, host: Host) -> None:
        cluster.end_connection(host, was_used=self._is_counted)
        self._is_counted = False

    def _connect_failed(self, cluster: ClusterRuntime, host: Host, failure: UpstreamFailure) -> None:
        self._leave(cluster, host)
        is_timeout = failure.kind is FailureKind.CONNECTION_TIMEOUT
        cluster.connect_failed(host, is_timeout=is_timeout)
        cluster.report_connect_failure(host, is_timeout=is_timeout)
        info = self.info
        info.upstream_transport_failure_reason = failure.transport_failure_reason
        if failure.flag not in info.response_flags:
            info.response_flags.append(failure.flag)
        self._establish()

    def _relay_over(self, end: RelayEnd) -> None:
        relay, info = self._relay, self.info
        if relay is None:
            return
        self._relay = None
        received, sent = relay.received, relay.sent
        info.bytes_received = info.wire_bytes_received = info.upstream_wire_bytes_sent = received
        info.bytes_sent = info.wire_bytes_sent = info.upstream_wire_bytes_received = sent
        if isinstance(relay, StreamRelay):
            count_wire_bytes(info, relay.upstream)
        if self._connection.dry_run and (received or end.is_denied):
            info.dynamic_metadata = {NETWORK_RBAC: self._connection.dry_run}
        if end.is_denied:
            info.connection_termination_details = self._connection.denial
            info.upstream_wire_bytes_sent = info.wire_bytes_received = 0
            info.tcp_end = DENIED
        if end.upstream_reset:
            info.response_flags.append("UR")
        elif end.client_reset:
            info.tcp_end = CLIENT_RESET
        stream = self._connection.stream
        if self._filter.tls is not None and stream is not None and stream.lost is not None:
            info.downstream_transport_failure_reason = failure_of_handshake(stream.lost).transport_failure_reason
        if end.is_idle:
            info.tcp_end = IDLE
        if self.cluster is not None and self._host is not None:
            self._leave(self.cluster, self._host)
        self._end()

    def _duration_over(self) -> None:
        self._duration_timer = None
        self.info.response_flags.append("DT")
        self._give_up(OUTLIVED)

    def _idle_over(self) -> None:
        """Nothing was relayed yet; a tunnel that nobody answers has failed."""
        if self._filter.tunnel is not None:
            self.info.response_flags.append("UF")
        self._give_up(IDLE)

    def _give_up(self, why: str) -> None:
        self.info.tcp_end = why
        if self._relay is None and self._host is not None:
            self.info.upstream_host_tried = self._host.address
        self.abort()

    def abort(self) -> None:
        """Closes both sides from ours."""
        if self._relay is not None:
            self._relay.close()
            return
        under_way = self._connector or self._task
        if under_way is not None:
            under_way.cancel()
            self._connector = self._task = None
            if self.cluster is not None and self._host is not None:
                self._leave(self.cluster, self._host)
        self._close_downstream()

    def _fail(self, flag: str) -> None:
        self.info.response_flags.append(flag)
        self._close_downstream()

    def carried(self) -> tuple[int, int]:
        """Bytes from the client and to it, so far."""
        return (0, 0) if self._relay is None else (self._relay.received, self._relay.sent)

    def _close_downstream(self) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
        if self._connection.stream is not None:
            self._connection.stream.close()
        else:
            self._connection.socket.close()
        self._end()

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        for timer in (self._duration_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self.info.end = time.monotonic()
        for meter in self._filter.node.tcp_meters:
            meter.end(self)
        self._filter.logger.log(self.info)
        self._connection.finished()
