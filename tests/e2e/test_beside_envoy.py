"""The same HTTP/2 bytes to the sandbox and to a real Envoy with the exported bootstrap: both say the same."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import hpack
import pytest

from sandbox.app import Sandbox
from sandbox.settings import Settings
from sandbox.wire import http2_frames as frames

ENVOY = os.environ.get("ENVOY_BIN") or shutil.which("envoy")
pytestmark = pytest.mark.skipif(ENVOY is None, reason="no Envoy: put it in PATH, or name it in ENVOY_BIN")

MESH = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogFormat: |
      %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%
    outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: any, namespace: default}}
spec:
  hosts: [any.example.com]
  ports: [{{number: {port}, name: http, protocol: HTTP}}]
  resolution: STATIC
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: bound, namespace: default}}
spec:
  egress:
  - port: {{number: {port}, name: http, protocol: HTTP}}
    bind: 127.0.0.1
    captureMode: NONE
    hosts: ["./*"]
"""
LAST_STREAM = 101


def head(*extra: tuple[str, str], path: str = "/", method: str = "GET") -> bytes:
    fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "blocked.example.org"), *extra]
    return hpack.Encoder().encode(fields)


def request(block: bytes, flags: int = frames.END_HEADERS | frames.END_STREAM) -> bytes:
    return frames.frame(frames.HEADERS, flags, 1, block)


OPEN = request(head(method="POST"), frames.END_HEADERS)
CASES = {
    "blocked": request(head()),
    "blocked, payload follows": OPEN,
    "gRPC": request(head(("content-type", "application/grpc"))),
    "a space in the path": request(head(path="/a b")),
    "a path without its slash": request(head(path="a")),
    "an upper case name": request(head(("X-Up", "1"))),
    "a field of the connection": request(head(("connection", "close"))),
    "a length, and no payload": request(head(("content-length", "5"))),
    "broken compression": request(b"\xc8"),
    "payload without a head": frames.frame(frames.DATA, 0, 1, b"x"),
    "a short PING": frames.frame(frames.PING, 0, 0, b"abc"),
    "a push": frames.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2"),
    "no more room": frames.window_update(0, 0),
    "too many fields": request(head(*((f"x-{n}", "1") for n in range(120)))),
    "a stray CONTINUATION": frames.frame(frames.CONTINUATION, 4, 1, head()),
}


def shown(data: bytes) -> list[Any]:
    """Frames, stream by stream: fields without their date; what is told of windows may come at any time."""
    decoder = hpack.Decoder()
    out: list[Any] = []
    while len(data) >= frames.FRAME_HEAD_BYTES:
        end = frames.FRAME_HEAD_BYTES + int.from_bytes(data[:3], "big")
        kind, flags, stream, payload = data[3], data[4], int.from_bytes(data[5:9], "big"), data[9:end]
        data = data[end:]
        if kind == frames.HEADERS:
            fields = [(name, value) for name, value in decoder.decode(payload, raw=True) if name != b"date"]
            out.append((kind, flags, stream, fields))
        elif kind not in (frames.SETTINGS, frames.WINDOW_UPDATE):
            out.append((kind, flags, stream, payload))
    return sorted(out, key=lambda frame: frame[2])


async def play(port: int, data: bytes) -> list[Any]:
    """Sends ``data`` once the connection stands; what comes back until a last request is answered, or the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(frames.PREFACE + frames.settings_frame(()))
    received = await reader.readexactly(frames.FRAME_HEAD_BYTES + 24 + frames.FRAME_HEAD_BYTES)
    last = frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, LAST_STREAM, head(path="/last"))
    writer.write(data + last)
    while not any(stream == LAST_STREAM for _, _, stream, _ in shown(received)):
        part = await reader.read(65536)
        if not part:
            break
        received += part
    writer.close()
    return shown(received)


def mesh_of(port: int) -> str:
    """A mesh with one listener, bound to a port."""
    return MESH.format(port=port)


def config(directory: Path, mesh: Callable[[int], str]) -> tuple[Path, int]:
    """The file of a mesh, and the port of its listener."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    directory.mkdir()
    path = directory / "mesh.yaml"
    path.write_text(mesh(port))
    return path, port


@asynccontextmanager
async def sandbox(directory: Path, mesh: Callable[[int], str] = mesh_of) -> AsyncIterator[int]:
    path, port = config(directory, mesh)
    async with Sandbox(Settings(files=(str(path),), proxy=None, access_log=str(directory / "log"))):
        yield port


@contextmanager
def envoy(directory: Path, mesh: Callable[[int], str] = mesh_of) -> Iterator[int]:
    path, port = config(directory, mesh)
    export = [sys.executable, "-m", "sandbox", "export", "envoy", "-f", str(path)]
    bootstrap = json.loads(subprocess.run(export, capture_output=True, check=True).stdout)
    listeners = bootstrap["static_resources"]["listeners"]
    bootstrap["static_resources"]["listeners"] = [each for each in listeners if not each["name"].startswith("virtual")]
    (directory / "envoy.json").write_text(json.dumps(bootstrap))
    options = ["--use-dynamic-base-id", "--concurrency", "1", "--file-flush-interval-msec", "20", "-l", "error"]
    command = [str(ENVOY), "-c", str(directory / "envoy.json"), *options]
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield port
        finally:
            process.terminate()


async def answered(port: int) -> list[list[Any]]:
    """All cases at once, as soon as somebody listens."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
    return await asyncio.gather(*(play(port, data) for data in CASES.values()))


def lines(directory: Path) -> list[str]:
    return sorted(line for line in (directory / "log").read_text().splitlines() if line)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[Any]], list[list[Any]]]:
    """The answers of the sandbox, and Envoy's."""
    directory = tmp_path_factory.mktemp("beside")

    async def ours() -> list[list[Any]]:
        async with sandbox(directory / "ours") as port:
            return await answered(port)

    with envoy(directory / "envoy") as port:
        theirs = asyncio.run(asyncio.wait_for(answered(port), 30))
    return directory, asyncio.run(asyncio.wait_for(ours(), 30)), theirs


@pytest.mark.parametrize("case", list(CASES))
def test_client_is_told_the_same(both: tuple[Path, list[list[Any]], list[list[Any]]], case: str) -> None:
    _, ours, theirs = both
    number = list(CASES).index(case)

    assert ours[number] == theirs[number]


def test_log_says_the_same(both: tuple[Path, list[list[Any]], list[list[Any]]]) -> None:
    directory, _, _ = both

    assert lines(directory / "ours") == lines(directory / "envoy")
