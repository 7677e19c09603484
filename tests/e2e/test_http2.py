"""HTTP/2 and gRPC through the whole sandbox: what the upstream gets, what the client gets, what the log says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from sandbox.app import Sandbox
from sandbox.settings import HostPort, Settings, StaticMap

MESH = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogEncoding: JSON
    outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: grpc, namespace: default}}
spec:
  hosts: [grpc.example.com]
  addresses: [203.0.113.7]
  ports: [{{number: 80, name: grpc, protocol: GRPC, targetPort: {port}}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
"""


class Upstream(asyncio.Protocol):
    """Answers every request with a message and gRPC trailers; keeps what it was sent."""

    def __init__(self, seen: list[dict[bytes, bytes]]) -> None:
        self._seen = seen
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._h2.initiate_connection()
        transport.write(self._h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self._seen.append(dict(event.headers))
            elif isinstance(event, h2.events.StreamEnded):
                self._h2.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                self._h2.send_data(event.stream_id, b"pong")
                self._h2.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
        self._transport.write(self._h2.data_to_send())


async def call(address: HostPort, authority: str) -> list[Any]:
    """One gRPC request; the events of its stream."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    fields = [(":method", "POST"), (":scheme", "http"), (":path", "/pkg.Svc/M"), (":authority", authority)]
    client.send_headers(1, [*fields, ("content-type", "application/grpc"), ("te", "trailers")])
    client.send_data(1, b"ping", end_stream=True)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(client.data_to_send())
    events: list[Any] = []
    while not any(isinstance(event, h2.events.StreamEnded) for event in events):
        events += client.receive_data(await reader.read(65536))
        writer.write(client.data_to_send())
    writer.close()
    return events


Play = Callable[[HostPort], Awaitable[list[Any]]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Play], tuple[list[Any], list[dict[bytes, bytes]], dict[str, Any]]]:
    """Runs a call; its events, what the upstream saw, and the log line."""

    @asynccontextmanager
    async def world(seen: list[dict[bytes, bytes]]) -> AsyncIterator[HostPort]:
        server = await asyncio.get_running_loop().create_server(lambda: Upstream(seen), "127.0.0.1", 0)
        (tmp_path / "mesh.yaml").write_text(MESH.format(port=server.sockets[0].getsockname()[1]))
        door = StaticMap(HostPort("127.0.0.1", 0), HostPort("203.0.113.7", 80))
        settings = Settings(
            files=(str(tmp_path / "mesh.yaml"),), proxy=None, maps=(door,), access_log=str(tmp_path / "log")
        )
        async with server, Sandbox(settings) as sandbox:
            yield next(address for name, address in sandbox.addresses.items() if name.startswith("map"))

    def run(play: Play) -> tuple[list[Any], list[dict[bytes, bytes]], dict[str, Any]]:
        seen: list[dict[bytes, bytes]] = []

        async def scenario() -> list[Any]:
            async with world(seen) as address:
                return await play(address)

        events = asyncio.run(scenario())
        return events, seen, json.loads((tmp_path / "log").read_text().splitlines()[0])

    return run


def test_grpc_call_goes_through_with_its_trailers(play: Any) -> None:
    events, seen, line = play(lambda address: call(address, "grpc.example.com"))

    data = b"".join(event.data for event in events if isinstance(event, h2.events.DataReceived))
    trailers = next(event.headers for event in events if isinstance(event, h2.events.TrailersReceived))
    assert (data, list(trailers)) == (b"pong", [(b"grpc-status", b"0")])
    assert (seen[0][b":path"], seen[0][b"te"]) == (b"/pkg.Svc/M", b"trailers")
    assert (line["protocol"], line["response_code"]) == ("HTTP/2", 200)
    assert line["upstream_cluster"] == "outbound|80||grpc.example.com"


def test_blocked_grpc_call_is_told_in_grpcs_words(play: Any) -> None:
    events, seen, line = play(lambda address: call(address, "unknown.example.com"))

    headers = dict(next(event.headers for event in events if isinstance(event, h2.events.ResponseReceived)))
    assert (headers[b":status"], headers[b"grpc-status"]) == (b"200", b"14")
    assert seen == []
    assert (line["route_name"], line["response_code_details"]) == ("block_all", "direct_response")
