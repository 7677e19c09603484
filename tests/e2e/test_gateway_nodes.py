"""Which gateways run beside the sidecar: replicas, several namespaces, and what a reload adds and removes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner

from sandbox.app import Sandbox
from sandbox.cli.main import egress
from sandbox.errors import SettingsError
from sandbox.istio.load import load_texts
from sandbox.loading import load
from sandbox.loading.stand_in_gateways import gateway_workloads, stand_ins
from sandbox.settings import HostPort, Settings, parse_endpoint

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
JSON_LOG = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogEncoding: JSON
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
"""
ENTRY = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: sites}
spec:
  hosts: [httpbin.org, api.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
"""


def gateway(name: str, host: str, service: str, port: int = 80) -> str:
    """A Gateway, and the VirtualService that leads to its service."""
    return f"""\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  selector: {{istio: {name}}}
  servers: [{{port: {{number: {port}, name: http-{port}, protocol: HTTP}}, hosts: ["{host}"]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{host}]
  gateways: [{name}, mesh]
  http:
  - match: [{{gateways: [mesh], port: 80}}]
    route: [{{destination: {{host: {service}, port: {{number: {port}}}}}}}]
  - match: [{{gateways: [{name}], port: {port}}}]
    route: [{{destination: {{host: {host}, port: {{number: 80}}}}}}]
"""


def pods(name: str, namespace: str, addresses: list[str], ports: dict[int, int]) -> str:
    """A Service with an endpoint and a Pod for each address."""
    listed = ", ".join(f"{{name: http-{port}, port: {port}, targetPort: {target}}}" for port, target in ports.items())
    targets = ", ".join(f"{{name: http-{port}, port: {target}}}" for port, target in ports.items())
    documents = [
        f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{clusterIP: 10.96.3.{len(namespace)}, selector: {{istio: {name}}}, ports: [{listed}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{targets}]
endpoints: [{", ".join(f'{{addresses: ["{address}"], conditions: {{ready: true}}}}' for address in addresses)}]
"""
    ]
    documents += [
        f"""\
apiVersion: v1
kind: Pod
metadata: {{name: {name}-{number}, namespace: {namespace}, labels: {{istio: {name}}}}}
status: {{podIP: {address}}}
"""
        for number, address in enumerate(addresses)
    ]
    return "---\n".join(documents)


class Mesh:
    """A running sandbox whose YAML can be written anew."""

    def __init__(self, directory: Path, *documents: str) -> None:
        self.file, self.log = directory / "mesh.yaml", directory / "log"
        self.write(*documents)
        self.sandbox = Sandbox(
            Settings(
                files=(str(self.file),),
                proxy=HostPort("127.0.0.1", 0),
                lab=True,
                with_gateways=True,
                drain_seconds=0.2,
                access_log=str(self.log),
            )
        )

    def write(self, *documents: str) -> None:
        self.file.write_text("---\n".join((JSON_LOG, ENTRY, *documents)))

    async def get(self, host: str) -> int:
        proxy = f"http://{self.sandbox.addresses['proxy']}"
        async with ClientSession() as session, session.get(f"http://{host}/status/204", proxy=proxy) as reply:
            return reply.status

    def logged(self, field: str) -> list[str]:
        return [json.loads(line)[field] for line in self.log.read_text().splitlines()]


def test_every_replica_takes_its_share(tmp_path: Path) -> None:
    service = "out.edge.svc.cluster.local"
    addresses = ["10.1.0.1", "10.1.0.2", "10.1.0.3"]
    mesh = Mesh(tmp_path, gateway("out", "httpbin.org", service), pods("out", "edge", addresses, {80: 8080}))

    async def call() -> list[int]:
        async with mesh.sandbox:
            return [await mesh.get("httpbin.org") for _ in range(40)]

    assert asyncio.run(call()) == [204] * 40
    assert set(mesh.logged("downstream_local_address")) >= {f"{address}:8080" for address in addresses}


def test_gateways_of_several_namespaces_run_beside_each_other(tmp_path: Path) -> None:
    mesh = Mesh(
        tmp_path,
        gateway("one", "httpbin.org", "one.edge.svc.cluster.local"),
        gateway("two", "api.example.com", "two.border.svc.cluster.local"),
        pods("one", "edge", ["10.1.0.1"], {80: 8080}),
        pods("two", "border", ["10.1.0.2"], {80: 8080}),
    )

    async def call() -> tuple[int, int]:
        async with mesh.sandbox:
            return await mesh.get("httpbin.org"), await mesh.get("api.example.com")

    assert asyncio.run(call()) == (204, 204)
    assert {"10.1.0.1:8080", "10.1.0.2:8080"} <= set(mesh.logged("downstream_local_address"))


def test_reload_adds_and_removes_gateways_and_ports(tmp_path: Path) -> None:
    service = "out.edge.svc.cluster.local"
    described = pods("out", "edge", ["10.1.0.1"], {80: 8080, 81: 8081})
    mesh = Mesh(tmp_path)

    async def story() -> list[tuple[int, list[str]]]:
        found: list[tuple[int, list[str]]] = []
        async with mesh.sandbox:
            for documents in (
                (),
                (described, gateway("out", "httpbin.org", service)),
                (described, gateway("out", "httpbin.org", service, 81)),
                (),
            ):
                mesh.write(*documents)
                assert not (await mesh.sandbox.reload()).errors
                status = await mesh.get("httpbin.org")
                gateways = mesh.sandbox.gateways
                found.append((status, gateways.listening if gateways is not None else []))
        return found

    assert asyncio.run(story()) == [
        (204, []),
        (204, ["10.1.0.1:8080"]),
        (204, ["10.1.0.1:8081"]),
        (204, []),
    ]


def test_calls_in_progress_survive_the_removal_of_their_gateway(tmp_path: Path) -> None:
    service = "out.edge.svc.cluster.local"

    def replicas(count: int) -> tuple[str, str]:
        addresses = [f"10.1.0.{number}" for number in range(1, count + 1)]
        return pods("out", "edge", addresses, {80: 8080}), gateway("out", "httpbin.org", service)

    mesh = Mesh(tmp_path, *replicas(3))

    async def story() -> list[int]:
        async with mesh.sandbox, ClientSession() as session:
            proxy = f"http://{mesh.sandbox.addresses['proxy']}"

            async def call_on() -> list[int]:
                found = []
                for _ in range(8):
                    async with session.get("http://httpbin.org/delay/0.02", proxy=proxy) as reply:
                        found.append(reply.status)
                return found

            calls = asyncio.gather(*(call_on() for _ in range(4)))
            for count in (1, 2):
                mesh.write(*replicas(count))
                assert not (await mesh.sandbox.reload()).errors
            return [status for statuses in await calls for status in statuses]

    assert asyncio.run(story()) == [200] * 32


@pytest.mark.parametrize(
    ("label", "asked"),
    [
        pytest.param("egresgateway", "its selector says istio: egresgateway, did you mean egressgateway?", id="a slip"),
        pytest.param("egressgateway", "", id="the usual one"),
        pytest.param("eastgateway", "", id="one of another kind"),
    ],
)
def test_a_selector_that_is_nearly_the_usual_one_is_asked_about(label: str, asked: str) -> None:
    _, (told,) = stand_ins(load_texts([("mesh.yaml", gateway(label, "a.example.com", "x"))]))

    assert told.partition("; ")[2] == asked


def test_where_a_gateway_s_own_rules_lead_is_not_the_gateway() -> None:
    rules = "{route: [{destination: {host: api.shop.svc.cluster.local}}]}"
    routes = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\n"
    routes += f"spec: {{hosts: [a.example.com], gateways: [egressgateway], http: [{rules}]}}\n"

    _, (told,) = stand_ins(
        load_texts([("mesh.yaml", f"{gateway('egressgateway', 'a.example.com', 'x')}---\n{routes}")])
    )

    assert "(istio-system/istio-egressgateway)" in told


def test_gateways_whose_selectors_fit_one_installation_share_it() -> None:
    wide, narrow = gateway("egressgateway", "a.example.com", "x"), gateway("b", "b.example.com", "x")
    narrow = narrow.replace("{istio: b}", "{app: istio-egressgateway, istio: egressgateway}")
    text, told = stand_ins(load_texts([("mesh.yaml", f"{wide}---\n{narrow}")]))

    assert len(told) == 1
    configuration = load_texts([("mesh.yaml", f"{wide}---\n{narrow}---\n{text}")])
    assert gateway_workloads(configuration) == ["istio-system/istio-egressgateway"]


def test_nothing_stands_in_for_a_gateway_that_runs_elsewhere() -> None:
    only_endpoints = pods("out", "edge", ["10.1.0.1"], {80: 8080}).partition("---\napiVersion: v1\nkind: Pod")[0]
    assert stand_ins(load_texts([("mesh.yaml", f"{gateway('out', 'a.example.com', 'x')}---\n{only_endpoints}")])) == (
        "",
        [],
    )


def test_named_target_ports_are_those_of_the_charts(tmp_path: Path) -> None:
    service = """\
apiVersion: v1
kind: Service
metadata: {name: out, namespace: edge}
spec:
  clusterIP: 10.96.3.4
  selector: {istio: out}
  ports: [{name: http, port: 80, targetPort: web}, {name: status, port: 15021, targetPort: 15021}]
"""
    mesh = Mesh(tmp_path, gateway("out", "httpbin.org", "out.edge.svc.cluster.local"), service)

    async def call() -> int:
        async with mesh.sandbox:
            return await mesh.get("httpbin.org")

    assert asyncio.run(call()) == 204
    assert "10.244.0.20:8080" in mesh.logged("downstream_local_address")


SCOPED = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec: {components: {pilot: {k8s: {env: [{name: PILOT_SCOPE_GATEWAY_TO_NAMESPACE, value: "true"}]}}}}
"""


def test_gateways_that_are_scoped_to_their_namespace_have_pods_there() -> None:
    described = [gateway("out", "a.example.com", ONE_SERVICE), pods("out", "edge", ["10.1.0.1"], {80: 8080})]
    wide = load_texts([("mesh.yaml", "---\n".join(described))])
    scoped = load_texts([("mesh.yaml", "---\n".join((SCOPED, *described)))])

    assert gateway_workloads(wide) == ["edge/out-0"]
    assert gateway_workloads(scoped) == []
    assert [sentence.partition(":")[0] for sentence in stand_ins(scoped)[1]] == [
        "no pod runs gateway default/out (default/istio-out)"
    ]


def test_stand_ins_do_not_share_addresses() -> None:
    text, _ = stand_ins(load_texts([("mesh.yaml", gateway("aa", "a.x", "x") + "---\n" + gateway("bb", "b.x", "x"))]))
    assert 'podIP: "10.244.0.20"' in text
    assert 'podIP: "10.244.0.21"' in text
    assert text.count("clusterIP: 10.96.255.20") == text.count("clusterIP: 10.96.255.21") == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["config", "listeners", "--node", "gateway"], "8080"),
        (
            ["config", "routes", "--node", "gateway", "--workload", "istio-system/istio-egressgateway"],
            "edition.cnn.com",
        ),
        (["config", "clusters", "--node", "all"], "istio-egressgateway.istio-system"),
        (["explain", "http://edition.cnn.com/"], "10.244.0.20:8080"),
        (["explain", "http://edition.cnn.com/", "--node", "gateway"], "outbound|80||edition.cnn.com"),
        (["explain", "https://edition.cnn.com/", "--node", "gateway"], "outbound|443||edition.cnn.com"),
    ],
    ids=["listeners", "routes", "clusters", "explain", "explain at the gateway", "explain TLS at the gateway"],
)
def test_commands_know_the_gateway_that_nobody_described(arguments: list[str], expected: str) -> None:
    result = CliRunner().invoke(egress, [*arguments, "-f", str(EXAMPLES / "gateway-http-and-https")])
    assert result.exit_code == 0, result.output
    assert expected in result.output


ONE_SERVICE = "out.edge.svc.cluster.local"


@pytest.mark.parametrize(
    ("options", "endpoints"),
    [
        pytest.param(["out.edge=10.0.0.2"], {"10.0.0.2:8080", "10.0.0.2:8081"}, id="the targets of all ports"),
        pytest.param(
            ["out.edge=10.0.0.2", "out.edge=10.0.0.3"],
            {"10.0.0.2:8080", "10.0.0.2:8081", "10.0.0.3:8080", "10.0.0.3:8081"},
            id="replicas",
        ),
        pytest.param(["out.edge:80=127.0.0.1:18080"], {"127.0.0.1:18080"}, id="one port"),
        pytest.param([f"{ONE_SERVICE}=2001:db8::7"], {"2001:db8::7:8080", "2001:db8::7:8081"}, id="IPv6"),
    ],
)
def test_a_service_is_where_its_endpoints_are_given(options: list[str], endpoints: set[str], tmp_path: Path) -> None:
    described = pods("out", "edge", ["10.1.0.1"], {80: 8080, 81: 8081})
    (tmp_path / "mesh.yaml").write_text("---\n".join((ENTRY, described, gateway("out", "httpbin.org", ONE_SERVICE))))
    given = [part for option in options for part in ("--endpoint", option)]

    result = CliRunner().invoke(egress, ["config", "endpoints", "-f", str(tmp_path), *given])

    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines() if ONE_SERVICE in line]
    assert {line[0] for line in lines} == endpoints


def test_a_pod_of_given_endpoints_is_not_the_one_that_calls(tmp_path: Path) -> None:
    """A Service outside, as in Istio's task of mutual TLS origination at the gateway."""
    mesh = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: my-nginx, namespace: outside}\nspec: {ports: [{port: 443}]}\n"
    )
    (tmp_path / "mesh.yaml").write_text(mesh)
    settings = Settings(files=(str(tmp_path),), endpoints=(parse_endpoint("my-nginx.outside=127.0.0.1:4443"),))

    assert load(settings).plan.workload == "default/egress-sandbox"


def test_gateways_that_run_elsewhere_do_not_run_here(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text("---\n".join((JSON_LOG, ENTRY, gateway("out", "httpbin.org", ONE_SERVICE))))

    async def start() -> tuple[list[str], list[str]]:
        settings = Settings(
            files=(str(tmp_path),),
            proxy=None,
            with_gateways=True,
            endpoints=(parse_endpoint("out.edge=127.0.0.1"),),
            drain_seconds=0.2,
        )
        async with Sandbox(settings) as sandbox:
            assert sandbox.loaded is not None
            told = [problem.message for problem in sandbox.loaded.configuration.problems]
            return sandbox.gateways.names if sandbox.gateways is not None else [], told

    names, told = asyncio.run(start())
    assert names == []
    assert told == ["out.edge runs at 127.0.0.1 (15021→15021, 80→8080, 443→8443)"]


def test_an_endpoint_of_nothing_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text("---\n".join((ENTRY, gateway("out", "httpbin.org", ONE_SERVICE))))
    result = CliRunner().invoke(egress, ["check", "-f", str(tmp_path), "--endpoint", "uot.edge=127.0.0.1"])
    assert "error SBX0704: --endpoint uot.edge: no file has this Service" in result.output
    assert "did you mean out.edge?" in result.output


@pytest.mark.parametrize("text", ["gateway", "a.b.example.com=10.0.0.1", "out.edge=host.example.com"])
def test_what_names_no_service_or_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_endpoint(text)
