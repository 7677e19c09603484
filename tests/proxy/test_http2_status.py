"""A status below 100 on its way to a client of HTTP/2, as a real Envoy 1.39.3 passed it on."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest

from .http_world import http_listener, read_head, route
from .proxy_world import Client, Upstream, on_a_loop, serving, static_cluster
from .test_http2_back_pressure import ask
from .test_http2_upgrades import Http2Server, speaking_http2


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        pytest.param("099", b"99", id="HTTP/1 with a zero"),
        pytest.param("7", b"7", id="HTTP/1"),
    ],
)
@on_a_loop
async def test_status_from_http1_is_a_number(sent: str, shown: bytes) -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client, connection = await asking(await world.client())
        server = await upstream.accept()
        await read_head(server)
        await server.send(f"HTTP/1.1 {sent} X\r\ncontent-length: 0\r\n\r\n".encode())
        assert await status_shown(client, connection) == shown


@on_a_loop
async def test_status_from_http2_keeps_its_zeros() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), speaking_http2(upstream.port)) as world:
        client, connection = await asking(await world.client())
        server = Http2Server(await upstream.accept())
        await server.request()
        server.h2.send_headers(server.stream_id, [(":status", "099")], end_stream=True)
        await server.flush()
        assert await status_shown(client, connection) == b"099"


async def asking(client: Client) -> tuple[Client, h2.connection.H2Connection]:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    connection.initiate_connection()
    await ask(client, connection)
    return client, connection


async def status_shown(client: Client, connection: h2.connection.H2Connection) -> bytes:
    while True:
        for event in connection.receive_data(await client.receive(1)):
            if isinstance(event, h2.events.ResponseReceived):
                return bytes(dict(event.headers)[b":status"])
