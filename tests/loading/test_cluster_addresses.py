"""Services of manifests that have not been applied yet: each gets the address that a cluster would give it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sandbox.app import Sandbox
from sandbox.istio.load import Configuration
from sandbox.istio.load_cache import LoadCache
from sandbox.loading import load, read_configuration
from sandbox.loading.service_network import service_names, service_targets
from sandbox.settings import HostPort, ResolveOverride, Settings

SERVICE = """\
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{{spec}}}
"""


def service(name: str, spec: str) -> str:
    return SERVICE.format(name=name, spec=spec)


def read(tmp_path: Path, text: str, cache: LoadCache | None = None) -> Configuration:
    (tmp_path / "mesh.yaml").write_text(text)
    return read_configuration(Settings(files=(str(tmp_path),)), cache)


def addresses(configuration: Configuration) -> dict[str, str]:
    return {each.name: each.spec.cluster_ip for each in configuration.resources("Service")}


PORT = "ports: [{name: http, port: 80}]"
SPECS = {
    "no address": (PORT, "10.111.35.18"),
    "a load balancer without one": (f"type: LoadBalancer, {PORT}", "10.111.35.18"),
    "an address": (f"clusterIP: 10.96.0.9, {PORT}", "10.96.0.9"),
    "headless": (f"clusterIP: None, {PORT}", "None"),
    "a name outside": ("type: ExternalName, externalName: httpbin.org", ""),
}


@pytest.mark.parametrize(("spec", "expected"), SPECS.values(), ids=list(SPECS))
def test_who_is_given_an_address(spec: str, expected: str, tmp_path: Path) -> None:
    configuration = read(tmp_path, service("web", spec))

    assert addresses(configuration) == {"web": expected}
    assert [each.resource for each in configuration.objects] == list(configuration.resources("Service"))


def test_an_address_that_is_taken_is_given_to_nobody_else(tmp_path: Path) -> None:
    taken = service("other", f"clusterIP: 10.111.35.18, {PORT}")

    assert addresses(read(tmp_path, service("web", PORT) + taken))["web"] == "10.111.35.19"


def test_ports_without_targets_lead_to_their_own_numbers(tmp_path: Path) -> None:
    ports = "ports: [{name: a, port: 80}, {name: b, port: 81, targetPort: 8081}, {name: c, port: 82, targetPort: c}]"
    (web,) = read(tmp_path, service("web", ports)).resources("Service")

    assert [port.target_port for port in web.spec.ports] == [80, 8081, "c"]


def test_a_reload_keeps_address_and_object(tmp_path: Path) -> None:
    cache = LoadCache()
    web, other = service("web", PORT), service("other", PORT)
    before = read(tmp_path, web, cache).resources("Service")[0]

    after = {each.name: each for each in read(tmp_path, other + web, cache).resources("Service")}
    assert after["web"] is before
    assert after["other"].spec.cluster_ip not in ("", before.spec.cluster_ip)

    written = read(tmp_path, web.replace("ports", "clusterIP: 10.96.0.9, ports"), cache)
    assert addresses(written) == {"web": "10.96.0.9"}


def test_the_listener_is_at_the_address_as_in_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(service("web", "ports: [{name: tcp, port: 5432}]"))

    plan = load(Settings(files=(str(tmp_path),))).plan

    assert "10.111.35.18_5432" in [listener.name for listener in plan.listeners]


ENDPOINTS = """\
---
apiVersion: v1
kind: Endpoints
metadata: {{name: web, namespace: shop}}
subsets: [{{addresses: [{{ip: 127.0.0.1}}], ports: [{{name: tcp, port: {port}}}]}}]
"""


THROUGH_DNS = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: partner, namespace: shop}}
spec:
  hosts: [partner.example.com]
  ports: [{{number: 9000, name: tcp, protocol: TCP}}]
  resolution: DNS
  endpoints: [{{address: {name}, ports: {{tcp: 5432}}}}]
"""


async def greeting(tmp_path: Path, text: str, target: str) -> bytes:
    """What the site behind the Service ``web`` says to who calls ``target``."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        await writer.drain()
        writer.close()

    site = await asyncio.start_server(greet, "127.0.0.1", 0)
    endpoints = ENDPOINTS.format(port=site.sockets[0].getsockname()[1])
    (tmp_path / "mesh.yaml").write_text(service("web", "ports: [{name: tcp, port: 5432}]") + endpoints + text)
    settings = Settings(
        files=(str(tmp_path),),
        proxy=HostPort("127.0.0.1", 0),
        resolve=(ResolveOverride("partner.example.com", None, "192.0.2.1", None),),
        access_log=str(tmp_path / "log"),
    )
    async with site, Sandbox(settings) as sandbox:
        proxy = sandbox.addresses["proxy"]
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        said = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
    return said


def test_a_manifest_as_it_is_written_can_be_called_by_name(tmp_path: Path) -> None:
    assert asyncio.run(greeting(tmp_path, "", "web.shop.svc.cluster.local:5432")) == b"hello\n"


@pytest.mark.parametrize("name", ["web.shop.svc.cluster.local", "web.shop.svc", "web.shop"])
def test_a_host_that_is_resolved_to_a_service_arrives_at_its_endpoint(name: str, tmp_path: Path) -> None:
    said = asyncio.run(greeting(tmp_path, THROUGH_DNS.format(name=name), "partner.example.com:9000"))

    assert said == b"hello\n"
    assert '"10.111.35.18:5432" outbound|9000||partner.example.com' in (tmp_path / "log").read_text()


def test_so_does_what_is_passed_on_to_the_service_s_address(tmp_path: Path) -> None:
    unseen = "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default}\n"
    spec = 'spec: {egress: [{hosts: ["./*"]}]}\n'

    assert asyncio.run(greeting(tmp_path, unseen + spec, "10.111.35.18:5432")) == b"hello\n"
    assert '"10.111.35.18:5432" PassthroughCluster' in (tmp_path / "log").read_text()


def test_names_of_services_without_endpoints_are_left_to_the_machine_s_dns(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(
        service("empty", PORT) + service("web", "ports: [{name: tcp, port: 5432}]") + ENDPOINTS.format(port=1)
    )

    loaded = load(Settings(files=(str(tmp_path),), namespace="shop"))

    names = service_names(loaded.push, loaded.proxy)
    assert names == dict.fromkeys(("web.shop.svc.cluster.local", "web.shop", "web.shop.svc", "web"), ("10.111.35.18",))
    assert service_targets(loaded.push, loaded.proxy) == {("10.111.35.18", 5432): (("127.0.0.1", 1),)}
