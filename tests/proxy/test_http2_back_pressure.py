"""A client that does not read its HTTP/2 connection holds every upstream back, whenever its request began."""

from __future__ import annotations

import asyncio

import h2.config
import h2.connection
from h2.settings import SettingCodes

from tests.proxy.http_world import http_listener, read_head, route
from tests.proxy.proxy_world import Client, Upstream, on_a_loop, serving, static_cluster

LONG = 24 << 20
"""More than all buffers on the way hold."""
STALLED_SECONDS = 0.5
FIELDS = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")]


async def ask(client: Client, h2_client: h2.connection.H2Connection) -> None:
    h2_client.send_headers(h2_client.get_next_available_stream_id(), FIELDS, end_stream=True)
    await client.send(h2_client.data_to_send())


async def is_held_back(upstream: Upstream) -> bool:
    server = await upstream.accept()
    await read_head(server)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % LONG
    sending = asyncio.ensure_future(server.send(head + bytes(LONG)))
    await asyncio.wait({sending}, timeout=STALLED_SECONDS)
    is_done = sending.done()
    sending.cancel()
    return not is_done


@on_a_loop
async def test_a_response_that_begins_while_the_client_does_not_read_is_held_back() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client, h2_client = await world.client(), h2.connection.H2Connection(h2.config.H2Configuration())
        h2_client.initiate_connection()
        h2_client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 30})
        h2_client.increment_flow_control_window(1 << 30)

        await ask(client, h2_client)
        assert await is_held_back(upstream)
        await ask(client, h2_client)
        assert await is_held_back(upstream)

        client.close()
    upstream.close()
