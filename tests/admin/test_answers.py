"""What a running sandbox answers on its admin port; shapes and words are those of Envoy 1.39.3."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from sandbox.app import Sandbox
from sandbox.errors import ListenError
from sandbox.settings import HostPort, ResolveOverride, Settings

from .in_a_loop import in_a_loop

MESH = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    defaultConfig: {proxyStatsMatcher: {inclusionPrefixes: [cluster.outbound]}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: sites}
spec:
  hosts: [api.example, broken.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
"""
CLUSTER = "outbound|80||api.example"


class Admin:
    """A sandbox with two sites, one of which nobody serves, and questions to its admin port."""

    def __init__(self, sandbox: Sandbox, session: ClientSession, upstream: HostPort) -> None:
        self.sandbox = sandbox
        self.upstream = upstream
        self._session = session

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        url = f"http://{self.sandbox.addresses['admin']}{path}"
        async with self._session.request(method, url, headers=headers) as response:
            return response.status, await response.text()

    async def json(self, path: str) -> Any:
        status, text = await self.ask(path)
        assert status == 200, text
        return json.loads(text)

    async def call(self, host: str) -> int:
        proxy = f"http://{self.sandbox.addresses['proxy']}"
        async with self._session.get(f"http://{host}/", proxy=proxy) as response:
            return response.status


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


@asynccontextmanager
async def admin(directory: Path) -> AsyncIterator[Admin]:
    (directory / "mesh.yaml").write_text(MESH)
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    upstream = HostPort(*server.sockets[0].getsockname()[:2])
    settings = Settings(
        files=(str(directory / "mesh.yaml"),),
        proxy=HostPort("127.0.0.1", 0),
        admin=HostPort("127.0.0.1", 0),
        resolve=(
            ResolveOverride("api.example", None, upstream.host, upstream.port),
            ResolveOverride("broken.example", None, "127.0.0.1", 1),
        ),
        drain_seconds=0.2,
    )
    async with Sandbox(settings) as sandbox, ClientSession() as session:
        yield Admin(sandbox, session, upstream)
    server.close()


@pytest.fixture
def levels() -> Iterator[None]:
    """The levels of our loggers, as they were."""
    names = [name for name in logging.getLogger().manager.loggerDict if name.startswith("sandbox")]
    before = {name: logging.getLogger(name).level for name in names}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@in_a_loop
async def test_clusters_are_told_line_by_line_as_envoy_does(tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        assert await one.call("api.example") == 200
        _, text = await one.ask("/clusters?filter=api.example")

    host = f"{CLUSTER}::{one.upstream}"
    assert text.splitlines() == [
        f"{CLUSTER}::observability_name::{CLUSTER};",
        f"{CLUSTER}::default_priority::max_connections::4294967295",
        f"{CLUSTER}::default_priority::max_pending_requests::4294967295",
        f"{CLUSTER}::default_priority::max_requests::4294967295",
        f"{CLUSTER}::default_priority::max_retries::4294967295",
        f"{CLUSTER}::high_priority::max_connections::1024",
        f"{CLUSTER}::high_priority::max_pending_requests::1024",
        f"{CLUSTER}::high_priority::max_requests::1024",
        f"{CLUSTER}::high_priority::max_retries::3",
        f"{CLUSTER}::added_via_api::true",
        f"{host}::cx_active::1",
        f"{host}::cx_connect_fail::0",
        f"{host}::cx_total::1",
        f"{host}::rq_active::0",
        f"{host}::rq_error::0",
        f"{host}::rq_pending_active::0",
        f"{host}::rq_success::1",
        f"{host}::rq_timeout::0",
        f"{host}::rq_total::1",
        f"{host}::hostname::api.example",
        f"{host}::health_flags::healthy",
        f"{host}::weight::1",
        f"{host}::region::",
        f"{host}::zone::",
        f"{host}::sub_zone::",
        f"{host}::canary::false",
        f"{host}::priority::0",
        f"{host}::success_rate::-1",
        f"{host}::local_origin_success_rate::-1",
    ]


@in_a_loop
async def test_a_host_that_nobody_serves_counts_its_failures(tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        assert await one.call("broken.example") == 503
        found = await one.json("/clusters?format=json&filter=broken")

    (status,) = found["cluster_statuses"]
    (host,) = status["host_statuses"]
    numbers = {each["name"]: each.get("value", "0") for each in host["stats"]}
    assert host["address"] == {"socket_address": {"address": "127.0.0.1", "port_value": 1}}
    assert numbers["cx_connect_fail"] == numbers["cx_total"] == "3"  # two retries, Istio's default
    assert (numbers["rq_total"], numbers["rq_error"]) == ("0", "1")
    assert host["health_status"] == {"eds_health_status": "HEALTHY"}


@in_a_loop
async def test_listeners_by_line_and_as_json(tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        _, text = await one.ask("/listeners")
        found = await one.json("/listeners?format=json")

    assert text == "0.0.0.0_80::0.0.0.0:80\nvirtualOutbound::0.0.0.0:15001\n"
    assert found["listener_statuses"][0] == {
        "name": "0.0.0.0_80",
        "local_address": {"socket_address": {"address": "0.0.0.0", "port_value": 80}},
    }


@in_a_loop
async def test_statistics_are_kept_where_the_bootstrap_keeps_them(tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        await one.call("api.example")
        _, text = await one.ask("/stats?filter=api.example;.*upstream_(rq_(total|200)|cx_total)")
        found = await one.json("/stats?format=json&filter=server.live")
        _, passthrough = await one.ask("/stats?filter=cluster.PassthroughCluster")
        _, used = await one.ask("/stats?usedonly&type=Counters&filter=^cluster.outbound.*broken")

    assert text.splitlines() == [
        f"cluster.{CLUSTER};.upstream_cx_total: 1",
        f"cluster.{CLUSTER};.upstream_rq_200: 1",
        f"cluster.{CLUSTER};.upstream_rq_total: 1",
    ]
    assert found == {"stats": [{"name": "server.live", "value": 1}]}
    assert passthrough == used == ""


@in_a_loop
async def test_prometheus_reads_envoys_counters_under_istios_tags(tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        await one.call("api.example")
        _, text = await one.ask("/stats/prometheus?filter=api.example;.*_rq")

    assert f'envoy_cluster_upstream_rq_total{{cluster_name="{CLUSTER}"}} 1\n' in text
    assert f'envoy_cluster_upstream_rq{{response_code="200",cluster_name="{CLUSTER}"}} 1\n' in text
    assert "# TYPE envoy_cluster_upstream_rq_active gauge\n" in text


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        pytest.param("/stats?filter=((", 400, "Invalid re2 regex: missing ): ((", id="a filter RE2 refuses"),
        pytest.param("/stats?format=xx", 400, "usage: /stats?format=(", id="a format nobody knows"),
        pytest.param("/config_dump?resource=foo", 404, "foo not found in config dump", id="an unknown resource"),
        pytest.param("/config_dump?resource=bootstrap", 400, "bootstrap is not a repeated field", id="a single one"),
        pytest.param(
            "/config_dump?mask=clusters",
            400,
            "FieldMask clusters could not be successfully applied",
            id="a mask of nothing",
        ),
        pytest.param(
            "/config_dump?name_regex=((",
            400,
            "INVALID_ARGUMENT: Error while parsing name_regex from ((",
            id="a bad name",
        ),
        pytest.param("/clusters?node=shop/nobody", 404, "no node is called shop/nobody", id="an unknown node"),
        pytest.param("/logging", 405, "Method GET not allowed, POST required.", id="reading what takes POST"),
    ],
)
@in_a_loop
async def test_what_cannot_be_answered_is_refused_in_envoys_words(
    path: str, status: int, words: str, tmp_path: Path
) -> None:
    async with admin(tmp_path) as one:
        found = await one.ask(path)

    assert found[0] == status
    assert found[1].startswith(words)


@in_a_loop
async def test_parts_of_the_configuration(tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        whole = await one.json("/config_dump")
        with_endpoints = await one.json("/config_dump?include_eds")
        named = await one.json("/config_dump?resource=dynamic_active_clusters&name_regex=.*api.*&mask=cluster.name")
        masked = await one.json("/config_dump?mask=bootstrap")
        static = await one.json("/config_dump?resource=static_clusters")

    kinds = [section["@type"].rpartition(".")[2] for section in whole["configs"]]
    assert kinds == ["BootstrapConfigDump", "ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump"]
    assert any(section["@type"].endswith("EndpointsConfigDump") for section in with_endpoints["configs"])
    assert named == {
        "configs": [
            {
                "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.DynamicCluster",
                "cluster": {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": CLUSTER},
            }
        ]
    }
    assert [list(section) for section in masked["configs"]] == [["@type", "bootstrap"]]
    assert static == {}


@in_a_loop
async def test_a_workload_that_has_gone_is_remembered_by_its_metrics(tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        one.sandbox.metrics.node("shop/till").counter("istio_requests_total", (("source_workload", "till"),)).value = 3
        _, nodes = await one.ask("/nodes")
        _, text = await one.ask("/stats/prometheus?node=shop/till&filter=istio_requests")
        status, _ = await one.ask("/clusters?node=shop/till")

    assert nodes == "sidecar default/egress-sandbox\ngone shop/till\n"
    assert 'istio_requests_total{source_workload="till"} 3.0\n' in text
    assert status == 404


@in_a_loop
async def test_the_server_tells_its_state_and_node(tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        ready = await one.ask("/ready")
        found = await one.json("/server_info")
        _, nodes = await one.ask("/nodes")

    assert ready == (200, "LIVE\n")
    assert found["state"] == "LIVE"
    assert found["uptime_current_epoch"].endswith("s")
    assert found["node"]["id"].startswith("sidecar~")
    assert nodes == "sidecar default/egress-sandbox\n"


@pytest.mark.usefixtures("levels")
@in_a_loop
async def test_levels_are_shown_and_changed(tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        _, changed = await one.ask("/logging?paths=sandbox.admin:debug,sandbox.proxy:error", "POST")
        _, all_of_them = await one.ask("/logging?level=info", "POST")
        refused = await one.ask("/logging?sandbox=loud", "POST")

    assert "  sandbox.admin: debug\n" in changed
    assert "  sandbox.proxy: error\n" in changed
    assert "  sandbox.proxy: info\n" in all_of_them
    assert refused[0] == 400
    assert refused[1].startswith("error: unknown logger level\n")


@in_a_loop
async def test_drained_listeners_take_no_further_connections(tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        door = one.sandbox.addresses["proxy"]
        assert await one.ask("/drain_listeners?inboundonly", "POST") == (200, "OK\n")
        _, writer = await asyncio.open_connection(door.host, door.port)
        writer.close()

        assert await one.ask("/drain_listeners", "POST") == (200, "OK\n")

        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(door.host, door.port)
        assert await one.ask("/ready") == (200, "LIVE\n")


@pytest.mark.parametrize("headers", [{"Host": "evil.test"}, {"Origin": "http://evil.test"}], ids=str)
@in_a_loop
async def test_pages_from_elsewhere_are_refused(headers: dict[str, str], tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        status, _ = await one.ask("/quitquitquit", "POST", **headers)

    assert status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@in_a_loop
async def test_nobody_gets_to_the_admin_port_through_the_proxy(host: str, tmp_path: Path) -> None:
    async with admin(tmp_path) as one:
        with pytest.raises(ClientError):
            await one.call(f"{host}:{one.sandbox.addresses['admin'].port}")

        assert await one.ask("/ready") == (200, "LIVE\n")


@in_a_loop
async def test_the_admin_port_is_for_this_machine_alone(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(MESH)
    settings = Settings(
        files=(str(tmp_path / "mesh.yaml"),), proxy=None, admin=HostPort("0.0.0.0", 0), allow_remote=True
    )

    with pytest.raises(ListenError, match="this machine alone"):
        await Sandbox(settings).start()
