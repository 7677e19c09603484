"""Server: what may be bound, how a new snapshot takes over, and how everything ends."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sandbox.errors import ListenError
from sandbox.plan import NodePlan
from sandbox.plan.base import EnvoyInternalAddress
from sandbox.plan.cluster import Cluster, ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints
from sandbox.plan.listener import Filter, FilterChain, InternalListenerConfig, Listener
from sandbox.plan.tls import TransportSocket
from sandbox.proxy.load_balancer import LoadBalancerContext
from sandbox.proxy.outlier_detection import HostOutlierState
from sandbox.proxy.server import ListeningSocket, bind
from sandbox.proxy.snapshot import Snapshot
from sandbox.settings import HostPort

from .http_world import direct, get, http_listener, read_head
from .proxy_world import Upstream, on_a_loop, serving, static_cluster, surroundings_of, tcp_listener, to_cluster


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_port_that_is_taken_is_a_listen_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ListenError, match="cannot listen on 127"):
            bind(HostPort("127.0.0.1", taken.getsockname()[1]), allow_remote=False)


def test_other_machines_are_kept_out_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    with pytest.raises(ListenError, match="--allow-remote"):
        bind(HostPort("0.0.0.0", 0), allow_remote=False)
    bind(HostPort("0.0.0.0", 0), allow_remote=True).close()


def test_a_namespace_with_nothing_but_loopback_may_bind_the_wildcard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo")])
    bind(HostPort("0.0.0.0", 0), allow_remote=False).close()


@pytest.mark.skipif(not hasattr(socket, "TCP_CONGESTION"), reason="Linux only")
@pytest.mark.parametrize(("interfaces", "is_unpaced"), [(("lo",), True), (("lo", "eth0"), False)])
@on_a_loop
async def test_what_is_sent_to_clients_of_this_machine_alone_is_not_paced(
    monkeypatch: pytest.MonkeyPatch, interfaces: tuple[str, ...], is_unpaced: bool
) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate(interfaces)))
    with socket.socket() as fresh:
        systems_own = _congestion_control(fresh)

    accepted: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
    sock = bind(HostPort("0.0.0.0", 0), allow_remote=True)
    listening = ListeningSocket(sock, lambda client, _: accepted.set_result(client))
    _, writer = await asyncio.open_connection("127.0.0.1", listening.address.port)
    with await accepted as client:
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert _congestion_control(client) == ("reno" if is_unpaced else systems_own)
    writer.close()
    listening.close()


def _congestion_control(sock: socket.socket) -> str:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def plan(port: int, cluster: str, upstream_port: int) -> NodePlan:
    return NodePlan(
        node_type="sidecar",
        workload="default/test",
        listeners=(tcp_listener(to_cluster(cluster), port=port),),
        clusters={cluster: static_cluster(cluster, upstream_port)},
    )


@on_a_loop
async def test_live_connections_keep_their_snapshot_and_new_ones_get_the_new() -> None:
    port, old, new = free_port(), Upstream(), Upstream()
    around = surroundings_of()
    async with serving((), surroundings=around) as world:
        world.server.swap(Snapshot(plan(port, "old", old.port), around))
        first = await world.client(port)
        first_server = await old.accept()
        world.server.swap(Snapshot(plan(port, "new", new.port), around))
        second = await world.client(port)
        second_server = await new.accept()
        await first.send(b"still old")
        assert await first_server.receive(9) == b"still old"
        for each in (first, first_server, second, second_server):
            each.close()
        clusters = {(await world.ended.get()).upstream_cluster_name for _ in range(2)}
    assert clusters == {"old", "new"}


@pytest.mark.parametrize(
    ("change", "goes_on"),
    [
        pytest.param({}, True, id="planned as it was"),
        pytest.param({"connect_timeout": timedelta(seconds=3)}, False, id="another timeout"),
        pytest.param({"transport_socket": TransportSocket(name="tls")}, False, id="keys may be new"),
    ],
)
@on_a_loop
async def test_a_cluster_goes_on_with_its_hosts_and_ejections_where_nothing_of_it_changed(
    change: dict[str, Any], goes_on: bool
) -> None:
    port, around = free_port(), surroundings_of()
    before = plan(port, "x", 1)
    after = replace(before, clusters={"x": replace(before.clusters["x"], **change)})
    async with serving((), surroundings=around) as world:
        old = Snapshot(before, around)
        world.server.swap(old)
        running = old.node.clusters.get("x")
        assert running is not None
        running.resources.requests.active = 5
        new = Snapshot(after, around, old)
        world.server.swap(new)

        taken_over = new.node.clusters.get("x")
        assert taken_over is not None
        assert (taken_over is running) is goes_on
        assert taken_over.resources.requests.active == (5 if goes_on else 0)


@on_a_loop
async def test_internal_listeners_of_the_new_plan_count() -> None:
    def with_inside(upstream: int) -> NodePlan:
        chain = FilterChain(filters=(Filter(typed_config=to_cluster("up")),))
        inside = Listener(name="inside", filter_chains=(chain,), internal_listener=InternalListenerConfig())
        address = EnvoyInternalAddress(server_listener_name="inside")
        lead = LocalityLbEndpoints(lb_endpoints=(LbEndpoint(endpoint=Endpoint(address=address)),))
        led = Cluster(name="led", load_assignment=ClusterLoadAssignment(endpoints=(lead,)))
        planned = plan(0, "up", upstream)
        outside = tcp_listener(to_cluster("led"))
        return replace(planned, listeners=(outside, inside), clusters={**planned.clusters, "led": led})

    around, old, new = surroundings_of(), Upstream(), Upstream()
    async with serving((), surroundings=around) as world:
        world.server.swap(Snapshot(with_inside(old.port), around))
        await world.client()
        await old.accept()
        world.server.swap(Snapshot(with_inside(new.port), around, world.server.snapshot))
        await world.client()
        await new.accept()


@on_a_loop
async def test_endpoints_come_and_go_while_the_others_keep_their_age_and_ejections() -> None:
    """A new endpoint is an update of endpoints alone for istiod, and the only one to start slowly."""

    port, around = free_port(), surroundings_of()

    def with_endpoints(*ports: int) -> NodePlan:
        planned = plan(port, "x", 1)
        return replace(planned, clusters={"x": replace(static_cluster("x", *ports), type="EDS")})

    async with serving((), surroundings=around) as world:
        old = Snapshot(with_endpoints(1, 2, 3), around)
        world.server.swap(old)
        running = old.node.clusters.get("x")
        assert running is not None
        first, _, third = running.hosts
        first.active_requests, first.created, third.healthy = 7, -100.0, False
        third.outlier = HostOutlierState()
        third.outlier.ejected_at = 1.0
        new = Snapshot(with_endpoints(4, 1, 3), around, old)
        assert running.hosts[0] is first
        world.server.swap(new)

        assert new.node.clusters.get("x") is running
        assert [host.address.rpartition(":")[2] for host in running.hosts] == ["4", "1", "3"]
        assert running.hosts[1:] == (first, third)
        assert (first.active_requests, first.created) == (7, -100.0)
        assert not third.healthy
        chosen = {running.choose_host(LoadBalancerContext()) for _ in range(4)}
        assert chosen == {running.hosts[0], first}


@on_a_loop
async def test_ports_come_and_go_with_the_plan() -> None:
    ports = (free_port(), free_port())
    around = surroundings_of()
    async with serving((), surroundings=around) as world:
        for port in ports:
            world.server.swap(Snapshot(plan(port, "x", 1), around))
            assert [each.port for each in world.server.addresses.values()] == [port]
        with pytest.raises(ConnectionRefusedError):
            await world.client(ports[0])


@on_a_loop
async def test_a_port_that_cannot_be_bound_leaves_the_old_snapshot() -> None:
    around, taken = surroundings_of(), Upstream()
    async with serving((), surroundings=around) as world:
        before = world.server.snapshot
        with pytest.raises(ListenError):
            world.server.swap(Snapshot(plan(taken.port, "x", 1), around))
        assert world.server.snapshot is before


@on_a_loop
async def test_draining_ends_what_does_not_end_by_itself() -> None:
    upstream = Upstream()
    async with serving((tcp_listener(to_cluster("up")),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(b"x")
        server = await upstream.accept()
        await server.receive(1)
        await world.server.drain(0.05)
        assert await client.ending() == "fin"
        assert (await world.ended.get()).bytes_received == 1
        assert not world.server.handler.live


@on_a_loop
async def test_draining_does_not_wait_for_clients_that_were_told_to_close() -> None:
    listener = http_listener(direct(403), delayed_close_timeout=timedelta(hours=1))
    async with serving((listener,)) as world:
        client = await world.client()
        await client.send(get("/", "Content-Length: 5", method="POST"))
        assert b"connection: close" in await read_head(client)
        await world.server.drain(0.0)
        assert await client.ending() in ("fin", "rst")
        assert not world.server.handler.live
