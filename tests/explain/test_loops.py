"""Calls that come back to a gateway: found on the plan, told by explain and check, and refused when they come."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner

from sandbox.app import Sandbox
from sandbox.cli.main import egress
from sandbox.compiler import PushContext
from sandbox.istio.load import load_texts
from sandbox.loading.gateway_plans import GatewayPlans
from sandbox.loading.stand_in_gateways import stand_ins
from sandbox.plan.because import origin_of
from sandbox.settings import HostPort, Settings

ENTRY = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: site}
spec:
  hosts: [httpbin.org]
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]
  resolution: DNS
"""
ENTRY_AT_THE_GATEWAY = f"{ENTRY}  endpoints: [{{address: a.edge.svc.cluster.local}}]\n"
RULES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: site}
spec:
  hosts: [httpbin.org]
  gateways: [a, b, mesh]
"""


def gateway(name: str) -> str:
    return f"""\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  selector: {{istio: {name}}}
  servers:
  - {{port: {{number: 80, name: http, protocol: HTTP}}, hosts: [httpbin.org]}}
  - {{port: {{number: 443, name: tls, protocol: TLS}}, hosts: [httpbin.org], tls: {{mode: PASSTHROUGH}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: edge}}
spec:
  clusterIP: 10.96.0.{ord(name)}
  selector: {{istio: {name}}}
  ports: [{{name: http, port: 80, targetPort: 8080}}, {{name: tls, port: 443, targetPort: 8443}}]
"""


def http(*rules: str) -> str:
    return RULES + "  http:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules)


def to(name: str, port: int = 80) -> str:
    return f"route: [{{destination: {{host: {name}, port: {{number: {port}}}}}}}]"


A, B, OUT = "a.edge.svc.cluster.local", "b.edge.svc.cluster.local", "httpbin.org"
TLS = """\
  tls:
  - match: [{port: 443, sniHosts: [httpbin.org]}]
    route: [{destination: {host: a.edge.svc.cluster.local, port: {number: 443}}}]
"""
MESHES = {
    "a rule without gateways leads back": ([ENTRY, http(to(A))], {("edge/a", 8080)}),
    "so does a TLS rule": ([ENTRY, RULES + TLS], {("edge/a", 8443)}),
    "one gateway to the other and back": (
        [ENTRY, http(f"match: [{{gateways: [a]}}], {to(B)}", f"match: [{{gateways: [b, mesh]}}], {to(A)}")],
        {("edge/a", 8080), ("edge/b", 8080)},
    ),
    "an entry whose endpoint is the gateway": (
        [
            ENTRY_AT_THE_GATEWAY,
            http(f"match: [{{gateways: [mesh]}}], {to(A)}", f"match: [{{gateways: [a]}}], {to(OUT)}"),
        ],
        {("edge/a", 8080)},
    ),
    "only what the match takes": (
        [ENTRY, http(f"match: [{{uri: {{prefix: /back}}}}], {to(A)}", f"match: [{{gateways: [a]}}], {to(OUT)}")],
        {("edge/a", 8080)},
    ),
    "only what a pattern takes": (
        [
            ENTRY,
            http(f"match: [{{uri: {{regex: '/(back|away)/.+'}}}}], {to(A)}", f"match: [{{gateways: [a]}}], {to(OUT)}"),
        ],
        {("edge/a", 8080)},
    ),
    "a pattern beside a rule that takes its shortest text": (
        [
            ENTRY,
            http(
                f"match: [{{uri: {{exact: /back}}}}], {to(OUT)}",
                f"match: [{{uri: {{regex: /back.*}}}}], {to(A)}",
                f"match: [{{gateways: [a]}}], {to(OUT)}",
            ),
        ],
        {("edge/a", 8080)},
    ),
    "a pattern of headers": (
        [
            ENTRY,
            http(
                f"match: [{{headers: {{who: {{regex: '[a-c]{{2}}'}}}}, method: {{regex: GET|PUT}}}}], {to(A)}",
                f"match: [{{gateways: [a]}}], {to(OUT)}",
            ),
        ],
        {("edge/a", 8080)},
    ),
    "a pattern of authorities": (
        [
            ENTRY,
            http(
                f"match: [{{authority: {{regex: 'httpbin\\.org(:80)?'}}}}], {to(A)}",
                f"match: [{{gateways: [a]}}], {to(OUT)}",
            ),
        ],
        {("edge/a", 8080)},
    ),
    "a pattern that nothing of the host fits": (
        [
            ENTRY,
            http(
                f"match: [{{authority: {{regex: 'www\\..*'}}}}], {to(A)}",
                f"match: [{{gateways: [mesh]}}], {to(A)}",
                f"match: [{{gateways: [a]}}], {to(OUT)}",
            ),
        ],
        set(),
    ),
    "through both gateways and out": (
        [
            ENTRY,
            http(
                f"match: [{{gateways: [mesh]}}], {to(A)}",
                f"match: [{{gateways: [a]}}], {to(B)}",
                f"match: [{{gateways: [b]}}], {to(OUT)}",
            ),
        ],
        set(),
    ),
    "back with another path": (
        [
            ENTRY,
            http(
                f"match: [{{uri: {{exact: /first}}, gateways: [a]}}], rewrite: {{uri: /second}}, {to(A)}",
                f"match: [{{gateways: [mesh]}}], {to(A)}",
                f"match: [{{gateways: [a]}}], {to(OUT)}",
            ),
        ],
        set(),
    ),
}


@pytest.mark.parametrize(("documents", "expected"), MESHES.values(), ids=list(MESHES))
def test_circles_are_found_and_nothing_else(documents: list[str], expected: set[tuple[str, int]]) -> None:
    text = "---\n".join((gateway("a"), gateway("b"), *documents))
    added, _ = stand_ins(load_texts([("mesh.yaml", text)]))
    configuration = load_texts([("mesh.yaml", f"{text}---\n{added}")])
    assert not configuration.problems.errors
    plans = GatewayPlans(configuration, PushContext(configuration))

    loops = [loop for proxy in plans.proxies for loop in plans.loops(proxy)]

    assert {(loop.walk.workload, loop.walk.call.port) for loop in loops} == expected
    assert all(origin_of(loop.because) is not None for loop in loops)


LOOKED_UP = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: any}
spec:
  hosts: ["*.HOST"]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DYNAMIC_DNS
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: any}
spec:
  selector: {istio: a}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.HOST"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: any}
spec: {hosts: ["*.HOST"], gateways: [any], http: [{route: [{destination: {host: "*.HOST"}}]}]}
"""
ALIAS = """\
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: out}
spec: {type: ExternalName, externalName: a.edge.svc.cluster.local}
"""


@pytest.mark.parametrize(
    ("host", "more", "expected"),
    [
        pytest.param("edge.svc.cluster.local", "", ["a.edge.svc.cluster.local"], id="its own Service's name"),
        pytest.param("out.svc", ALIAS, ["alias.out.svc"], id="another name for it"),
        pytest.param("example.com", "", [], id="names that only DNS knows"),
    ],
)
def test_names_that_lead_back_are_foreseen(host: str, more: str, expected: list[str]) -> None:
    text = "---\n".join((gateway("a"), LOOKED_UP.replace("HOST", host), more))
    added, _ = stand_ins(load_texts([("mesh.yaml", text)]))
    configuration = load_texts([("mesh.yaml", f"{text}---\n{added}")])
    plans = GatewayPlans(configuration, PushContext(configuration))
    (proxy,) = plans.proxies

    # the route takes other names, too: a run does not refuse it as a whole
    assert plans.loops(proxy) == ()
    assert [loop.walk.call.host for loop in plans.loops(proxy, by_name=True)] == expected


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    file = tmp_path / "mesh.yaml"
    back = f"match: [{{uri: {{prefix: /back}}}}], {to(A)}"
    rules = http(back, f"match: [{{gateways: [mesh]}}], {to(A)}", f"match: [{{gateways: [a]}}], {to(OUT)}")
    file.write_text("---\n".join((gateway("a"), ENTRY, rules)))
    return file


def test_check_and_explain_tell_of_the_circle(mesh: Path) -> None:
    checked = CliRunner().invoke(egress, ["check", "-f", str(mesh)])
    explained = CliRunner().invoke(egress, ["explain", "http://httpbin.org/back", "-f", str(mesh)])

    line = mesh.read_text()[: mesh.read_text().index("- {match: [{uri")].count("\n") + 1
    assert f"{mesh}:{line}:47: error SBX0705: calls for httpbin.org at gateway edge/a, port 8080" in checked.output
    assert "outcome       a loop: the call comes back to edge/a" in explained.output


def test_a_call_in_a_circle_is_refused_and_others_go_on(
    mesh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EGRESS_CERTS", str(tmp_path / "certs"))

    async def call() -> list[int]:
        settings = Settings(
            files=(str(mesh),), proxy=HostPort("127.0.0.1", 0), lab=True, with_gateways=True, drain_seconds=0.2
        )
        async with Sandbox(settings) as sandbox, ClientSession() as session:
            proxy = f"http://{sandbox.addresses['proxy']}"
            found = []
            for path in ("/status/204", "/back/1"):
                async with session.get(f"http://httpbin.org{path}", proxy=proxy) as reply:
                    found.append(reply.status)
            return found

    assert asyncio.run(call()) == [204, 508]
    assert "egress: LOOP refused: calls for httpbin.org at gateway edge/a, port 8080" in capsys.readouterr().err


WILDCARD = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: site}
spec:
  hosts: [httpbin.org]
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]
"""
TLS_OUT = """\
  tls:
  - match: [{gateways: [mesh], port: 443, sniHosts: [httpbin.org]}]
    route: [{destination: {host: a.edge.svc.cluster.local, port: {number: 443}}}]
  - match: [{gateways: [a], port: 443, sniHosts: [httpbin.org]}]
    route: [{destination: {host: httpbin.org, port: {number: 443}}}]
"""


@pytest.mark.parametrize(
    ("entry", "rules", "expected"),
    [
        pytest.param(WILDCARD, http(f"match: [{{gateways: [a]}}], {to(OUT)}"), 1, id="HTTP"),
        pytest.param(WILDCARD, RULES + TLS_OUT, 1, id="TLS"),
        pytest.param(ENTRY, http(f"match: [{{gateways: [a]}}], {to(OUT)}"), 0, id="a host with addresses"),
        pytest.param(WILDCARD, http(f"match: [{{gateways: [mesh]}}], {to(OUT)}"), 0, id="a route of the sidecar"),
    ],
)
def test_check_tells_of_hosts_that_a_gateway_cannot_find(entry: str, rules: str, expected: int, tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text("---\n".join((gateway("a"), gateway("b"), entry, rules)))
    told = CliRunner().invoke(egress, ["check", "-f", str(tmp_path)]).output
    assert told.count("warning SBX0706: httpbin.org has resolution NONE") == expected
