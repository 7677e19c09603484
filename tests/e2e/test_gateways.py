"""The egress gateway beside the sidecar: both hops' log lines, and a gateway that nobody described."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiohttp import ClientSession
from click.testing import CliRunner

from sandbox.app import Sandbox
from sandbox.cli.main import egress
from sandbox.settings import HostPort, Settings

CONFIG = Path(__file__).parents[2] / "configs" / "egress-gateway"
JSON_LOG = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogEncoding: JSON
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
"""
MUTUAL = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: httpbin, namespace: default}
spec:
  hosts: [httpbin.org]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: egress, namespace: default}
spec:
  selector: {istio: egressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [httpbin.org]
    tls: {mode: ISTIO_MUTUAL}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: gateway, namespace: default}
spec:
  host: istio-egressgateway.istio-system.svc.cluster.local
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL, sni: httpbin.org}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: httpbin, namespace: default}
spec:
  hosts: [httpbin.org]
  gateways: [egress, mesh]
  http:
  - match: [{gateways: [mesh], port: 80}]
    route: [{destination: {host: istio-egressgateway.istio-system.svc.cluster.local, port: {number: 443}}}]
  - match: [{gateways: [egress], port: 443}]
    route: [{destination: {host: httpbin.org, port: {number: 80}}}]
"""


async def ask(tmp_path: Path, file: Path) -> tuple[int, list[dict[str, object]], list[str]]:
    mesh = tmp_path / "mesh.yaml"
    mesh.write_text(JSON_LOG)
    settings = Settings(
        files=(str(file),),
        mesh=str(mesh),
        proxy=HostPort("127.0.0.1", 0),
        lab=True,
        with_gateways=True,
        access_log=str(tmp_path / "log"),
    )
    async with Sandbox(settings) as sandbox:
        proxy = f"http://{sandbox.addresses['proxy']}"
        async with ClientSession() as session, session.get("http://httpbin.org/status/204", proxy=proxy) as reply:
            status = reply.status
        told = [problem.message for problem in sandbox.loaded.configuration.problems] if sandbox.loaded else []
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    return status, lines, told


def test_call_passes_both_hops_and_each_writes_its_line(tmp_path: Path) -> None:
    status, lines, told = asyncio.run(ask(tmp_path, CONFIG / "gateway.yaml"))

    gateway, sidecar = lines
    assert status == 204
    assert sidecar["upstream_cluster"] == "outbound|80||istio-egressgateway.istio-system.svc.cluster.local"
    assert sidecar["upstream_host"] == gateway["downstream_local_address"] == "10.244.0.20:8080"
    assert (gateway["protocol"], gateway["upstream_cluster"]) == ("HTTP/2", "outbound|80||httpbin.org")
    assert any("one of a default installation does (15021→15021, 80→8080, 443→8443)" in sentence for sentence in told)


def test_hop_in_mutual_tls_proves_who_the_workload_is(tmp_path: Path) -> None:
    config = tmp_path / "mutual.yaml"
    config.write_text(MUTUAL)

    status, lines, _ = asyncio.run(ask(tmp_path, config))

    gateway, sidecar = lines
    assert status == 204
    assert (sidecar["upstream_host"], gateway["requested_server_name"]) == ("10.244.0.20:8443", "httpbin.org")
    assert gateway["upstream_cluster"] == "outbound|80||httpbin.org"


def test_without_a_name_in_the_rule_the_hop_sends_istios_own_and_no_chain_takes_it(tmp_path: Path) -> None:
    """The trap of ``outbound_.443_.subset_.host`` (Istio pilot/pkg/networking/core/cluster_tls.go)."""
    config = tmp_path / "mutual.yaml"
    config.write_text(MUTUAL.replace("{tls: {mode: ISTIO_MUTUAL, sni: httpbin.org}}", "{tls: {mode: ISTIO_MUTUAL}}"))

    status, lines, _ = asyncio.run(ask(tmp_path, config))

    trapped = [line for line in lines if line["response_code_details"] == "filter_chain_not_found"]
    sidecar = lines[-1]
    assert status == 503
    assert {(line["requested_server_name"], line["response_flags"]) for line in trapped} == {
        ("outbound_.443_._.istio-egressgateway.istio-system.svc.cluster.local", "NR")
    }
    assert "UF" in str(sidecar["response_flags"]).split(",")


def test_explain_tells_of_the_trap(tmp_path: Path) -> None:
    config = tmp_path / "mutual.yaml"
    config.write_text(MUTUAL.replace("{tls: {mode: ISTIO_MUTUAL, sni: httpbin.org}}", "{tls: {mode: ISTIO_MUTUAL}}"))

    told = CliRunner().invoke(egress, ["explain", "http://httpbin.org/", "-f", str(config)]).output

    assert (
        "outbound_.443_._.istio-egressgateway.istio-system.svc.cluster.local\n" in told.partition("mutual TLS, SNI")[2]
    )
    assert "filter_chain_not_found" in told.partition("then through")[2]


def test_ports_that_the_gateway_does_not_listen_on_refuse_and_go_nowhere_else(tmp_path: Path) -> None:
    """The pod's address is an address of this process: a machine of the network that has it, too, is not called."""
    config = tmp_path / "mutual.yaml"
    config.write_text(MUTUAL.replace("port: {number: 443, name: https", "port: {number: 444, name: https"))

    status, lines, _ = asyncio.run(ask(tmp_path, config))

    (sidecar,) = lines
    assert (status, sidecar["response_flags"]) == (503, "URX,UF")
    assert sidecar["upstream_host"] == "10.244.0.20:8443"
    assert sidecar["upstream_transport_failure_reason"] == "delayed_connect_error:_Connection_refused"
