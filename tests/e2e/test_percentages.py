"""Percentages by many real calls with a fixed seed: each share within what chance allows, drawn by itself."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.access_log.stream_info import StreamInfo
from sandbox.app import Sandbox
from sandbox.settings import HostPort, ResolveOverride, Settings, parse_static_map

CALLS = 1500
DEVIATIONS = 4.5
"""Chance leaves so many standard deviations once in 150,000 runs; with a fixed seed, never."""
HOSTS = ("api", "canary", "recorder")
ENTRY = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example.com]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  location: MESH_EXTERNAL
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1, ports: {{http: {port}}}}}]
---
"""
ROUTES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: api}}
spec:
  hosts: [api.example.com]
  http:
  - fault:
      delay: {{{delay}, fixedDelay: 1ms}}
      abort: {{{abort}, httpStatus: 418}}
    mirrors: [{{destination: {{host: recorder.example.com}}, percentage: {{value: 20}}}}]
    route:
    - {{destination: {{host: api.example.com}}, weight: 75}}
    - {{destination: {{host: canary.example.com}}, weight: 25}}
"""
PERCENTAGES = {
    "percentage": ("percentage: {value: 40}", "percentage: {value: 30}", 0.4, 0.3),
    "percent of delays, deprecated": ("percent: 40", "percentage: {value: 30}", 0.4, 0.3),
    "fractions of a percent": ("percentage: {value: 1.5}", "percentage: {value: 0.5}", 0.015, 0.005),
}


class Recorder:
    """A server that answers everything, and counts the requests."""

    def __init__(self) -> None:
        self.arrived = 0
        self._served: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._served.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.arrived += 1
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        writer.close()
        await writer.wait_closed()

    async def all_served(self) -> None:
        """Every connection has ended."""
        await asyncio.gather(*filter(None, self._served))


@dataclass(frozen=True)
class Seen:
    """The calls in their order, and how many requests came to the server of all hosts."""

    calls: list[tuple[str, ...]]
    arrived: int

    def share(self, holds: Callable[[tuple[str, ...]], bool]) -> int:
        return sum(map(holds, self.calls))


@pytest.mark.parametrize(("delay", "abort", "delayed", "aborted"), PERCENTAGES.values(), ids=list(PERCENTAGES))
def test_each_share_is_what_was_written(tmp_path: Path, delay: str, abort: str, delayed: float, aborted: float) -> None:
    seen = asyncio.run(many_calls(tmp_path, ROUTES.format(delay=delay, abort=abort), seed=1))
    assert about(seen.share(lambda call: "DI" in call), CALLS, delayed)
    assert about(seen.share(lambda call: "FI" in call), CALLS, aborted)
    assert about(seen.share(lambda call: "DI" in call and "FI" in call), CALLS, delayed * aborted)
    assert about(seen.share(lambda call: "canary.example.com" in call[0]), CALLS, 0.25)
    forwarded = seen.share(lambda call: "FI" not in call)
    assert about(seen.arrived - forwarded, forwarded, 0.2), "a mirrored request arrives twice"


def test_a_seed_repeats_every_draw(tmp_path: Path) -> None:
    routes = ROUTES.format(delay="percent: 40", abort="percentage: {value: 30}")
    first, again, other = (asyncio.run(many_calls(tmp_path, routes, seed, calls=200)) for seed in (7, 7, 8))
    assert first == again
    assert first.calls != other.calls


def about(hits: int, of: int, share: float) -> bool:
    return abs(hits - of * share) <= DEVIATIONS * math.sqrt(of * share * (1 - share))


async def many_calls(directory: Path, routes: str, seed: int, calls: int = CALLS) -> Seen:
    """One after another over one connection, so that the draws have an order."""
    recorder = Recorder()
    server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = directory / "mesh.yaml"
    config.write_text("".join(ENTRY.format(name=name, port=port) for name in HOSTS) + routes)
    settings = Settings(
        files=(str(config),),
        proxy=None,
        maps=(parse_static_map("127.0.0.1:0=api.example.com:80"),),
        resolve=(ResolveOverride("api.example.com", None, "192.0.2.1", 80),),
        access_log="/dev/null",
        seed=seed,
    )
    ended: list[StreamInfo] = []
    async with server:
        async with Sandbox(settings) as sandbox:
            sandbox.subscribe(ended.append)
            await call_often(next(iter(sandbox.addresses.values())), calls)
        await recorder.all_served()
    return Seen([(stream.upstream_cluster_name or "", *stream.response_flags) for stream in ended], recorder.arrived)


async def call_often(door: HostPort, calls: int) -> None:
    reader, writer = await asyncio.open_connection(door.host, door.port)
    for _ in range(calls):
        writer.write(b"GET / HTTP/1.1\r\nhost: api.example.com\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()
    await writer.wait_closed()
