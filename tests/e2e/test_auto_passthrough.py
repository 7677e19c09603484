"""A gateway in AUTO_PASSTHROUGH, called as sidecars of another network call it: the server name is the cluster's."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.app import Sandbox
from sandbox.pki import Authority
from sandbox.settings import Settings

SITE = "site.shop.local"
MESH = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogEncoding: JSON
    accessLogFormat: >-
      {{"flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%", "cluster": "%UPSTREAM_CLUSTER_RAW%",
      "sni": "%REQUESTED_SERVER_NAME%"}}
---
apiVersion: v1
kind: Pod
metadata: {{name: gateway, namespace: edge, labels: {{istio: eastwestgateway}}}}
spec: {{serviceAccountName: gateway, containers: [{{name: istio-proxy}}]}}
status: {{podIP: 127.0.0.1}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: cross-network-gateway, namespace: edge}}
spec:
  selector: {{istio: eastwestgateway}}
  servers:
  - port: {{number: {gateway}, name: tls, protocol: TLS}}
    tls: {{mode: AUTO_PASSTHROUGH}}
    hosts: ["*.local"]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: site, namespace: shop}}
spec:
  hosts: [site.shop.local, site.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 443, name: tls, protocol: TLS, targetPort: {site}}}]
  endpoints: [{{address: 127.0.0.1, labels: {{security.istio.io/tlsMode: istio}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: without-sidecar, namespace: shop}}
spec:
  hosts: [plain.shop.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 443, name: tls, protocol: TLS, targetPort: {site}}}]
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: site, namespace: shop}}
spec:
  host: site.shop.local
  subsets: [{{name: all}}, {{name: v2, labels: {{version: v2}}}}]
"""
ISTIO = "istio"
NO_CHAIN: dict[str, object] = {"flags": "NR", "details": "filter_chain_not_found", "cluster": None}
NO_HOST: dict[str, object] = {"flags": "UH", "details": None}
CALLS: dict[str, tuple[str, str | None, bool, dict[str, object]]] = {
    "the service": (f"outbound_.443_._.{SITE}", ISTIO, True, {"flags": "-", "cluster": f"outbound_.443_._.{SITE}"}),
    "a subset": (f"outbound_.443_.all_.{SITE}", ISTIO, True, {"flags": "-", "cluster": f"outbound_.443_.all_.{SITE}"}),
    "a subset without pods": (f"outbound_.443_.v2_.{SITE}", ISTIO, False, NO_HOST),
    "a subset that no rule names": (f"outbound_.443_.v3_.{SITE}", ISTIO, False, NO_CHAIN),
    "pods without a sidecar": ("outbound_.443_._.plain.shop.local", ISTIO, False, NO_HOST),
    "another port": (f"outbound_.80_._.{SITE}", ISTIO, False, NO_CHAIN),
    "no such service": ("outbound_.443_._.gone.shop.local", ISTIO, False, NO_CHAIN),
    "a host that the server does not have": ("outbound_.443_._.site.example.com", ISTIO, False, NO_CHAIN),
    "the host's own name": (SITE, ISTIO, False, NO_CHAIN),
    "no mutual TLS of Istio": (f"outbound_.443_._.{SITE}", "http/1.1", False, NO_CHAIN),
    "no protocol": (f"outbound_.443_._.{SITE}", None, False, NO_CHAIN),
}


@dataclass(frozen=True)
class Site:
    """A TLS server behind the gateway, and what its clients trust."""

    port: int
    authority: Authority


@asynccontextmanager
async def site(directory: Path) -> AsyncIterator[Site]:
    """Shows the gateway's clients its own certificate: nobody on the way ends their TLS."""
    authority = Authority(directory)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.leaf("site", [SITE]))
    context.set_alpn_protocols([ISTIO])
    server = await asyncio.start_server(_greet, "127.0.0.1", 0, ssl=context)
    async with server:
        yield Site(server.sockets[0].getsockname()[1], authority)


async def _greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"the site\n")
    await writer.drain()
    writer.close()


async def greeted(port: int, server_name: str, protocol: str | None, authority: Authority) -> bool:
    """Whether the site, and nobody else, answers."""
    context = ssl.create_default_context(cafile=str(authority.certificate_file))
    context.check_hostname = False
    if protocol is not None:
        context.set_alpn_protocols([protocol])
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name)
    except ConnectionError:
        return False
    greeting = await reader.readline()
    writer.close()
    return greeting == b"the site\n"


async def call(tmp_path: Path, server_name: str, protocol: str | None) -> tuple[bool, list[dict[str, object]]]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    log = tmp_path / "log"
    async with site(tmp_path / "authority") as behind:
        mesh = tmp_path / "mesh.yaml"
        mesh.write_text(MESH.format(gateway=port, site=behind.port))
        settings = Settings(
            files=(str(mesh),), node_type="router", workload="edge/gateway", proxy=None, access_log=str(log)
        )
        async with Sandbox(settings):
            is_greeted = await greeted(port, server_name, protocol, behind.authority)
    return is_greeted, [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize(("server_name", "protocol", "reaches", "expected"), CALLS.values(), ids=list(CALLS))
def test_the_server_name_chooses_the_cluster_or_the_connection_is_closed(
    server_name: str, protocol: str | None, reaches: bool, expected: dict[str, object], tmp_path: Path
) -> None:
    is_greeted, (line,) = asyncio.run(call(tmp_path, server_name, protocol))

    assert is_greeted is reaches
    assert line["sni"] == server_name
    assert {key: line[key] for key in expected} == expected
