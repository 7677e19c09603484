"""Arbitrary hosts of a wildcard through the gateway: a proxy beside it reads whom the inner TLS is for.

The pattern of Istio's documentation before 1.14 (wildcard-egress-hosts, "for arbitrary domains"): the sidecar wraps the
client's TLS in mutual TLS of the mesh, the gateway unwraps it and hands the bytes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sandbox.app import Sandbox
from sandbox.pki import Authority
from sandbox.settings import HostPort, ResolveOverride, Settings

HOSTS = ("one.example.com", "two.example.com")
GATEWAY = "istio-egressgateway.istio-system.svc.cluster.local"
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
metadata: {{name: everything}}
spec:
  hosts: ["*.example.com"]
  ports: [{{number: 443, name: tls, protocol: TLS}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: sni-proxy}}
spec:
  hosts: [sni-proxy.local]
  location: MESH_EXTERNAL
  ports: [{{number: {sni_proxy}, name: tcp, protocol: TCP}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: egress}}
spec:
  selector: {{istio: egressgateway}}
  servers:
  - {{port: {{number: 443, name: tls, protocol: TLS}}, hosts: ["*"], tls: {{mode: ISTIO_MUTUAL}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: gateway}}
spec:
  host: istio-egressgateway.istio-system.svc.cluster.local
  subsets:
  - name: wrapped
    trafficPolicy: {{portLevelSettings: [{{port: {{number: 443}}, tls: {{mode: ISTIO_MUTUAL}}}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: everything}}
spec:
  hosts: ["*.example.com"]
  gateways: [mesh, egress]
  tls:
  - match: [{{gateways: [mesh], port: 443, sniHosts: ["*.example.com"]}}]
    route:
    - destination:
        host: istio-egressgateway.istio-system.svc.cluster.local
        subset: wrapped
        port: {{number: 443}}
  tcp:
  - match: [{{gateways: [egress], port: 443}}]
    route: [{{destination: {{host: sni-proxy.local, port: {{number: {sni_proxy}}}}}}}]
"""


@asynccontextmanager
async def sites(authority: Authority) -> AsyncIterator[dict[bytes, int]]:
    """A TLS server for each host, which says its name; the ports by name."""
    async with contextlib.AsyncExitStack() as running:
        ports: dict[bytes, int] = {}
        for host in HOSTS:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*authority.leaf(host, [host]))

            async def greet(_reader: object, writer: asyncio.StreamWriter, host: str = host) -> None:
                writer.write(f"{host}\n".encode())
                await writer.drain()
                writer.close()

            server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
            await running.enter_async_context(server)
            ports[host.encode()] = server.sockets[0].getsockname()[1]
        yield ports


@asynccontextmanager
async def sni_proxy(ports: dict[bytes, int]) -> AsyncIterator[int]:
    """Leads each connection to the site that its ClientHello names."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(65_536)
        port = next(port for host, port in ports.items() if host in hello)
        reader_on, writer_on = await asyncio.open_connection("127.0.0.1", port)
        writer_on.write(hello)
        await asyncio.gather(pump(reader, writer_on), pump(reader_on, writer))

    server = await asyncio.start_server(lead, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def greeting(proxy: HostPort, host: str, authority: Authority) -> str:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(ssl.create_default_context(cafile=str(authority.certificate_file)), server_hostname=host)
    line = await reader.readline()
    writer.close()
    return line.decode().strip()


async def story(tmp_path: Path) -> list[str]:
    authority = Authority(tmp_path / "authority")
    async with sites(authority) as ports, sni_proxy(ports) as sni_port:
        (tmp_path / "mesh.yaml").write_text(MESH.format(sni_proxy=sni_port))
        settings = Settings(
            files=(str(tmp_path / "mesh.yaml"),),
            proxy=HostPort("127.0.0.1", 0),
            with_gateways=True,
            resolve=tuple(ResolveOverride(host, None, "192.0.2.1", None) for host in HOSTS),
            access_log=str(tmp_path / "log"),
        )
        async with Sandbox(settings) as sandbox:
            return [await greeting(sandbox.addresses["proxy"], host, authority) for host in HOSTS]


def test_each_host_is_reached_by_the_name_in_the_inner_tls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(story(tmp_path)) == list(HOSTS)

    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    at_sidecar = [line for line in lines if line["upstream_cluster"] == f"outbound|443|wrapped|{GATEWAY}"]
    at_gateway = [line for line in lines if line["upstream_cluster"].endswith("||sni-proxy.local")]
    assert sorted(line["requested_server_name"] for line in at_sidecar) == list(HOSTS)
    assert {line["requested_server_name"] for line in at_gateway} == {f"outbound_.443_.wrapped_.{GATEWAY}"}
    assert "eof_received" not in caplog.text  # what the library says of a protocol that would keep half of TLS open
