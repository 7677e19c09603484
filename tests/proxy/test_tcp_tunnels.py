"""Tunnels of TCP through an HTTP proxy, by CONNECT and by POST, as a real Envoy 1.39.3 made them."""

from __future__ import annotations

import pytest

from sandbox.plan.listener import Listener, TunnelingConfig

from .proxy_world import Upstream, on_a_loop, serving, static_cluster, tcp_listener, to_cluster


@on_a_loop
async def test_tunnel_by_post_carries_the_bytes_in_bodies() -> None:
    upstream = Upstream()
    tunnel = TunnelingConfig(hostname="dst.example:443", use_post=True)
    listener = tcp_listener(to_cluster("up", tunneling_config=tunnel))
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(b"hello")
        server = await upstream.accept()
        head = b"POST / HTTP/1.1\r\nhost: dst.example:443\r\ntransfer-encoding: chunked\r\n\r\n"
        assert await server.receive(len(head)) == head
        await server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwor")
        assert await server.receive(10) == b"5\r\nhello\r\n"
        assert await client.receive(3) == b"wor"
        client.finish()
        assert await server.receive(6) == b"0\r\n\r\n"
        assert await client.ending() == "fin"
        info = await world.ended.get()
        assert (info.bytes_received, info.bytes_sent) == (5, 3)
        assert info.upstream_wire_bytes_sent == len(head) + len(b"5\r\nhello\r\n0\r\n\r\n") + len(b"hello")


def tunnelled() -> Listener:
    return tcp_listener(to_cluster("up", tunneling_config=TunnelingConfig(hostname="dst.example:443")))


CONNECTING = b"CONNECT dst.example:443 HTTP/1.1\r\nhost: dst.example:443\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 299 OK\n\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["at once", "lines that end in a line feed", "informational heads before"],
)
@on_a_loop
async def test_tunnel_is_open(answer: bytes) -> None:
    upstream = Upstream()
    async with serving((tunnelled(),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(b"hello")
        server = await upstream.accept()
        assert await server.receive(len(CONNECTING)) == CONNECTING
        await server.send(answer + b"welcome")
        assert await server.receive(5) == b"hello"
        assert await client.receive(7) == b"welcome"
        client.close()
        assert await server.ending() == "fin"
        info = await world.ended.get()
    assert (info.upstream_wire_bytes_sent, info.upstream_wire_bytes_received) == (
        len(CONNECTING) + 2 * 5,
        len(answer) + 2 * 7,
    )
    assert info.upstream_connect_start is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 403 No\r\n\r\n", "tunnel_response:403"),
        (b"HTTP/1.1 101 Yes\r\n\r\n", "tunnel_response:101"),
        (b"HTTP/1.1 199 Yes\r\n\r\n", "tunnel_response:199"),
        (b"HTTP/1.1 000 Yes\r\n\r\n", None),
        (b"\x00", None),
    ],
    ids=["forbidden", "another protocol", "an unknown informational head", "no status", "no HTTP"],
)
@on_a_loop
async def test_tunnel_is_refused(answer: bytes, reason: str | None) -> None:
    upstream = Upstream()
    async with serving((tunnelled(),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        server = await upstream.accept()
        await server.receive(len(CONNECTING))
        await server.send(answer)
        assert await client.ending() == "fin"
        info = await world.ended.get()
    assert (info.response_flags, info.upstream_transport_failure_reason) == (["UF", "URX"], reason)


@pytest.mark.parametrize("how", ["client ends", "upstream ends", "upstream resets"])
@on_a_loop
async def test_tunnel_has_no_halves(how: str) -> None:
    upstream = Upstream()
    async with serving((tunnelled(),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        server = await upstream.accept()
        await server.receive(len(CONNECTING))
        await server.send(b"HTTP/1.1 200 OK\r\n\r\nwelcome")
        assert await client.receive(7) == b"welcome"
        if how == "upstream resets":
            server.reset()
        elif how == "upstream ends":
            server.finish()
        else:
            client.finish()
        assert await client.ending() == "fin"
        info = await world.ended.get()
    assert info.response_flags == []


@on_a_loop
async def test_tunnel_by_post_that_is_over_with_its_head_is_refused() -> None:
    upstream = Upstream()
    tunnel = TunnelingConfig(hostname="dst.example:443", use_post=True)
    listener = tcp_listener(to_cluster("up", tunneling_config=tunnel))
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        server = await upstream.accept()
        await server.receive(70)
        await server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert await client.ending() == "fin"
        info = await world.ended.get()
    assert info.upstream_transport_failure_reason == "tunnel_response:200"


@on_a_loop
async def test_tunnel_by_post_ends_with_the_response() -> None:
    upstream = Upstream()
    tunnel = TunnelingConfig(hostname="dst.example:443", use_post=True)
    listener = tcp_listener(to_cluster("up", tunneling_config=tunnel))
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        server = await upstream.accept()
        await server.receive(70)
        await server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld")
        assert await client.receive(6) == b"world"
        assert await server.ending() == "fin"
