"""Inspection: what the first bytes decide, however they arrive, and what silence and early ends do."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import timedelta
from typing import Any

import pytest

from sandbox.plan.base import Extension
from sandbox.plan.listener import (
    Filter,
    FilterChain,
    FilterChainMatch,
    HttpInspector,
    Listener,
    ListenerFilter,
    TlsInspector,
)

from .proxy_world import Client, Upstream, World, address, on_a_loop, serving, static_cluster, tcp_listener, to_cluster


def hello(name: str | None = "api.example.com") -> bytes:
    """A real ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    session = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake cannot be done by one side")


def chain(cluster: str, **match: Any) -> FilterChain:
    return FilterChain(
        filter_chain_match=FilterChainMatch(**match), filters=(Filter(typed_config=to_cluster(cluster)),)
    )


def listener(*inspectors: Extension, timeout: float = 0.0, proceeds: bool = True) -> Listener:
    return Listener(
        name="test",
        address=address(0),
        listener_filters=tuple(ListenerFilter(typed_config=each) for each in inspectors),
        listener_filters_timeout=timedelta(seconds=timeout),
        continue_on_listener_filters_timeout=proceeds,
        filter_chains=(
            chain("named", server_names=("api.example.com",)),
            chain("http", transport_protocol="raw_buffer", application_protocols=("http/1.1", "h2c")),
        ),
        default_filter_chain=FilterChain(name="rest", filters=(Filter(typed_config=to_cluster("rest")),)),
    )


@on_a_loop
async def test_a_hello_in_three_pieces_is_understood_and_passed_on_whole() -> None:
    upstream = Upstream()
    async with serving((listener(TlsInspector()),), static_cluster("named", upstream.port)) as world:
        client = await world.client()
        data = hello()
        for piece in (data[:3], data[3:100], data[100:]):
            await client.send(piece)
        server = await upstream.accept()
        assert await server.receive(len(data)) == data
        client.close()
        server.close()
        info = await world.ended.get()
    assert info.requested_server_name == "api.example.com"
    upstream.close()


CASES = (
    (b"GET / HTTP/1.1\r\n", "http"),
    (b"GET / HTTP/1.0\r\n", "rest"),
    (b"\x00\x01hello\n", "rest"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http"),
)


@on_a_loop
async def test_the_first_line_decides_the_chain() -> None:
    upstream = Upstream()
    clusters = [static_cluster(name, upstream.port) for name in ("http", "rest", "named")]
    async with serving((listener(TlsInspector(), HttpInspector()),), *clusters) as world:
        for data, cluster in CASES:
            client = await world.client()
            await client.send(data)
            server = await upstream.accept()
            assert await server.receive(len(data)) == data
            client.close()
            server.close()
            assert (await world.ended.get()).upstream_cluster_name == cluster
    upstream.close()


@on_a_loop
async def test_a_blocked_hello_is_answered_with_a_reset() -> None:
    async with serving((listener(TlsInspector()),), static_cluster("named")) as world:
        client = await world.client()
        await client.send(hello())
        assert await client.ending() == "rst"
        assert (await world.ended.get()).response_flags == ["UH"]


@on_a_loop
async def test_a_client_that_ends_before_it_has_spoken_leaves_no_line() -> None:
    async with serving((listener(TlsInspector()),), static_cluster("rest")) as world:
        for early in (b"", hello()[:50]):
            client = await world.client()
            await client.send(early)
            client.finish()
            assert await client.ending() == ("rst" if early else "fin")
        assert not world.server.handler.live
        assert world.ended.empty()


@on_a_loop
async def test_silence_goes_to_the_default_chain_after_the_timeout() -> None:
    async with serving((listener(HttpInspector(), timeout=0.05),), static_cluster("rest")) as world:
        client = await world.client()
        assert await client.ending() == "fin"
        assert (await world.ended.get()).upstream_cluster_name == "rest"


@on_a_loop
async def test_silence_ends_the_connection_where_nothing_continues() -> None:
    silent = listener(HttpInspector(), timeout=0.05, proceeds=False)
    async with serving((silent,), static_cluster("rest")) as world:
        client = await world.client()
        assert await client.ending() == "fin"
        assert world.ended.empty()


@on_a_loop
async def test_a_first_line_without_end_is_cut_off() -> None:
    async with serving((listener(HttpInspector()),), static_cluster("rest")) as world:
        client = await world.client()
        await client.send(b"GET /" + b"a" * 70_000)
        assert await client.ending() == "rst"
        assert world.ended.empty()


@pytest.mark.parametrize("has_inspector", [True, False], ids=["with an inspector", "without"])
@on_a_loop
async def test_what_captures_a_connection_looks_at_it_before_it_is_handed_over(*, has_inspector: bool) -> None:
    """ActiveTcpSocket::newConnection: a listener's own filters come first, then the one of the destination."""

    upstream = Upstream()
    inspector = (ListenerFilter(typed_config=HttpInspector()),) if has_inspector else ()
    captures = Listener(
        name="virtualOutbound", address=address(15001), use_original_dst=True, bind_to_port=False,
        listener_filters=inspector,
    )  # fmt: skip
    target = tcp_listener(to_cluster("up"), port=9000, bind_to_port=False)
    async with serving((captures, target), static_cluster("up", upstream.port)) as world:
        client = await captured(world, ("127.0.0.1", 9000))
        arrival = asyncio.ensure_future(upstream.accept())
        await asyncio.wait({arrival}, timeout=0.2 if has_inspector else 5)
        assert arrival.done() is not has_inspector
        await client.send(b"hello")
        await client.send(b" world\n")
        server = await arrival
        assert await server.receive(12) == b"hello world\n"
        client.close()
        server.close()
        await world.ended.get()


async def captured(world: World, destination: tuple[str, int]) -> Client:
    """The client of a connection that was meant for ``destination``."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        client = socket.create_connection(door.getsockname())
        accepted, remote = door.accept()
    for each in (client, accepted):
        each.setblocking(False)
    snapshot, handler = world.server.snapshot, world.server.handler
    assert snapshot is not None
    handler.dispatch(
        handler.admit(accepted, remote, destination, "capture"), snapshot.find(*destination), snapshot.node
    )
    return Client(client)
