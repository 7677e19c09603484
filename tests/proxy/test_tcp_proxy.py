"""TCP through the proxy: bytes, half-close, resets, limits, and what the log says of each."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta

import pytest

from sandbox.plan.cluster import CircuitBreakers, Cluster, Thresholds
from sandbox.plan.listener import TcpClusterWeight, TcpProxy, TcpWeightedClusters
from sandbox.plan.rbac import NetworkRbac, Permission, Policy, Principal, Rules
from sandbox.plan.tls import ProxyProtocolConfig, ProxyProtocolUpstreamTransport, TransportSocket

from .proxy_world import LOOPS, Upstream, closed_port, on_a_loop, serving, static_cluster, tcp_listener, to_cluster

each_loop = pytest.mark.parametrize("loop", LOOPS)


@each_loop
@on_a_loop
async def test_bytes_pass_both_ways_and_are_counted(loop: str) -> None:
    upstream = Upstream()
    async with serving((tcp_listener(to_cluster("up")),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        server = await upstream.accept()
        await client.send(b"hello")
        assert await server.receive(5) == b"hello"
        await server.send(b"welcome")
        assert await client.receive(7) == b"welcome"
        client.finish()
        assert await server.ending() == "fin"
        server.close()
        assert await client.ending() == "fin"
        info = await world.ended.get()
    assert (info.bytes_received, info.bytes_sent, info.response_flags) == (5, 7, [])
    assert info.upstream_host == f"127.0.0.1:{upstream.port}"
    assert info.upstream_cluster_name == "up"
    assert info.upstream_request_attempt_count == 1
    upstream.close()


@each_loop
@on_a_loop
async def test_a_half_closed_client_still_gets_the_answer(loop: str) -> None:
    upstream = Upstream()
    async with serving((tcp_listener(to_cluster("up")),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(b"question")
        client.finish()
        server = await upstream.accept()
        assert await server.receive(100) == b"question"
        await server.send(b"answer")
        server.close()
        assert await client.receive(100) == b"answer"
    upstream.close()


@each_loop
@on_a_loop
async def test_an_upstreams_reset_reaches_the_client_and_is_flagged(loop: str) -> None:
    upstream = Upstream()
    async with serving((tcp_listener(to_cluster("up")),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(b"x")
        server = await upstream.accept()
        assert await server.receive(1) == b"x"
        server.reset()
        assert await client.ending() == "rst"
        assert (await world.ended.get()).response_flags == ["UR"]
    upstream.close()


@on_a_loop
async def test_a_clients_reset_reaches_the_upstream_as_fin() -> None:
    upstream = Upstream()
    async with serving((tcp_listener(to_cluster("up")),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(b"x")
        server = await upstream.accept()
        assert await server.receive(1) == b"x"
        client.reset()
        assert await server.ending() == "fin"
        assert (await world.ended.get()).response_flags == []
    upstream.close()


@each_loop
@on_a_loop
async def test_bulk_arrives_unharmed_in_both_directions(loop: str) -> None:

    data = hashlib.sha256(b"seed").digest() * 262_144  # 8 MiB
    upstream = Upstream()
    async with serving((tcp_listener(to_cluster("up")),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        server = await upstream.accept()
        _, _, there, back = await asyncio.gather(
            client.send(data), server.send(data), server.receive(len(data)), client.receive(len(data))
        )
        assert there == data
        assert back == data
        client.close()
        server.close()
        info = await world.ended.get()
    assert (info.bytes_received, info.bytes_sent) == (len(data), len(data))
    upstream.close()


@on_a_loop
async def test_a_client_that_does_not_read_holds_its_upstream_back() -> None:

    upstream = Upstream()
    async with serving((tcp_listener(to_cluster("up")),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        server = await upstream.accept()
        sending = asyncio.ensure_future(server.send(bytes(24 << 20)))
        await client.receive(1 << 20)
        assert not sending.done()
        assert len(await client.receive(23 << 20)) == 23 << 20
        await sending
        server.close()
    upstream.close()


FAILURES = {
    "no such cluster": ((), ["NC"], None),
    "no endpoints": ((static_cluster("up"),), ["UH"], None),
    "no type at all": ((Cluster(name="up"),), ["UH"], None),
    "refused": (
        (static_cluster("up", closed_port()),),
        ["UF", "URX"],
        "delayed_connect_error:_Connection_refused",
    ),
    "no connection allowed": (
        (static_cluster("up", 1, circuit_breakers=CircuitBreakers(thresholds=(Thresholds(max_connections=0),))),),
        ["UO"],
        None,
    ),
}


@pytest.mark.parametrize(("clusters", "flags", "reason"), FAILURES.values(), ids=FAILURES.keys())
@on_a_loop
async def test_a_failure_closes_the_client_and_is_flagged(
    clusters: tuple[Cluster, ...], flags: list[str], reason: str | None
) -> None:
    async with serving((tcp_listener(to_cluster("up")),), *clusters) as world:
        client = await world.client()
        assert await client.ending() == "fin"
        info = await world.ended.get()
    assert info.response_flags == flags
    assert info.upstream_transport_failure_reason == reason
    assert info.upstream_local_address is None
    assert (info.bytes_received, info.bytes_sent) == (0, 0)
    assert (info.upstream_wait_end is None) == (info.upstream_host is None)
    assert info.upstream_connect_start is None


@on_a_loop
async def test_open_connections_are_what_least_request_counts() -> None:
    """A real Envoy's pools of TCP connections count them as active requests, so that load stays even."""

    upstream = Upstream()
    async with serving((tcp_listener(to_cluster("up")),), static_cluster("up", upstream.port)) as world:
        assert world.server.snapshot is not None
        cluster = world.server.snapshot.node.clusters.get("up")
        assert cluster is not None
        (host,) = cluster.hosts
        pairs = []
        for count in (1, 2):
            client = await world.client()
            pairs.append((client, await upstream.accept()))
            await client.send(b"x")
            await pairs[-1][1].receive(1)
            assert host.active_requests == count
        for pair in pairs:
            for each in pair:
                each.close()
            await world.ended.get()
        assert host.active_requests == 0
    upstream.close()


@on_a_loop
async def test_refused_connections_are_tried_as_often_as_allowed() -> None:
    upstream = Upstream()
    listener = tcp_listener(to_cluster("up", max_connect_attempts=5))
    async with serving((listener,), static_cluster("up", closed_port(), upstream.port)) as world:
        client = await world.client()
        server = await upstream.accept()
        client.close()
        server.close()
        info = await world.ended.get()
    assert info.upstream_host == f"127.0.0.1:{upstream.port}"
    assert "URX" not in info.response_flags
    upstream.close()


@on_a_loop
async def test_an_idle_connection_ends_without_a_flag() -> None:
    upstream = Upstream()
    listener = tcp_listener(to_cluster("up", idle_timeout=timedelta(milliseconds=50)))
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        server = await upstream.accept()
        assert await client.ending() == "fin"
        assert await server.ending() == "fin"
        assert (await world.ended.get()).response_flags == []
    upstream.close()


@on_a_loop
async def test_a_connection_past_its_duration_is_flagged() -> None:
    upstream = Upstream()
    listener = tcp_listener(to_cluster("up", max_downstream_connection_duration=timedelta(milliseconds=50)))
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await upstream.accept()
        assert await client.ending() == "fin"
        assert (await world.ended.get()).response_flags == ["DT"]
    upstream.close()


@on_a_loop
async def test_weights_decide_how_often_a_cluster_is_drawn() -> None:
    weights = TcpWeightedClusters(clusters=(TcpClusterWeight(name="a", weight=3), TcpClusterWeight(name="b", weight=1)))
    async with serving((tcp_listener(TcpProxy(weighted_clusters=weights)),)) as world:
        from sandbox.proxy.tcp_proxy import TcpProxyRuntime

        snapshot = world.server.snapshot
        assert snapshot is not None
        runtime = TcpProxyRuntime(TcpProxy(weighted_clusters=weights), snapshot.node)

        class Connection:
            upstream_cluster = None

        drawn = [runtime.pick_cluster(Connection()) for _ in range(1000)]  # type: ignore[arg-type]
        assert 700 < drawn.count("a") < 800


EVERYONE = Policy(permissions=(Permission(any=True),), principals=(Principal(any=True),))
NOBODY = NetworkRbac(rules=Rules(action="DENY", policies={"nobody": EVERYONE}))


@on_a_loop
async def test_a_refused_policy_ends_the_connection_at_its_first_byte() -> None:
    upstream = Upstream()
    async with serving((tcp_listener(NOBODY, to_cluster("up")),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        server = await upstream.accept()
        await client.send(b"let me in")
        assert await client.ending() == "fin"
        assert await server.ending() == "fin"
        info = await world.ended.get()
    assert info.connection_termination_details == "rbac_access_denied_matched_policy[nobody]"
    assert info.bytes_received == 9
    upstream.close()


# RoleBasedAccessControlFilter::onData: an end without a byte is data, too.
@pytest.mark.parametrize("is_dressed", [False, True], ids=["between sockets", "between transports"])
@on_a_loop
async def test_a_refused_policy_lets_a_silent_client_listen_until_it_ends(*, is_dressed: bool) -> None:
    upstream = Upstream()
    header = ProxyProtocolUpstreamTransport(config=ProxyProtocolConfig(version="V1"))
    dressing = TransportSocket(typed_config=header) if is_dressed else None
    cluster = static_cluster("up", upstream.port, transport_socket=dressing)
    async with serving((tcp_listener(NOBODY, to_cluster("up")),), cluster) as world:
        client = await world.client()
        server = await upstream.accept()
        await server.send(b"greeting")
        assert await client.receive(8) == b"greeting"
        client.finish()
        assert await client.ending() == "fin"
        info = await world.ended.get()
    assert info.connection_termination_details == "rbac_access_denied_matched_policy[nobody]"
    assert info.bytes_sent == 8
    upstream.close()
