"""A Prometheus parser reads the ports after real traffic: labels and counts of every kind of call."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from sandbox.access_log.stream_info import StreamInfo
from sandbox.admin.endpoints import AGENT, METRICS
from sandbox.admin.http_server import AdminProtocol
from sandbox.app import Sandbox
from sandbox.cli.demo_client import request
from sandbox.settings import HostPort, ResolveOverride, Settings, parse_static_map

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES, CONFIGS = ROOT / "examples", ROOT / "configs"
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: buyer-1, generateName: buyer-, namespace: default, labels: {app: buyer, version: v3}}
spec: {serviceAccountName: buyer}
status: {podIP: 10.1.1.1}
"""
MUTUAL = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: hop, namespace: default}
spec:
  host: istio-egressgateway.istio-system.svc.cluster.local
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL, sni: httpbin.org}}
"""
Sample = tuple[str, dict[str, str], float]


class Mesh:
    """A running sandbox, the calls made through it, and what its ports tell."""

    def __init__(self, sandbox: Sandbox, authority: Path) -> None:
        self.sandbox = sandbox
        self._authority = authority
        self._ended: asyncio.Queue[StreamInfo] = asyncio.Queue()
        sandbox.subscribe(self._ended.put_nowait)

    async def call(self, url: str, streams: int = 1) -> int:
        """A GET; returns when it has ended on every hop."""
        reply = await asyncio.to_thread(request, url, self.sandbox.addresses["proxy"], self._authority)
        async with asyncio.timeout(5):
            for _ in range(streams):
                await self._ended.get()
        return reply.status

    async def over_tcp(self, sent: bytes) -> None:
        """A line to the mapped port, and the answer; the connection is over then."""
        door = next(address for name, address in self.sandbox.addresses.items() if name.startswith("map"))
        reader, writer = await asyncio.open_connection(door.host, door.port)
        writer.write(sent)
        await reader.readline()
        writer.close()
        async with asyncio.timeout(5):
            await self._ended.get()

    async def samples(self, path: str = "/stats/prometheus") -> list[Sample]:
        """The same, parsed."""
        return parsed(await self.text(path))

    async def text(self, path: str = "/stats/prometheus") -> str:
        """What the admin port tells."""
        async with ClientSession() as session, session.get(f"http://{self.sandbox.addresses['admin']}{path}") as answer:
            assert answer.status == 200
            return await answer.text()

    async def labels(self, name: str, path: str = "/stats/prometheus", **wanted: str) -> dict[str, str]:
        """The labels of the one series of that name and those labels."""
        found = [
            labels for each, labels, _ in await self.samples(path) if each == name and wanted.items() <= labels.items()
        ]
        assert len(found) == 1, found
        return found[0]


def parsed(text: str) -> list[Sample]:
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def counted(samples: list[Sample], name: str, **wanted: str) -> float:
    return sum(value for each, labels, value in samples if each == name and wanted.items() <= labels.items())


@asynccontextmanager
async def mesh(
    certificates: Path, *files: Path, target: str | None = None, workload: str | None = None
) -> AsyncIterator[Mesh]:
    settings = Settings(
        files=tuple(map(str, files)),
        workload=workload,
        proxy=HostPort("127.0.0.1", 0),
        admin=HostPort("127.0.0.1", 0),
        maps=(parse_static_map(f"127.0.0.1:0={target}"),) if target else (),
        resolve=(ResolveOverride("broken.example.com", None, "127.0.0.1", None),),
        lab=True,
        with_gateways=True,
        drain_seconds=0.2,
        access_log="/dev/null",
    )
    async with Sandbox(settings) as sandbox:
        yield Mesh(sandbox, certificates / "ca.crt")


def test_an_allowed_request_and_a_blocked_one(certificates: Path) -> None:
    async def test() -> None:
        async with mesh(certificates, CONFIGS / "quickstart") as one:
            assert await one.call("http://httpbin.org/status/204") == 204
            assert await one.call("http://www.google.com/") == 502
            allowed = await one.labels("istio_requests_total", response_code="204")
            blocked = await one.labels("istio_requests_total", response_code="502")
            samples = await one.samples()

        assert allowed["destination_service"] == allowed["destination_service_name"] == "httpbin.org"
        assert allowed["destination_workload"] == allowed["destination_canonical_service"] == "sites"
        assert allowed["reporter"] == "source"
        assert (blocked["destination_service"], blocked["destination_service_name"]) == (
            "www.google.com",
            "BlackHoleCluster",
        )
        assert (blocked["destination_service_namespace"], blocked["response_flags"]) == ("unknown", "-")
        assert counted(samples, "istio_requests_total") == 2
        assert counted(samples, "istio_request_duration_milliseconds_count") == 2
        assert counted(samples, "istio_request_bytes_bucket", le="+Inf", response_code="204") == 1
        assert counted(samples, "istio_response_bytes_sum", response_code="204") > 50

    asyncio.run(test())


def test_a_request_to_a_host_that_nobody_declared_passes(certificates: Path) -> None:
    async def test() -> None:
        async with mesh(certificates, CONFIGS / "allow-any.yaml") as one:
            assert await one.call("http://httpbin.org/status/204") == 204
            passed = await one.labels("istio_requests_total")

        assert (passed["destination_service"], passed["destination_service_name"]) == (
            "httpbin.org",
            "PassthroughCluster",
        )
        assert passed["destination_workload"] == "unknown"

    asyncio.run(test())


def test_tls_by_server_name_and_without_one_that_is_known(certificates: Path) -> None:
    async def test() -> None:
        async with mesh(certificates, CONFIGS / "quickstart") as one:
            assert await one.call("https://httpbin.org/get") == 200
            assert await one.call("https://www.google.com/") == 0
            allowed = await one.labels("istio_tcp_connections_closed_total", response_flags="-")
            blocked = await one.labels("istio_tcp_connections_closed_total", response_flags="UH")
            samples = await one.samples()

        assert (allowed["destination_service"], allowed["request_protocol"]) == ("httpbin.org", "tcp")
        assert (blocked["destination_service"], blocked["destination_service_name"]) == ("unknown", "BlackHoleCluster")
        assert counted(samples, "istio_tcp_connections_opened_total") == 2
        assert counted(samples, "istio_tcp_sent_bytes_total", response_flags="-") > 1000
        assert counted(samples, "istio_requests_total") == 0

    asyncio.run(test())


def test_a_connection_to_a_database_is_counted(certificates: Path) -> None:
    async def test() -> None:
        async with mesh(certificates, EXAMPLES / "database", target="redis.example.com:6379") as one:
            await one.over_tcp(b"PING\r\n")
            samples = await one.samples()
            labels = await one.labels("istio_tcp_received_bytes_total")

        assert labels["destination_service"] == "redis.example.com"
        assert counted(samples, "istio_tcp_received_bytes_total") == len(b"PING\r\n")
        assert counted(samples, "istio_tcp_sent_bytes_total") == len(b"+PONG\r\n")

    asyncio.run(test())


@pytest.mark.parametrize("hop", [pytest.param("", id="in plain text"), pytest.param(MUTUAL, id="in mutual TLS")])
def test_both_hops_count_a_call_through_the_gateway(hop: str, certificates: Path, tmp_path: Path) -> None:
    async def test() -> None:
        files = [CONFIGS / "egress-gateway", tmp_path / "pod.yaml"]
        files[1].write_text(POD)
        if hop:
            files = [tmp_path / "mutual.yaml", files[1]]
            text = next((CONFIGS / "egress-gateway").glob("*gateway*.yaml")).read_text()
            text = text.replace(
                "name: http\n      protocol: HTTP\n",
                "name: https\n      protocol: HTTPS\n    tls: {mode: ISTIO_MUTUAL}\n",
            )
            files[0].write_text("---\n".join((text, hop)))
        async with mesh(certificates, *files, workload="default/buyer-1") as one:
            assert await one.call("http://httpbin.org/status/204", streams=2) == 204
            sidecar = await one.labels("istio_requests_total")
            beside = list(one.sandbox.nodes)[1]
            gateway = await one.labels("istio_requests_total", f"/stats/prometheus?node={beside}")
            both = await one.samples("/stats/prometheus?node=all")

        assert (sidecar["source_workload"], sidecar["source_app"], sidecar["source_version"]) == (
            "buyer",
            "buyer",
            "v3",
        )
        assert sidecar["destination_service"] == "istio-egressgateway.istio-system.svc.cluster.local"
        assert sidecar["destination_service_name"] == "istio-egressgateway"
        assert sidecar["destination_workload_namespace"] == "istio-system"
        assert (gateway["reporter"], gateway["source_workload_namespace"]) == ("source", "istio-system")
        assert gateway["destination_service"] == "httpbin.org"
        assert counted(both, "istio_requests_total", response_code="204") == 2
        buyer = "spiffe://cluster.local/ns/default/sa/buyer"
        assert sidecar["source_principal"] == (buyer if hop else "unknown")
        assert sidecar["destination_principal"].startswith(
            "spiffe://cluster.local/ns/istio-system/sa/" if hop else "unknown"
        )

    asyncio.run(test())


def test_every_port_tells_the_same_to_a_prometheus_parser(certificates: Path) -> None:
    async def test() -> None:
        async with mesh(certificates, CONFIGS / "quickstart") as one:
            await one.call("http://httpbin.org/status/204")
            texts = [
                await told(one.sandbox, port_path)
                for port_path in (("METRICS", "/stats/prometheus"), ("AGENT", "/metrics"))
            ]
            texts.append(await told(one.sandbox, ("AGENT", "/stats/prometheus")))

        for samples in map(parsed, texts):
            assert counted(samples, "istio_requests_total") == 1
            assert counted(samples, "istio_build", component="proxy") == 1
            assert counted(samples, "envoy_server_live") == 1
            assert not any(name.startswith("envoy_cluster_upstream") for name, _, _ in samples), (
                "Istio keeps none of these"
            )

    asyncio.run(test())


async def told(sandbox: Sandbox, port_path: tuple[str, str]) -> str:
    """What one of Istio's ports would answer, on a port that is free."""
    port = {"METRICS": METRICS, "AGENT": AGENT}[port_path[0]]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: AdminProtocol(port, sandbox, is_loopback_only=True), "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{number}{port_path[1]}") as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        text = await answer.text()
    server.close()
    return text


def test_counts_survive_a_reload(certificates: Path) -> None:
    async def test() -> None:
        async with mesh(certificates, CONFIGS / "quickstart") as one:
            await one.call("http://httpbin.org/status/204")
            await one.sandbox.reload()
            await one.call("http://httpbin.org/status/204")
            samples = await one.samples()

        assert counted(samples, "istio_requests_total") == 2

    asyncio.run(test())


def test_a_mesh_that_measures_nothing_says_why(certificates: Path, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet.yaml"
    quiet.write_text(
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: quiet, namespace: istio-system}\n"
        "spec: {metrics: [{overrides: [{disabled: true}]}]}\n"
    )

    async def test() -> None:
        async with mesh(certificates, CONFIGS / "quickstart", quiet) as one:
            await one.call("http://httpbin.org/status/204")
            text = await one.text()

        assert text.startswith("# Istio's own metrics are off: ")
        assert counted(parsed(text), "istio_requests_total") == 0
        assert counted(parsed(text), "envoy_server_live") == 1

    asyncio.run(test())


# --- examples that show what monitoring sees ---

CALLS = re.compile(r"^\| `GET (?P<url>[^`]+)` \| (?P<status>\d+) \|", re.MULTILINE)
SERIES = re.compile(r"^(?P<name>istio_\w+)\{(?P<labels>.*)\} (?P<value>\d+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def series_shown(readme: str) -> Iterator[tuple[str, Mapping[str, str], int]]:
    for found in SERIES.finditer(readme):
        yield found["name"], dict(LABEL.findall(found["labels"])), int(found["value"])


@pytest.mark.parametrize("example", ["blocked-or-broken", "unknown-hosts-pass"])
def test_the_example_shows_what_a_prometheus_reads(example: str, certificates: Path) -> None:
    readme = (EXAMPLES / example / "README.md").read_text(encoding="utf-8")
    shown = list(series_shown(readme))

    async def test() -> None:
        async with mesh(certificates, EXAMPLES / example) as one:
            for found in CALLS.finditer(readme):
                assert await one.call(found["url"]) == int(found["status"])
            samples = await one.samples()

        assert len(shown) == 2
        for name, labels, value in shown:
            assert counted(samples, name, **labels) == value

    asyncio.run(test())


def test_a_workload_that_calls_beside_the_runs_own_is_a_node_too(certificates: Path) -> None:
    async def test() -> None:
        async with mesh(certificates, CONFIGS / "quickstart") as one:
            proxy = f"http://{one.sandbox.addresses['proxy']}"
            user = base64.b64encode(b"shop/frontend:x").decode()
            async with ClientSession() as session:
                await session.get(
                    "http://httpbin.org/status/204", proxy=proxy, headers={"Proxy-Authorization": f"Basic {user}"}
                )
            own = await one.samples()
            shop = await one.labels("istio_requests_total", "/stats/prometheus?node=shop/frontend")

        assert counted(own, "istio_requests_total") == 0
        assert (shop["source_workload"], shop["source_workload_namespace"]) == ("frontend", "shop")

    asyncio.run(test())
