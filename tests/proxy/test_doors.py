"""The explicit doors: HTTP proxy, SOCKS5 and static maps lead where a captured connection would go."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from sandbox.plan.base import Extension, SocketAddress
from sandbox.plan.cluster import Cluster
from sandbox.plan.http_connection_manager import Http1ProtocolOptions, HttpConnectionManager
from sandbox.plan.listener import Filter, FilterChain, Listener
from sandbox.plan.route import Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost
from sandbox.proxy.door import Caller, Enter, WorkloadNames
from sandbox.proxy.http_proxy_door import HttpProxyDoor
from sandbox.proxy.map_door import MapDoor
from sandbox.proxy.resolver import Resolver
from sandbox.proxy.socks5_door import Socks5Door
from sandbox.proxy.system_names import SystemNames
from sandbox.settings import HostPort, ResolveOverride

from .proxy_world import Client, Upstream, World, on_a_loop, serving, static_cluster, surroundings_of, to_cluster

ANYWHERE = HostPort("127.0.0.1", 0)


def virtual_outbound(terminal: Extension) -> Listener:
    """Everything goes where it was meant to go."""
    chain = FilterChain(filters=(Filter(typed_config=terminal),))
    return Listener(
        name="virtualOutbound",
        address=SocketAddress(address="0.0.0.0", port_value=15001),
        filter_chains=(chain,),
        use_original_dst=True,
        bind_to_port=False,
    )


class OneCaller:
    """Whoever comes, it is the same workload."""

    def __init__(self, names: WorkloadNames, enter: Enter) -> None:
        self._caller = Caller(names, enter)

    async def of(self, workload: str | None, address: str) -> Caller:
        return self._caller


@contextlib.asynccontextmanager
async def doors(upstream: Upstream, terminal: Extension | None = None) -> AsyncIterator[tuple[World, OneCaller]]:
    """A sandbox in which ``known.example`` is the upstream."""
    override = ResolveOverride("known.example", 80, "127.80.0.1", None)
    elsewhere = ResolveOverride("moved.example", 80, "127.80.0.2", upstream.port)
    around = surroundings_of(Resolver((override, elsewhere), system=SystemNames(hosts={"here": ("127.0.0.1",)})))
    passthrough = Cluster(name="PassthroughCluster", type="ORIGINAL_DST", lb_policy="CLUSTER_PROVIDED")
    async with serving(
        (virtual_outbound(terminal or to_cluster("PassthroughCluster")),),
        passthrough,
        static_cluster("x"),
        surroundings=around,
    ) as world:
        yield world, OneCaller(WorkloadNames(lambda: around.resolver, lambda _name: None), world.server.enter)


async def opened(world: World, door: HttpProxyDoor | Socks5Door | MapDoor) -> Client:
    world.server.open_door("door", ANYWHERE, door.accept)
    return await world.client(world.server.addresses["door"].port)


@on_a_loop
async def test_connect_is_answered_and_then_a_tunnel() -> None:
    upstream = Upstream()
    async with doors(upstream) as (world, callers):
        client = await opened(world, HttpProxyDoor(callers))
        await client.send(f"CONNECT 127.0.0.1:{upstream.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode() + b"early")
        assert await client.receive(39) == b"HTTP/1.1 200 Connection established\r\n\r\n"
        server = await upstream.accept()
        assert await server.receive(5) == b"early"
        client.close()
        server.close()
        info = await world.ended.get()
    assert info.downstream_local_address == f"127.0.0.1:{upstream.port}"
    assert info.upstream_cluster_name == "PassthroughCluster"


@on_a_loop
async def test_an_absolute_request_reaches_its_host_untouched() -> None:
    upstream = Upstream()
    request = f"GET http://here:{upstream.port}/x HTTP/1.1\r\nHost: other\r\n\r\n".encode()
    async with doors(upstream) as (world, callers):
        client = await opened(world, HttpProxyDoor(callers))
        await client.send(request[:20])
        await client.send(request[20:])
        server = await upstream.accept()
        assert await server.receive(len(request)) == request
        client.close()
        server.close()


REFUSED = {
    "unknown name": (b"CONNECT nowhere.example:443 HTTP/1.1\r\n\r\n", b"502 Bad Gateway"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),
    "not HTTP": (b"HELO example\r\n\r\n", b"400 Bad Request"),
}


@pytest.mark.parametrize(("request_bytes", "status"), REFUSED.values(), ids=REFUSED.keys())
@on_a_loop
async def test_the_http_door_says_why_it_refuses(request_bytes: bytes, status: bytes) -> None:
    async with doors(Upstream()) as (world, callers):
        client = await opened(world, HttpProxyDoor(callers))
        await client.send(request_bytes)
        answer = await client.receive(10_000)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"\r\n\r\negress: " in answer


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
STRANGERS = {
    "TLS at the HTTP proxy": (HttpProxyDoor, HELLO, b"HTTP/1.1 400 ", "TLS to the HTTP proxy: write http://"),
    "SOCKS5 at the HTTP proxy": (HttpProxyDoor, b"\x05\x01\x00", b"\x05\xff", "SOCKS5 to the HTTP proxy: --socks"),
    "SOCKS4 at the HTTP proxy": (HttpProxyDoor, b"\x04\x01\x00\x50", b"\x00\x5b", "SOCKS4 to the HTTP proxy"),
    "bytes at the HTTP proxy": (HttpProxyDoor, b"\x00\x00", b"HTTP/1.1 400 ", "something else than HTTP to the HTTP"),
    "HTTP at SOCKS5": (
        Socks5Door,
        b"GET http://a/ HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 400 ",
        "SOCKS5 door: write socks5h://",
    ),
    "TLS at SOCKS5": (Socks5Door, HELLO, b"HTTP/1.1 400 ", "TLS to the SOCKS5 door: write socks5h://"),
    "SOCKS4 at SOCKS5": (Socks5Door, b"\x04\x01\x00\x50", b"\x00\x5b", "SOCKS4 to the SOCKS5 door"),
}


@pytest.mark.parametrize(("door", "sent", "answer", "told"), STRANGERS.values(), ids=STRANGERS.keys())
@on_a_loop
async def test_who_speaks_something_else_is_told_and_not_reset(
    door: type[HttpProxyDoor | Socks5Door], sent: bytes, answer: bytes, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with doors(Upstream()) as (world, callers):
        client = await opened(world, door(callers))
        await client.send(sent)
        assert await client.receive(len(answer)) == answer
        assert await client.ending() == "fin"
    (record,) = caplog.records
    assert told in record.getMessage()


@pytest.mark.parametrize(
    "request_text",
    [
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        "GET http://here:{port}/ HTTP/1.1\r\n\r\n",
        "CONNECT 0.0.0.0:{port} HTTP/1.1\r\n\r\n",
    ],
    ids=["called as a server", "by a name", "any address of this machine"],
)
@on_a_loop
async def test_the_http_door_does_not_call_itself(request_text: str) -> None:
    async with doors(Upstream()) as (world, callers):
        client = await opened(world, HttpProxyDoor(callers))
        port = world.server.addresses["door"].port
        await client.send(request_text.format(port=port).encode())
        answer = await client.receive(10_000)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"this is the proxy itself; ask it for another host, as in curl -x 127.0.0.1:%d http" % port in answer


@on_a_loop
async def test_socks_by_name_and_by_address() -> None:
    upstream = Upstream()
    port = upstream.port.to_bytes(2, "big")
    for target in (b"\x03\x04here", b"\x01\x7f\x00\x00\x01"):
        async with doors(upstream) as (world, callers):
            client = await opened(world, Socks5Door(callers))
            await client.send(b"\x05\x01\x00")
            assert await client.receive(2) == b"\x05\x00"
            await client.send(b"\x05\x01\x00" + target + port + b"first")
            assert (await client.receive(10))[:2] == b"\x05\x00"
            server = await upstream.accept()
            assert await server.receive(5) == b"first"
            client.close()
            server.close()


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"\x05\x01\x00\x03\x07nowhere\x00\x50", 4),
        (b"\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", 7),
        (b"\x05\x01\x00\x09\x00\x50", 8),
    ],
    ids=["unknown name", "bind", "strange address"],
)
@on_a_loop
async def test_socks_refuses_with_a_code(request_bytes: bytes, code: int) -> None:
    async with doors(Upstream()) as (world, callers):
        client = await opened(world, Socks5Door(callers))
        await client.send(b"\x05\x01\x00" + request_bytes)
        answer = await client.receive(12)
    assert answer[:4] == bytes((5, 0, 5, code))


@on_a_loop
async def test_a_map_leads_to_its_target_even_where_an_override_moves_the_port() -> None:
    upstream = Upstream()
    async with doors(upstream) as (world, callers):
        client = await opened(world, MapDoor(HostPort("here", upstream.port), callers))
        await client.send(b"hi")
        server = await upstream.accept()
        assert await server.receive(2) == b"hi"
        client.close()
        server.close()
        info = await world.ended.get()
    assert info.downstream_local_address == f"127.0.0.1:{upstream.port}"


@pytest.mark.parametrize(
    ("host", "status"),
    [("nowhere.example", b"502 Bad Gateway"), ("here:{door}", b"400 Bad Request")],
    ids=["unknown", "the proxy itself"],
)
@on_a_loop
async def test_the_next_request_of_a_connection_may_be_for_another_host(host: str, status: bytes) -> None:
    manager = HttpConnectionManager(
        stat_prefix="http",
        http_protocol_options=Http1ProtocolOptions(allow_absolute_url=True),
        route_config=RouteConfiguration(
            virtual_hosts=(
                VirtualHost(
                    name="any",
                    domains=("*",),
                    routes=(Route(match=RouteMatch(prefix="/"), action=RouteAction(cluster="PassthroughCluster")),),
                ),
            )
        ),
    )
    upstreams = (Upstream(), Upstream())
    async with doors(upstreams[0], manager) as (world, callers):
        client = await opened(world, HttpProxyDoor(callers))
        for upstream in (*upstreams, upstreams[0]):
            await client.send(f"GET http://here:{upstream.port}/x HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            server = await upstream.accept()
            assert (await server.receive(15)).startswith(b"GET /x HTTP/1.1")
            await server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            server.close()
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += await client.receive(1)
            assert answer.startswith(b"HTTP/1.1 200 OK")
        authority = host.format(door=world.server.addresses["door"].port)
        await client.send(f"GET http://{authority}/ HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert (await client.receive(1000)).startswith(b"HTTP/1.1 " + status)
