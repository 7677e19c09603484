"""Pings to HTTP/2 upstreams, as a real Envoy sends them for ``http2KeepAlive``."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.plan.cluster import Cluster, ExplicitHttpConfig, HttpProtocolOptions
from sandbox.plan.http_connection_manager import Http2ProtocolOptions, KeepaliveSettings
from sandbox.proxy.cluster_runtime import HTTP_OPTIONS
from sandbox.wire import http2_frames as frames

from .http_world import get, http_listener, read_message, route
from .proxy_world import Client, Upstream, on_a_loop, serving, static_cluster

PING_BYTES = 8


def pinged_cluster(port: int, timeout: float) -> Cluster:
    keepalive = KeepaliveSettings(interval=timedelta(milliseconds=20), timeout=timedelta(seconds=timeout))
    http2 = ExplicitHttpConfig(http2_protocol_options=Http2ProtocolOptions(connection_keepalive=keepalive))
    options = {HTTP_OPTIONS: HttpProtocolOptions(explicit_http_config=http2)}
    return static_cluster("up", port, typed_extension_protocol_options=options)


async def next_ping(server: Client) -> bytes:
    """The data of the next ping, whatever comes before it."""
    while True:
        head = await server.receive(frames.FRAME_HEAD_BYTES)
        payload = await server.receive(int.from_bytes(head[:3], "big"))
        if head[3] == frames.PING and not head[4] & frames.ACK:
            return payload


async def accept(upstream: Upstream) -> Client:
    server = await upstream.accept()
    await server.receive(len(frames.PREFACE))
    await server.send(frames.settings_frame(()))
    return server


@on_a_loop
async def test_an_upstream_that_does_not_answer_is_left() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), pinged_cluster(upstream.port, 0.03)) as world:
        client = await world.client()
        await client.send(get())
        server = await accept(upstream)
        assert len(await next_ping(server)) == PING_BYTES
        assert (await read_message(client)).startswith(b"HTTP/1.1 503")
        ended = await world.ended.get()
    assert ended.response_flags == ["UC"]
    assert ended.response_code_details == "upstream_reset_before_response_started{connection_termination}"


@pytest.mark.parametrize("answers", [True, False], ids=["with an answer", "with other frames"])
@on_a_loop
async def test_an_upstream_that_is_heard_is_asked_on_or_waited_for(answers: bool) -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), pinged_cluster(upstream.port, 1 if answers else 0.1)) as world:
        client = await world.client()
        await client.send(get())
        server = await accept(upstream)
        for _ in range(2 if answers else 1):
            data = await next_ping(server)
            await server.send(frames.frame(frames.PING, frames.ACK if answers else 0, 0, data))
        await server.send(frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, b"\x88"))
        assert (await read_message(client)).startswith(b"HTTP/1.1 200")
