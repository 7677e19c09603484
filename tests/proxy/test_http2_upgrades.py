"""HTTP/1 requests on their way to an upstream that speaks HTTP/2: upgrades (RFC 8441), and those that break off."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest
from h2.settings import SettingCodes

from sandbox.plan.cluster import Cluster, ExplicitHttpConfig, HttpProtocolOptions
from sandbox.plan.http_connection_manager import Http2ProtocolOptions, UpgradeConfig
from sandbox.proxy.cluster_runtime import HTTP_OPTIONS

from .http_world import get, http_listener, read_head, route
from .proxy_world import Client, Upstream, on_a_loop, serving, static_cluster

UPGRADES = (UpgradeConfig(upgrade_type="websocket"),)
ASKING = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")


def speaking_http2(port: int) -> Cluster:
    http2 = ExplicitHttpConfig(http2_protocol_options=Http2ProtocolOptions())
    options = HttpProtocolOptions(explicit_http_config=http2)
    return static_cluster("up", port, typed_extension_protocol_options={HTTP_OPTIONS: options})


class Http2Server:
    """The upstream's side of one connection."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self.h2.local_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self.h2.initiate_connection()
        self.headers: dict[bytes, bytes] = {}
        self.stream_id = 0

    async def flush(self) -> None:
        await self.client.send(self.h2.data_to_send())

    async def receive(self, kind: type[h2.events.Event]) -> h2.events.Event:
        """The next event of this kind."""
        while True:
            for event in self.h2.receive_data(await self.client.receive(1)):
                if isinstance(event, kind):
                    return event

    async def request(self) -> None:
        await self.flush()
        asked = await self.receive(h2.events.RequestReceived)
        assert isinstance(asked, h2.events.RequestReceived)
        self.headers, self.stream_id = dict(asked.headers), asked.stream_id


@pytest.mark.parametrize("status", ["200", "304", "404"])
@on_a_loop
async def test_an_upgrade_becomes_a_connect_with_a_protocol(status: str) -> None:
    upstream = Upstream()
    listener = http_listener(route(), upgrade_configs=UPGRADES)
    async with serving((listener,), speaking_http2(upstream.port)) as world:
        client = await world.client()
        await client.send(get("/ws", *ASKING))
        server = Http2Server(await upstream.accept())
        await server.request()
        wanted = {b":method": b"CONNECT", b":protocol": b"websocket", b":path": b"/ws", b":scheme": b"http"}
        assert wanted.items() <= server.headers.items()
        assert b"upgrade" not in server.headers
        answer = [(":status", status), ("content-type", "text/x")]
        server.h2.send_headers(server.stream_id, answer, end_stream=status != "200")
        await server.flush()
        head = await read_head(client)
        if status != "200":
            assert head.startswith(f"HTTP/1.1 {status} ".encode())
            assert b"\r\ncontent-type: text/x\r\n" in head
            return
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"upgrade: websocket\r\n" in head
        assert b"connection: Upgrade\r\n" in head
        await client.send(b"frame")
        said = await server.receive(h2.events.DataReceived)
        assert isinstance(said, h2.events.DataReceived)
        assert said.data == b"frame"
        server.h2.send_data(server.stream_id, b"answer")
        await server.flush()
        assert await client.receive(6) == b"answer"


@on_a_loop
async def test_what_a_client_said_before_its_request_broke_is_passed_on() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), speaking_http2(upstream.port)) as world:
        client = await world.client()
        await client.send(get("/"))
        server = Http2Server(await upstream.accept())
        await server.request()
        server.h2.send_headers(server.stream_id, [(":status", "204")], end_stream=True)
        await server.flush()
        assert (await read_head(client)).startswith(b"HTTP/1.1 204 ")
        body = "5\r\nhello\r\n0\r\nbad name: x\r\n\r\n"
        await client.send(get("/", "Transfer-Encoding: chunked", method="POST", body=body))
        await server.request()
        said = await server.receive(h2.events.DataReceived)
        assert isinstance(said, h2.events.DataReceived)
        assert said.data == b"hello"
        await server.receive(h2.events.StreamReset)
        assert (await read_head(client)).startswith(b"HTTP/1.1 400 ")
