"""Commands that look at a configuration look at each of its nodes, and take what a cluster would take of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sandbox.cli.main import egress

ROOT = Path(__file__).resolve().parents[2]
GATEWAY = ("-f", str(ROOT / "configs" / "egress-gateway"))
MISTAKES = ("-f", str(ROOT / "examples" / "ten-mistakes"))
SIDECAR, ROUTER = "default/egress-sandbox", "istio-system/istio-egressgateway"
WORKLOADS = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
  exportTo: ["."]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  exportTo: ["."]
  http: [{route: [{destination: {host: gone.example.com}}]}]
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(egress, arguments, standalone_mode=False, catch_exceptions=False)


@pytest.mark.parametrize("what", ["listeners", "routes", "clusters", "endpoints"])
def test_all_nodes_have_their_tables(what: str) -> None:
    lines = run("config", what, *GATEWAY, "--node", "all").stdout.splitlines()
    assert [line for line in lines if line.startswith("#")] == [f"# {SIDECAR} (sidecar)", f"# {ROUTER} (router)"]


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (("dump", "--node", "all"), [SIDECAR, ROUTER]),
        (("names", "--node", "all"), [SIDECAR, ROUTER]),
        (("clusters", "--node", "all", "-o", "json"), [SIDECAR, ROUTER]),
        (("dump", "--node", "gateway"), ["configs"]),
        (("dump", "--node", "gateway", "--workload", ROUTER), ["configs"]),
    ],
    ids=["dump", "names", "clusters", "the only gateway", "a gateway by name"],
)
def test_several_nodes_are_told_apart_by_name(arguments: tuple[str, ...], keys: list[str]) -> None:
    assert list(json.loads(run("config", *arguments, *GATEWAY).stdout)) == keys


def test_the_gateways_that_stand_in_leave_nothing_to_find() -> None:
    result = run("check", *GATEWAY)
    assert result.return_value == 0
    assert result.stdout.splitlines()[0].startswith("info SBX0701: no pod runs gateway default/istio-egressgateway")
    assert result.stderr == "egress: 1 note\n"


def test_check_compiles_for_every_workload_of_the_files(tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text(WORKLOADS + "---\n" + WORKLOADS.replace("namespace: shop", "namespace: store"))

    assert len(lost_routes("-f", str(file))) == 2
    assert len(lost_routes("-f", str(file), "--workload", "shop/web")) == 1


def lost_routes(*arguments: str) -> set[int]:
    """The lines of routes to services that nobody knows."""
    found = json.loads(run("check", *arguments, "-o", "json").stdout)
    return {problem["line"] for problem in found if problem["code"] == "SBX0524"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("config", "clusters", *MISTAKES),
        ("config", "dump", *MISTAKES),
        ("explain", "http://payments.example.com/", *MISTAKES),
        ("export", "envoy", *MISTAKES),
    ],
    ids=["clusters", "dump", "explain", "export"],
)
def test_what_istiod_refuses_is_in_no_plan_and_in_the_exit_status(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.return_value == 65
    assert "outbound|80||payments.example.com" not in result.stdout
    assert result.stderr.startswith("egress: 11 errors in the configuration, egress run would not start")
