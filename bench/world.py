"""The configuration that both proxies run: a mesh with its log on, some hosts, and as many others as asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MESH = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: mesh, namespace: istio-system}
spec:
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogEncoding: JSON
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
    defaultConfig:
      tracing: {sampling: 0}
"""
ENTRY = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{host}]
  addresses: [{addresses}]
  ports: [{{number: {port}, name: {port_name}, protocol: {protocol}, targetPort: {target}}}]
  location: MESH_EXTERNAL
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
"""
ORIGINATION = """\
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: secure}}
spec:
  host: {host}
  trafficPolicy: {{tls: {{mode: SIMPLE, sni: {host}, insecureSkipVerify: true}}}}
"""
ROUTES = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: routes}}
spec:
  hosts: [{host}]
  http:
"""
ROUTE_COUNT = 200
MATCHES = (
    "uri: {{prefix: /prefix-{number}/}}",
    "uri: {{exact: /exact-{number}}}",
    "uri: {{regex: '/regex-{number}/[a-z]+/[0-9]+'}}",
    "headers: {{x-tenant: {{exact: tenant-{number}}}}}",
)
"""Of the routes each fourth has one of these; none takes what the load generator asks for."""
# name of the upstream's server -> host, port in the mesh, protocol
HOSTS = {
    "http": ("http.example.com", 80, "HTTP"),
    "routes": ("routes.example.com", 80, "HTTP"),
    "secure": ("secure.example.com", 80, "HTTP"),
    "tls": ("tls.example.com", 443, "TLS"),
    "echo": ("echo.example.com", 9000, "TCP"),
    "source": ("source.example.com", 9001, "TCP"),
}


def write(directory: Path, upstream: Mapping[str, int], others: int) -> None:
    """Writes the mesh into ``directory``; ``upstream`` says on which port each server listens."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "mesh.yaml").write_text(MESH)
    (directory / "hosts.yaml").write_text(
        "".join(
            ENTRY.format(
                name=name,
                host=host,
                port=port,
                port_name=f"{protocol.lower()}-{name}",
                protocol=protocol,
                target=upstream[name],
                addresses="",
            )
            for name, (host, port, protocol) in HOSTS.items()
        )
    )
    (directory / "routes.yaml").write_text(_routes(HOSTS["routes"][0]))
    (directory / "origination.yaml").write_text(ORIGINATION.format(host=HOSTS["secure"][0]))
    if others:
        (directory / "others.yaml").write_text("".join(_other(number) for number in range(others)))


def _routes(host: str) -> str:
    """Many routes; only the last one, which takes everything, takes the requests of the benchmark."""
    target = f"route: [{{destination: {{host: {host}}}}}]"
    matches = (MATCHES[number % len(MATCHES)].format(number=number) for number in range(ROUTE_COUNT))
    routes = (f"  - {{match: [{{{match}}}], {target}}}\n" for match in matches)
    return ROUTES.format(host=host) + "".join(routes) + f"  - {{{target}}}\n"


def _other(number: int) -> str:
    """One of many ServiceEntries, HTTP on port 80: all of them stand in one route configuration."""
    name = f"other-{number:05}"
    fields = {"name": name, "host": f"{name}.example.org", "port": 80, "protocol": "HTTP", "target": 80}
    return ENTRY.format(port_name="http", addresses="", **fields)
