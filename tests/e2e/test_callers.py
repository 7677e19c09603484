"""Several workloads use one sandbox: each has the plan of its own pod, whichever way it says who it is."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sandbox.app import Sandbox
from sandbox.settings import HostPort, Settings, WorkloadProxy

MESH = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogFormat: '{"host": "%ENVIRONMENT(POD_NAMESPACE)%/%HOSTNAME%", "code": "%RESPONSE_CODE%"}'
    accessLogEncoding: JSON
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec: {{serviceAccountName: {name}, containers: [{{name: app}}]}}
status: {{podIP: {address}}}
"""
ENTRY = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [{host}]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: DNS
  exportTo: ["."]
"""
FILES = "---\n".join(
    (
        MESH,
        POD.format(name="web", namespace="shop", address="10.1.0.1"),
        POD.format(name="till", namespace="bank", address="127.0.0.1"),
        ENTRY.format(name="bin", namespace="shop", host="httpbin.org"),
        ENTRY.format(name="api", namespace="bank", host="api.example.com"),
    )
)
Ask = Callable[[str], Awaitable[int]]


@asynccontextmanager
async def sandbox(tmp_path: Path, text: str = FILES) -> AsyncIterator[Sandbox]:
    """One that is ``shop/web``, with a port of its own for ``bank/till``."""
    (tmp_path / "mesh.yaml").write_text(text)
    settings = Settings(
        files=(str(tmp_path / "mesh.yaml"),),
        workload="shop/web",
        proxy=HostPort("127.0.0.1", 0),
        workload_proxies=(WorkloadProxy(HostPort("127.0.0.1", 0), "bank/till"),),
        socks=HostPort("127.0.0.1", 0),
        capture=(HostPort("127.0.0.1", 0),),
        lab=True,
        drain_seconds=0.2,
        access_log=str(tmp_path / "log"),
    )
    async with Sandbox(settings) as found:
        yield found


async def ask(address: HostPort, host: str, user: str | None = None) -> int:
    """The status of a request by the explicit proxy."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    credentials = base64.b64encode(f"{user}:".encode()).decode()
    authorization = f"Proxy-Authorization: Basic {credentials}\r\n" if user is not None else ""
    writer.write(f"GET http://{host}/status/204 HTTP/1.1\r\nHost: {host}\r\n{authorization}\r\n".encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


async def ask_by_socks(address: HostPort, host: str, user: str) -> int:
    """The same by SOCKS5 with a user's name."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"\x05\x01\x02")
    assert await reader.readexactly(2) == b"\x05\x02"
    writer.write(b"\x01" + bytes((len(user),)) + user.encode() + b"\x00")
    assert await reader.readexactly(2) == b"\x01\x00"
    writer.write(b"\x05\x01\x00\x03" + bytes((len(host),)) + host.encode() + (80).to_bytes(2, "big"))
    await reader.readexactly(10)
    writer.write(f"GET /status/204 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


WAYS: dict[str, Callable[[Sandbox, str], Awaitable[int]]] = {
    "user namespace/name": lambda box, host: ask(box.addresses["proxy"], host, "bank/till"),
    "user name.namespace": lambda box, host: ask(box.addresses["proxy"], host, "till.bank"),
    "port": lambda box, host: ask(box.addresses["proxy of bank/till"], host),
    "user of SOCKS": lambda box, host: ask_by_socks(box.addresses["socks"], host, "till.bank"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_each_workload_has_its_own_plan(way: Callable[[Sandbox, str], Awaitable[int]], tmp_path: Path) -> None:
    async def story() -> list[int]:
        async with sandbox(tmp_path) as box:
            found = [await way(box, host) for host in ("httpbin.org", "api.example.com")]
            return found + [await ask(box.addresses["proxy"], host) for host in ("httpbin.org", "api.example.com")]

    assert asyncio.run(story()) == [502, 204, 204, 502]
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(line["host"], line["code"]) for line in lines] == [
        ("bank/till", 502),
        ("bank/till", 204),
        ("shop/web", 204),
        ("shop/web", 502),
    ]


def test_a_pods_address_says_whose_call_it_is(tmp_path: Path) -> None:
    text = FILES.replace("podIP: 127.0.0.1", "podIP: 127.0.0.2").replace("podIP: 10.1.0.1", "podIP: 127.0.0.3")

    async def call(box: Sandbox, source: str, host: str) -> int:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.bind((source, 0))
            address = box.addresses["proxy"]
            await loop.sock_connect(sock, (address.host, address.port))
            await loop.sock_sendall(sock, f"GET http://{host}/status/204 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return int((await loop.sock_recv(sock, 100)).split()[1])

    async def story() -> list[int]:
        async with sandbox(tmp_path, text) as box:
            return [await call(box, source, "api.example.com") for source in ("127.0.0.2", "127.0.0.3", "127.0.0.9")]

    assert asyncio.run(story()) == [204, 502, 502]


def test_a_reload_reaches_every_workload_and_nobodys_credentials_leave(tmp_path: Path) -> None:
    async def story() -> tuple[list[int], bytes]:
        async with sandbox(tmp_path) as box:
            found = [await ask(box.addresses["proxy"], "httpbin.org", "till.bank")]
            (tmp_path / "mesh.yaml").write_text(FILES.replace('exportTo: ["."]', 'exportTo: ["*"]'))
            assert not (await box.reload()).errors
            found.append(await ask(box.addresses["proxy"], "httpbin.org", "till.bank"))
            address = box.addresses["proxy"]
            reader, writer = await asyncio.open_connection(address.host, address.port)
            head = "GET http://httpbin.org/headers HTTP/1.1\r\nHost: httpbin.org\r\nConnection: close\r\n"
            writer.write(f"{head}proxy-authorization: Basic dGlsbC5iYW5rOg==\r\n\r\n".encode())
            echoed = await reader.read()
            writer.close()
            return found, echoed

    statuses, echoed = asyncio.run(story())
    assert statuses == [502, 204]
    assert b'"Host": "httpbin.org"' in echoed
    assert b"authorization" not in echoed.lower()


@pytest.mark.parametrize("user", ["a/b/c", "/till", "bank/"])
def test_a_user_that_is_no_workload_is_told_so(user: str, tmp_path: Path) -> None:
    async def story() -> int:
        async with sandbox(tmp_path) as box:
            return await ask(box.addresses["proxy"], "httpbin.org", user)

    assert asyncio.run(story()) == 407


def test_a_workload_that_nobody_described_is_a_pod_without_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story() -> list[int]:
        async with sandbox(tmp_path) as box:
            return [await ask(box.addresses["proxy"], "httpbin.org", user) for user in ("web2.shop", "web2.shop")]

    assert asyncio.run(story()) == [204, 204]
    told = [line for line in capsys.readouterr().err.splitlines() if "no object describes" in line]
    what = "no object describes the workload shop/web2: it is taken as a pod without labels; did you mean shop/web?"
    assert told == [f"egress: {what}"]


def test_of_too_many_workloads_the_one_that_has_not_called_for_longest_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.workloads.callers.MOST_WORKLOADS", 2)

    async def story() -> tuple[list[int], list[list[str]]]:
        statuses, known = [], []
        async with sandbox(tmp_path) as box:
            for user in ("a.shop", "b.shop", "a.shop", "c.shop", "b.shop", None):
                statuses.append(await ask(box.addresses["proxy"], "httpbin.org", user))
                known.append([name.partition("/")[2] for name in box.nodes][1:])
        return statuses, known

    statuses, known = asyncio.run(story())
    assert statuses == [204] * 6
    assert known == [["a"], ["a", "b"], ["b", "a"], ["a", "c"], ["c", "b"], ["c", "b"]]


def test_a_connection_outlives_the_room_that_its_workload_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.workloads.callers.MOST_WORKLOADS", 1)

    async def story() -> tuple[int, bytes]:
        async with sandbox(tmp_path) as box:
            address = box.addresses["proxy"]
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(b"CONNECT httpbin.org:80 HTTP/1.1\r\nProxy-Authorization: Basic YS5zaG9wOg==\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            other = await ask(address, "httpbin.org", "b.shop")
            writer.write(b"GET /status/204 HTTP/1.1\r\nHost: httpbin.org\r\n\r\n")
            answer = await reader.readline()
            writer.close()
            return other, answer

    assert asyncio.run(story()) == (204, b"HTTP/1.1 204 No Content\r\n")


GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: out, namespace: istio-system}}
spec:
  selector: {{istio: egressgateway}}
  servers:
  - {{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"]}}
  - {{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: ["*"], tls: {{mode: ISTIO_MUTUAL}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: gateway, namespace: istio-system}}
spec:
  host: istio-egressgateway.istio-system.svc.cluster.local
  trafficPolicy:
    portLevelSettings: [{{port: {{number: 443}}, tls: {{mode: ISTIO_MUTUAL, sni: gateway}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: site, namespace: istio-system}}
spec:
  hosts: [httpbin.org]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: site, namespace: istio-system}}
spec:
  hosts: [httpbin.org]
  gateways: [mesh, out]
  http:
  - match: [{{gateways: [mesh]}}]
    route: [{{destination: {{host: istio-egressgateway.istio-system.svc.cluster.local, port: {{number: {port}}}}}}}]
  - match: [{{gateways: [out]}}]
    route: [{{destination: {{host: httpbin.org, port: {{number: 80}}}}}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: who, namespace: istio-system}}
spec: {{rules: [{{from: [{{source: {{{source}}}}}]}}]}}
"""
SOURCES = {
    "address": (80, "ipBlocks: [10.1.0.2]"),
    "identity": (443, "principals: [cluster.local/ns/bank/sa/till]"),
    "namespace": (443, "namespaces: [bank]"),
}


@pytest.mark.parametrize(("port", "source"), SOURCES.values(), ids=list(SOURCES))
def test_gateways_know_who_calls(port: int, source: str, tmp_path: Path) -> None:
    pods = [POD.format(name="web", namespace="shop", address="10.1.0.1")]
    pods.append(POD.format(name="till", namespace="bank", address="10.1.0.2"))
    (tmp_path / "mesh.yaml").write_text("---\n".join((MESH, *pods, GATEWAY.format(port=port, source=source))))
    settings = Settings(
        files=(str(tmp_path / "mesh.yaml"),),
        workload="shop/web",
        proxy=HostPort("127.0.0.1", 0),
        lab=True,
        with_gateways=True,
        drain_seconds=0.2,
        access_log=str(tmp_path / "log"),
    )

    async def story() -> list[int]:
        async with Sandbox(settings) as box:
            return [await ask(box.addresses["proxy"], "httpbin.org", user) for user in (None, "till.bank", None)]

    assert asyncio.run(story()) == [403, 204, 403]
