"""The same bytes to a real Envoy, which runs our bootstrap, and to the proxy itself: both ends see the same.

Skipped where no Envoy 1.39 is found: ``ENVOY_BIN``, or ``envoy`` in PATH.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sandbox.cli.loading import compile_for
from sandbox.envoy_config.bootstrap import bootstrap, static_cluster, static_listener
from sandbox.plan import NodePlan
from sandbox.settings import Settings
from tests.proxy.proxy_world import closed_port, serving

ENVOY = os.environ.get("ENVOY_BIN") or shutil.which("envoy")
pytestmark = pytest.mark.skipif(ENVOY is None, reason="no Envoy: ENVOY_BIN or PATH")
MESH = Path(__file__).with_name("against_envoy") / "mesh.yaml"
QUIET = 0.15
"""Seconds without a byte after which both sides have said what they have to say."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Secret: 1\r\nDate: x\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def ask(host: str = "plain", path: str = "/", *fields: str, method: str = "GET", body: str = "") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}.example.com", *fields, "", body]).encode("latin-1")


CHUNKED = ("Transfer-Encoding: chunked",)
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")
PREFLIGHT = ("Origin: http://a", "Access-Control-Request-Method: PUT")
CASES: dict[str, tuple[bytes, tuple[bytes, ...]]] = {
    "a request and its answer": (ask("plain", "/a?b=c", "X-A: 1", "x-a: 2", "Cookie: a", "Cookie: b"), (OK,)),
    "nominated and hop-by-hop fields": (ask("plain", "/", "Connection: x-a", "X-A: 1", "TE: trailers"), (OK,)),
    "conditions are joined": (ask("plain", "/", "If-Match: a", "If-Match: b"), (OK,)),
    "internal fields": (ask("plain", "/", "x-envoy-retry-on: 5xx", "x-envoy-attempt-count: 7"), (OK,)),
    "a path in need of order": (ask("plain", "/a/../b//c/%7e?x#y"), (OK,)),
    "two requests at once": (ask() + ask("plain", "/2"), (OK, OK)),
    "chunks and trailers": (ask("plain", "/", *CHUNKED, method="POST", body="3;x\r\nabc\r\n0\r\nX: y\r\n\r\n"), (OK,)),
    "a trailer with a control character": (ask("plain", "/", *CHUNKED, method="POST", body="0\r\nX: \x01\r\n\r\n"), ()),
    "length and chunks": (ask("plain", "/", "Content-Length: 3", *CHUNKED, method="POST"), ()),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", ()),
    "HTTP/1.0": (b"GET / HTTP/1.0\r\nHost: plain.example.com\r\n\r\n", ()),
    "too many fields": (ask("plain", "/", *(f"x-{number}: 1" for number in range(100))), ()),
    "an unknown host": (ask("nobody"), ()),
    "an answer without length": (ask(), (b"HTTP/1.1 200 OK\r\n\r\nabc",)),
    "an early hint": (ask(), (b"HTTP/1.1 103 X\r\nLink: a\r\n\r\nHTTP/1.1 100 X\r\n\r\n" + OK,)),
    "a broken status line": (ask(), (b"HTTP/1.1 abc OK\r\n\r\n",)),
    "repeated fields of an answer": (
        ask(),
        (b"HTTP/1.1 200 OK\r\nVary: a\r\nVary: b\r\nX: 1\r\nX: 2\r\nContent-Length: 0\r\n\r\n",),
    ),
    "no content with a body": (ask(), (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",)),
    "too early": (ask(), (b"HTTP/1.1 425 X\r\nContent-Length: 0\r\n\r\n",)),
    "a head request": (ask("plain", "/", method="HEAD"), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",)),
    "an upgrade with early payload": (ask("plain", "/", *UPGRADE, body="early"), (SWITCHING,)),
    "an upgrade that is refused": (ask("plain", "/", *UPGRADE), (OK,)),
    "another upgrade": (ask("plain", "/", "Connection: Upgrade", "Upgrade: foo"), ()),
    "tried again": (ask("retried", "/", "Content-Length: 2", method="POST", body="hi"), (BUSY, OK)),
    "tried in vain": (ask("retried"), (BUSY, BUSY, BUSY)),
    "not tried again after a 1xx": (ask("retried"), (b"HTTP/1.1 100 X\r\n\r\n" + BUSY,)),
    "an upgrade tried again": (ask("retried", "/", *UPGRADE, body="early"), (BUSY, SWITCHING)),
    "a request and an answer changed": (
        ask("changed", "/old/a?b", "x-gone: 1", "x-added: b", "Content-Length: 2", method="POST", body="hi"),
        (OK,),
    ),
    "a route that nothing matches": (ask("changed", "/other"), ()),
    "a redirect": (ask("moved", "/a?b=c"), ()),
    "a direct response": (ask("answered"), ()),
    "a direct response to gRPC": (ask("answered", "/", "Content-Type: application/grpc"), ()),
    "an abort": (ask("aborted"), ()),
    "an abort of gRPC": (ask("aborted", "/", "Content-Type: application/grpc"), ()),
    "a preflight": (ask("shared", "/", *PREFLIGHT, method="OPTIONS"), ()),
    "a cross-origin request": (ask("shared", "/", "Origin: http://a"), (OK,)),
    "a match": (ask("matched", "/?q=bcd", "x-a: aaa"), (OK,)),
    "no match": (ask("matched", "/?q=bcd", "x-a: aaa", "x-no: 1"), ()),
    "too slow": (ask("hurried"), (b"",)),
}  # fmt: skip


@dataclass
class Seen:
    """What both ends of a case saw; times, dates and identifiers are masked."""

    client: bytes = b""
    upstream: list[bytes] = field(default_factory=list)


def masked(data: bytes) -> bytes:
    data = re.sub(rb"(?m)^(date|x-envoy-upstream-service-time): [^\r]+", rb"\1: -", data)
    return re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"UUID", data)


class Upstream:
    """Answers requests of the case at hand, whichever connection they come by, with its answers in turn."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._answers: list[bytes] = []
        self._received: list[bytearray] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def play(self, *answers: bytes) -> None:
        self._answers, self._received = list(answers), []

    def received(self) -> list[bytes]:
        return [masked(bytes(data)) for data in self._received if data]

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        kept, case, pending = bytearray(), self._received, b""
        case.append(kept)
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                if self._received is not case:
                    kept, case = bytearray(), self._received
                    case.append(kept)
                kept += data
                pending += data
                if b"\r\n\r\n" in pending and self._answers:
                    pending, answer = b"", self._answers.pop(0)
                    connection.sendall(answer)
                    if answer.endswith(b"\r\n\r\nabc"):
                        return  # an answer without length ends with its connection


def exchange(port: int, upstream: Upstream, request: bytes, answers: tuple[bytes, ...]) -> Seen:
    """Plays one case through the proxy at a port."""
    upstream.play(*answers)
    seen = Seen()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(1)
        client.sendall(request)
        try:
            while data := client.recv(65536):
                seen.client += data
                client.settimeout(QUIET)
        except TimeoutError:
            pass
    seen.client = masked(seen.client)
    seen.upstream = upstream.received()
    return seen


@dataclass(frozen=True)
class Meeting:
    """A plan for both proxies, its upstream, and what Envoy made of every case."""

    plan: NodePlan
    upstream: Upstream
    envoys: dict[str, Seen]


@pytest.fixture(scope="module")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meeting]:
    assert ENVOY is not None
    directory, upstream, port = tmp_path_factory.mktemp("mesh"), Upstream(), closed_port()
    text = MESH.read_text().replace("PROXY_PORT", str(port)).replace("UPSTREAM_PORT", str(upstream.port))
    (directory / "mesh.yaml").write_text(text)
    whole = compile_for(Settings(files=(str(directory),), workload="default/client")).plan
    door = next(listener for listener in whole.listeners if listener.name == f"127.0.0.1_{port}")
    plan = replace(whole, listeners=(static_listener(door, whole),))
    (directory / "envoy.json").write_text(json.dumps(bootstrap(plan, lambda _: None)))
    command = [ENVOY, "-c", str(directory / "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"]
    process = subprocess.Popen(command)
    try:
        until_open(port)
        envoys = {name: exchange(port, upstream, *case) for name, case in CASES.items()}
    finally:
        process.terminate()
        process.wait(10)
    yield Meeting(plan, upstream, envoys)
    upstream.close()


def until_open(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("Envoy did not start")


@pytest.mark.parametrize("name", CASES)
def test_both_ends_see_what_envoy_shows_them(name: str, meeting: Meeting) -> None:
    plan = meeting.plan

    async def play() -> Seen:
        clusters = [static_cluster(cluster) for cluster in plan.clusters.values()]
        async with serving(plan.listeners, *clusters) as world:
            return await asyncio.to_thread(exchange, world.port, meeting.upstream, *CASES[name])

    assert asyncio.run(play()) == meeting.envoys[name]
