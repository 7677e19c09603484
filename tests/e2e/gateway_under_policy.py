"""One egress gateway by itself, and calls of workloads to it: HTTP in plain text, HTTP in mutual TLS, TCP.

The gateway is ours, or a real Envoy with the configuration that we export.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from click.testing import CliRunner

from sandbox.app import Sandbox
from sandbox.cli.main import egress
from sandbox.pki import Authority
from sandbox.settings import Settings

T = TypeVar("T")
WORKLOAD = "edge/gateway"
HOST = "api.example.com"
TEMPLATE = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    accessLogFile: {log}
    accessLogEncoding: JSON
    accessLogFormat: >-
      {{"code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%",
      "end": "%CONNECTION_TERMINATION_DETAILS%", "peer": "%DOWNSTREAM_PEER_URI_SAN%",
      "peer_subject": "%DOWNSTREAM_PEER_SUBJECT%", "peer_issuer": "%DOWNSTREAM_PEER_ISSUER%",
      "peer_dns": "%DOWNSTREAM_PEER_DNS_SAN%", "peer_serial": "%DOWNSTREAM_PEER_SERIAL%",
      "peer_from": "%DOWNSTREAM_PEER_CERT_V_START%", "peer_until": "%DOWNSTREAM_PEER_CERT_V_END(%Y-%m-%d)%",
      "own": "%DOWNSTREAM_LOCAL_URI_SAN%", "own_subject": "%DOWNSTREAM_LOCAL_SUBJECT%",
      "http_verdict": "%DYNAMIC_METADATA(envoy.filters.http.rbac)%",
      "tcp_verdict": "%DYNAMIC_METADATA(envoy.filters.network.rbac)%"}}
---
apiVersion: v1
kind: Pod
metadata: {{name: gateway, namespace: edge, labels: {{istio: edge}}}}
spec: {{serviceAccountName: gateway, containers: [{{name: istio-proxy}}]}}
status: {{podIP: 127.0.0.1}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: api, namespace: edge}}
spec:
  hosts: [{host}, other.example.com]
  ports: [{{number: {origin}, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: bytes, namespace: edge}}
spec:
  hosts: [bytes.example.com]
  ports: [{{number: {origin}, name: tcp, protocol: TCP}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: out, namespace: edge}}
spec:
  selector: {{istio: edge}}
  servers:
  - {{port: {{number: {http}, name: http, protocol: HTTP}}, hosts: ["*"]}}
  - {{port: {{number: {https}, name: https, protocol: HTTPS}}, hosts: [{host}], tls: {{mode: ISTIO_MUTUAL}}}}
  - {{port: {{number: {tcp}, name: tcp, protocol: TCP}}, hosts: ["*"]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: out, namespace: edge}}
spec:
  hosts: ["{host}", "other.example.com"]
  gateways: [out]
  http: [{{route: [{{destination: {{host: {host}, port: {{number: {origin}}}}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: bytes, namespace: edge}}
spec:
  hosts: ["bytes.example.com"]
  gateways: [out]
  tcp:
  - match: [{{port: {tcp}}}]
    route: [{{destination: {{host: bytes.example.com, port: {{number: {origin}}}}}}}]
"""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request; in mutual TLS where ``caller`` (``namespace/serviceaccount``) says who it is."""

    caller: str | None = None
    method: str = "GET"
    path: str = "/"
    host: str = HOST
    headers: dict[str, str] = field(default_factory=dict)
    is_bytes: bool = False
    """Bytes to the TCP port, and no request."""


@dataclass(frozen=True)
class Answer:
    """What came back, and what was logged; a closed connection has no status."""

    status: int
    body: str
    line: dict[str, object]


@dataclass(frozen=True)
class Ports:
    """Where the gateway listens, and the site behind it."""

    http: int
    https: int
    tcp: int
    origin: int

    @classmethod
    def free(cls, origin: int) -> Ports:
        """Ports that nobody has at this moment."""
        with contextlib.ExitStack() as held:
            http, https, tcp = (
                held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(3)
            )
        return cls(http, https, tcp, origin)


class Client:
    """Calls the gateway."""

    def __init__(self, ports: Ports, log: Path, authority: Authority) -> None:
        self._ports = ports
        self._log = log
        self._authority = authority
        self._seen = 0

    async def ask(self, call: Call) -> tuple[int, str]:
        """One call on a connection of its own."""
        reader, writer = await self._connect(call)
        if call.is_bytes:
            writer.write(b"GET / HTTP/1.1\r\nHost: bytes\r\nConnection: close\r\n\r\n")
        else:
            lines = [f"{call.method} {call.path} HTTP/1.1", f"Host: {call.host}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in call.headers.items()]
            writer.write("\r\n".join((*lines, "", "")).encode())
        status, body = await _read_answer(reader, is_head=call.method == "HEAD")
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
        return status, body

    async def _connect(self, call: Call) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if call.is_bytes:
            return await asyncio.open_connection("127.0.0.1", self._ports.tcp)
        if call.caller is None:
            return await asyncio.open_connection("127.0.0.1", self._ports.http)
        namespace, _, account = call.caller.partition("/")
        identity = f"spiffe://cluster.local/ns/{namespace}/sa/{account}"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self._authority.certificate_file)
        context.load_cert_chain(*self._authority.leaf(f"{namespace}.{account}", (identity,)))
        return await asyncio.open_connection("127.0.0.1", self._ports.https, ssl=context, server_hostname=HOST)

    async def next_lines(self, count: int) -> list[dict[str, object]]:
        """What was logged of so many calls since."""
        async with asyncio.timeout(5):
            while True:
                lines = self._log.read_text().splitlines()[self._seen :] if self._log.exists() else []
                if len(lines) >= count:
                    self._seen += count
                    return [json.loads(line) for line in lines[:count]]
                await asyncio.sleep(0.005)


class Gateway(Protocol):
    """Who is the gateway: it serves what the file says."""

    async def serve(self, file: Path, log: Path, ports: Ports) -> None:
        """From now on, whatever it served before."""

    async def stop(self) -> None:
        """Nothing is left."""


class Ours:
    """Loads the file anew."""

    def __init__(self) -> None:
        self._sandbox: Sandbox | None = None

    async def serve(self, file: Path, log: Path, ports: Ports) -> None:
        if self._sandbox is not None:
            assert not (await self._sandbox.reload()).errors
            return
        settings = Settings(
            files=(str(file),),
            node_type="router",
            workload=WORKLOAD,
            proxy=None,
            drain_seconds=0.1,
            access_log=str(log),
        )
        self._sandbox = Sandbox(settings)
        await self._sandbox.start()

    async def stop(self) -> None:
        if self._sandbox is not None:
            await self._sandbox.stop()


class Envoys:
    """A real Envoy with the configuration that we export, a new one each time."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def serve(self, file: Path, log: Path, ports: Ports) -> None:
        await self.stop()
        export = ["export", "envoy", "-f", str(file), "--node", "gateway", "--workload", WORKLOAD]
        bootstrap = json.loads(CliRunner().invoke(egress, export, standalone_mode=False).stdout)
        bootstrap.pop("admin", None)
        (file.parent / "envoy.json").write_text(json.dumps(bootstrap))
        options = ["-c", str(file.parent / "envoy.json"), "--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
        self._process = await asyncio.create_subprocess_exec("envoy", *options, "--file-flush-interval-msec", "10")
        async with asyncio.timeout(20):
            for port in (ports.http, ports.https):  # a look at the TCP port would be logged
                await _until_open(port)

    async def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


class PolicyBench:
    """A gateway on a thread of its own, and a site behind it; ``asked`` takes one set of policies after another."""

    def __init__(self, directory: Path, gateway: Gateway, *, has_own_log: bool) -> None:
        self._file, self._log = directory / "mesh.yaml", directory / "log"
        self._where = "/dev/stdout" if not has_own_log else str(self._log)
        self._gateway = gateway
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="policies", daemon=True)
        self._thread.start()
        self._origin = self._do(asyncio.start_server(_answer, "127.0.0.1", 0))
        self._ports = Ports.free(self._origin.sockets[0].getsockname()[1])
        self.authority = Authority(Path(os.environ["EGRESS_CERTS"]) / "mesh")
        self._client = Client(self._ports, self._log, self.authority)

    def asked(self, policies: str, calls: list[Call]) -> list[Answer]:
        """What comes of the calls under these policies, and nothing else."""
        text = TEMPLATE.format(log=self._where, host=HOST, **vars(self._ports))
        self._file.write_text(f"{text}---\n{policies}")

        async def ask() -> list[Answer]:
            await self._gateway.serve(self._file, self._log, self._ports)
            got = [await self._client.ask(call) for call in calls]
            lines = await self._client.next_lines(len(calls))
            return [Answer(status, body, line) for (status, body), line in zip(got, lines, strict=True)]

        return self._do(ask())

    def close(self) -> None:
        """Ends everything."""
        self._do(self._gateway.stop())
        self._origin.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


async def _until_open(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


async def _read_answer(reader: asyncio.StreamReader, *, is_head: bool) -> tuple[int, str]:
    """Status and body; 0 where the connection is closed without an answer."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, ""
    length = 0 if is_head or "content-length: " not in head else int(head.partition("content-length: ")[2].split()[0])
    return int(head.split()[1]), (await reader.readexactly(length)).decode()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()
    writer.close()
