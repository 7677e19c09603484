"""The same bytes to an egress gateway that is a real Envoy, and to ours: both ends and the log agree.

Skipped where no Envoy 1.39 is found: ``envoy`` in PATH.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.pki import Authority
from sandbox.wire import http2_frames as frames
from tests.conformance.test_against_envoy import BUSY, CHUNKED, OK, QUIET, UPGRADE, Upstream, ask, masked
from tests.e2e.gateway_under_policy import Envoys, Gateway, Ours, Ports
from tests.e2e.test_beside_envoy import head, shown

pytestmark = pytest.mark.skipif(shutil.which("envoy") is None, reason="needs Envoy in PATH")
MESH = Path(__file__).with_name("against_envoy") / "gateway.yaml"
PLAIN, UPWARD, MUTUAL, BYTES, REFUSED = PORTS = (
    "PLAIN_PORT",
    "UPWARD_PORT",
    "MUTUAL_PORT",
    "BYTES_PORT",
    "REFUSED_PORT",
)
HOST = "api.example.com"
LAST_HOP = re.compile(rb"(?m)^(x-forwarded-for: (?:[^\r]*,)?)[0-9.]+")


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a client sends to one of the gateway's ports, and the upstream's answers."""

    data: bytes
    port: str = PLAIN
    answers: tuple[bytes, ...] = (OK,)
    tls: bool = False
    sni: str = HOST
    alpn: tuple[str, ...] = ()
    certificate: bool = True
    most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    resets: bool = False
    """The client ends with a reset, where it would close."""
    lines: int = 1
    """That are logged."""


def http2(*blocks: bytes) -> bytes:
    return frames.PREFACE + frames.settings_frame(()) + b"".join(blocks)


def request(block: bytes, rest: bytes | None = b"") -> bytes:
    """HEADERS of stream 1, and what follows: nothing (the end), or payload in a frame; ``None``: it does not come."""
    if rest == b"":
        return frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, block)
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block)
    return opened if rest is None else opened + frames.frame(frames.DATA, frames.END_STREAM, 1, rest)


def plain(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


GRPC = ("Content-Type: application/grpc", "TE: trailers", "Content-Length: 0")
OF_OTHERS = ("X-Forwarded-For: 1.2.3.4, 5.6.7.8", "X-Forwarded-Proto: https", "X-Envoy-Internal: true",
             "X-Envoy-External-Address: 9.9.9.9", "X-Envoy-Retry-On: 5xx", "X-Envoy-Original-Path: /x",
             "X-Envoy-Decorator-Operation: x", "X-Forwarded-Client-Cert: By=liar",
             "X-Request-Id: 11111111-2222-4333-8444-555555555555")  # fmt: skip
ASKED = head(("x-forwarded-for", "1.2.3.4"), ("cookie", "a=1"), ("cookie", "b=2"))
UNAVAILABLE = b"HTTP/1.1 200 OK\r\ngrpc-status: 14\r\nContent-Length: 0\r\n\r\n"
CASES = {
    "a request": Case(data=ask("api", "/a?b")),
    "fields that only an edge may set": Case(data=ask("api", "/", *OF_OTHERS)),
    "a host with a port": Case(data=ask("api").replace(b"example.com", b"example.com:99")),
    "a host with a dot at its end": Case(data=ask("api").replace(b"example.com", b"example.com.")),
    "a host in upper case": Case(data=ask("API")),
    "an unknown host": Case(data=ask("nobody"), answers=()),
    "an unknown host, for gRPC": Case(data=ask("nobody", "/", *GRPC, method="POST"), answers=()),
    "no host": Case(data=b"GET / HTTP/1.1\r\n\r\n", answers=()),
    "HTTP/1.0": Case(data=b"GET / HTTP/1.0\r\nHost: api.example.com\r\n\r\n", answers=()),
    "an absolute target": Case(data=plain("http://api.example.com/a")),
    "an absolute target of https": Case(data=plain("https://api.example.com/a"), answers=()),
    "CONNECT": Case(data=b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n", answers=()),
    "a dot segment with parameters": Case(data=plain("/a/..;x=1/b")),
    "a parameter, and a dot segment in disguise": Case(data=plain("/a;b/%2e%2e/c;d")),
    "escaped slashes": Case(data=plain("/a%2Fb%5cc//d")),
    "TLS where there is none": Case(data=bytes.fromhex("16030100050100000100"), answers=()),
    "two unknown hosts at once": Case(data=ask("nobody") * 2, answers=(), lines=2),
    "three unknown hosts at once": Case(data=ask("nobody") * 3, answers=(), lines=3),
    "two requests at once": Case(data=ask("api") * 2, answers=(OK, OK), lines=2),
    "too many fields": Case(data=ask("api", "/", *(f"x-{n}: 1" for n in range(100))), answers=()),
    "an upgrade": Case(data=ask("api", "/", *UPGRADE), answers=(OK,)),
    "an upgrade that nobody offers": Case(data=ask("api", "/", "Connection: Upgrade", "Upgrade: foo"), answers=()),
    "the same to an unknown host": Case(data=ask("no", "/", "Connection: Upgrade", "Upgrade: foo"), answers=()),
    "chunks": Case(data=ask("api", "/", *CHUNKED, method="POST", body="3\r\nabc\r\n0\r\n\r\n")),
    "busy": Case(data=ask("api"), answers=(BUSY,)),
    "a gRPC status to a request that is none": Case(data=ask("api"), answers=(UNAVAILABLE, OK)),
    "repeated fields of an answer": Case(
        data=ask("api"), answers=(b"HTTP/1.1 200 OK\r\nVary: a\r\nVary: b\r\nServer: x\r\nContent-Length: 0\r\n\r\n",)
    ),
    "denied": Case(data=ask("api", "/x/../closed"), answers=()),
    "the way to TLS": Case(data=ask("api", "/a?b#c"), port=UPWARD, answers=()),
    "the way to TLS, for gRPC": Case(data=ask("api", "/", *GRPC, method="POST"), port=UPWARD, answers=()),
    "the way to TLS is closed": Case(data=ask("api", "/closed"), port=UPWARD, answers=()),
    "HTTP/2": Case(data=http2(request(ASKED))),
    "HTTP/2, answered before its end": Case(data=http2(request(ASKED, None)), answers=()),
    "HTTP/2, answered before its end came up": Case(data=http2(request(ASKED, b"abc")), answers=()),
    "HTTP/2, and no preface that could be one": Case(data=frames.PREFACE[:11], answers=()),
    "mutual TLS": Case(data=ask("api", "/", *OF_OTHERS), port=MUTUAL, tls=True),
    "mutual TLS, no certificate": Case(
        data=b"", port=MUTUAL, tls=True, certificate=False, answers=(), lines=0
    ),
    "mutual TLS, an old version": Case(data=ask("api"), port=MUTUAL, tls=True, most=ssl.TLSVersion.TLSv1_2),
    "mutual TLS, HTTP/2": Case(data=http2(request(ASKED)), port=MUTUAL, tls=True, alpn=("h2", "http/1.1"), answers=()),
    "mutual TLS, HTTP/1 though HTTP/2 was chosen": Case(data=ask(), port=MUTUAL, tls=True, alpn=("h2",), answers=()),
    "mutual TLS, an absolute target of https": Case(data=plain("https://api.example.com/a"), port=MUTUAL, tls=True),
    "mutual TLS, another host": Case(data=ask("nobody"), port=MUTUAL, tls=True, answers=()),
    "mutual TLS, an unknown server name": Case(data=b"", port=MUTUAL, tls=True, sni="no.example.com", answers=()),
    "no TLS where there should be": Case(data=ask("api"), port=MUTUAL, answers=()),
    "bytes": Case(data=b"abc\r\n\r\n", port=BYTES),
    "bytes that are denied": Case(data=b"abc", port=REFUSED, answers=()),
    "bytes, and a reset": Case(data=b"abc\r\n\r\n", port=BYTES, resets=True),
}  # fmt: skip


@dataclass
class Outcome:
    """What both ends saw, and what was logged."""

    client: Any = b""
    end: str = "open"
    upstream: list[bytes] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)


class Client:
    """Plays cases against the gateway at hand."""

    def __init__(self, ports: dict[str, int], upstream: Upstream, log: Path, authority: Authority) -> None:
        self._ports, self._upstream, self._log, self._authority = ports, upstream, log, authority
        self._logged = 0

    def play(self, case: Case) -> Outcome:
        """One case on a connection of its own."""
        self._upstream.play(*case.answers)
        outcome = Outcome()
        received = b""
        with socket.create_connection(("127.0.0.1", self._ports[case.port])) as plain_socket:
            try:
                with ExitStack() as held:
                    sock = held.enter_context(self._secured(plain_socket, case)) if case.tls else plain_socket
                    sock.settimeout(1)
                    sock.sendall(case.data)
                    while data := sock.recv(65536):
                        received += data
                        sock.settimeout(QUIET)
                    outcome.end = "closed"
            except TimeoutError:
                pass
            except (ssl.SSLError, ConnectionResetError) as error:
                outcome.end = getattr(error, "reason", None) or "reset"
            if case.resets:
                plain_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        outcome.client = shown(received) if received[3:4] == b"\x04" else masked(received)
        outcome.upstream = [LAST_HOP.sub(rb"\1-", data) for data in self._upstream.received()]
        outcome.lines = self._lines(case.lines)
        return outcome

    def _secured(self, sock: socket.socket, case: Case) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.maximum_version = False, case.most
        context.load_verify_locations(self._authority.certificate_file)
        context.set_alpn_protocols(list(case.alpn))
        if case.certificate:
            names = ("spiffe://cluster.local/ns/default/sa/sleep",)
            context.load_cert_chain(*self._authority.leaf("default.sleep", names))
        return context.wrap_socket(sock, server_hostname=case.sni)

    def _lines(self, count: int) -> list[dict[str, Any]]:
        """What was logged since; so many lines are waited for."""
        give_up = time.monotonic() + 2
        while True:
            found = self._log.read_text().splitlines()[self._logged :] if self._log.exists() else []
            if len(found) >= count or time.monotonic() > give_up:
                self._logged += len(found)
                return [{**line, "xff": hops(line["xff"])} for line in map(json.loads, found)]
            time.sleep(0.01)


def hops(forwarded_for: str | None) -> str | None:
    """X-Forwarded-For without its last address: of a client on loopback, Envoy writes its own."""
    return None if forwarded_for is None else ",".join(forwarded_for.split(",")[:-1])


def free_ports() -> dict[str, int]:
    with ExitStack() as held:
        sockets = {name: held.enter_context(socket.create_server(("127.0.0.1", 0))) for name in PORTS}
        return {name: sock.getsockname()[1] for name, sock in sockets.items()}


def configure(directory: Path, ports: dict[str, int], log_file: str) -> None:
    """The mesh of one gateway, in a directory of its own."""
    directory.mkdir()
    text = MESH.read_text().replace("LOG_FILE", log_file)
    for name, port in ports.items():
        text = text.replace(name, str(port))
    (directory / "mesh.yaml").write_text(text)


async def outcomes(directory: Path, gateway: Gateway, ports: dict[str, int], upstream: Upstream) -> dict[str, Outcome]:
    """Every case, with one gateway."""
    file, log = directory / "mesh.yaml", directory / "log"
    await gateway.serve(file, log, Ports(ports[PLAIN], ports[MUTUAL], ports[BYTES], upstream.port))
    try:
        client = Client(ports, upstream, log, Authority(directory.parent / "certs" / "mesh"))
        return {name: await asyncio.to_thread(client.play, case) for name, case in CASES.items()}
    finally:
        await gateway.stop()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Outcome], dict[str, Outcome]]]:
    directory, upstream = tmp_path_factory.mktemp("gateways"), Upstream()
    ours, envoys, ports = directory / "ours", directory / "envoy", free_ports() | {"ORIGIN_PORT": upstream.port}
    configure(ours, ports, "/dev/stdout")
    configure(envoys, ports, str(envoys / "log"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EGRESS_CERTS", str(directory / "certs"))
        theirs = asyncio.run(outcomes(envoys, Envoys(), ports, upstream))
        yield asyncio.run(outcomes(ours, Ours(), ports, upstream)), theirs
    upstream.close()


@pytest.mark.parametrize("name", CASES)
def test_the_gateway_does_what_envoy_does(name: str, both: tuple[dict[str, Outcome], dict[str, Outcome]]) -> None:
    ours, theirs = both

    assert ours[name] == theirs[name]
