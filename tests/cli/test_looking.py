"""The commands that only look at a configuration: config, explain, check, export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from sandbox.cli.main import egress

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
WITHOUT_GATEWAYS = sorted(
    place.name for place in CONFIGS.iterdir() if place.suffix != ".md" and "gateway" not in place.name
)
QUICKSTART = ("-f", str(CONFIGS / "quickstart"))
BLOCKED_BY_MISTAKE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: lost}
spec:
  hosts: [a.example.com]
  gateways: [nowhere]
  http:
  - route: [{destination: {host: a.example.com}}]
"""


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(egress, arguments, input=text, standalone_mode=False, catch_exceptions=False)


def test_a_config_dump_has_all_sections() -> None:
    dump = json.loads(run("config", "dump", *QUICKSTART).stdout)

    kinds = [section["@type"].rpartition(".")[2] for section in dump["configs"]]
    assert kinds == [
        "BootstrapConfigDump",
        "ClustersConfigDump",
        "EndpointsConfigDump",
        "ListenersConfigDump",
        "RoutesConfigDump",
    ]


def test_a_config_dump_says_why() -> None:
    _, clusters, *_ = json.loads(run("config", "dump", "--because", *QUICKSTART).stdout)["configs"]

    found = {entry["cluster"]["name"]: entry["cluster"]["because"] for entry in clusters["dynamic_active_clusters"]}
    origins = {reason["what"]: reason["origin"] for reason in found["outbound|443||httpbin.org"]}
    assert origins["port"].endswith("hosts.yaml:14")


@pytest.mark.parametrize(
    ("what", "heading"),
    [
        ("listeners", "ADDRESSES PORT"),
        ("routes", "NAME     VHOST NAME"),
        ("clusters", "SERVICE FQDN"),
        ("endpoints", "NAME"),
    ],
)
def test_tables_have_istioctls_headings(what: str, heading: str) -> None:
    assert run("config", what, *QUICKSTART).stdout.startswith(heading)


def test_tables_also_come_whole() -> None:
    as_json = json.loads(run("config", "clusters", *QUICKSTART, "-o", "json").stdout)
    as_yaml = yaml.safe_load(run("config", "clusters", *QUICKSTART, "-o", "yaml").stdout)

    assert as_json == as_yaml
    assert "outbound|80||httpbin.org" in [cluster["name"] for cluster in as_json]


def test_a_config_dump_is_yaml_or_all_tables_on_request() -> None:
    as_json = json.loads(run("config", "dump", *QUICKSTART).stdout)
    as_yaml = yaml.safe_load(run("config", "dump", *QUICKSTART, "-o", "yaml").stdout)
    tables = run("config", "dump", *QUICKSTART, "-o", "short").stdout.split("\n\n")

    assert [section["@type"] for section in as_yaml["configs"]] == [section["@type"] for section in as_json["configs"]]
    kinds = ("clusters", "listeners", "routes", "endpoints")
    assert [table.strip() for table in tables] == [run("config", kind, *QUICKSTART).stdout.strip() for kind in kinds]


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_names_are_those_of_hosts_with_addresses(output: str) -> None:
    names = yaml.safe_load(run("config", "names", *QUICKSTART, "-o", output).stdout)

    assert names == {"frontend.default.svc.cluster.local": ["10.96.0.80"]}


def test_names_are_a_table_in_short() -> None:
    lines = run("config", "names", *QUICKSTART, "-o", "short").stdout.splitlines()

    assert [line.split() for line in lines] == [
        ["NAME", "ADDRESSES"],
        ["frontend.default.svc.cluster.local", "10.96.0.80"],
    ]


def test_an_explanation_is_text_or_json() -> None:
    text = run("explain", "http://httpbin.org/status/500", *QUICKSTART).stdout
    walk = json.loads(run("explain", "http://httpbin.org/status/500", *QUICKSTART, "-o", "json").stdout)

    assert "response_code 403" in text
    assert walk["outcome"]["status"] == 403
    assert walk["outcome"]["route"] == "forbidden"


def test_headers_and_method_take_part() -> None:
    walk = json.loads(
        run("explain", "http://httpbin.org/get", *QUICKSTART, "-X", "post", "-H", "a: b", "-o", "json").stdout
    )

    assert walk["call"] == "POST http://httpbin.org/get"


def test_a_call_that_is_none_is_a_mistake_of_usage() -> None:
    ended = CliRunner().invoke(egress, ["explain", "httpbin.org", *QUICKSTART])

    assert ended.exit_code == 2  # click's own; main() makes it 64
    assert "names no port" in ended.stderr


def test_check_finds_what_no_single_object_shows() -> None:
    ended = run("check", "-f", "-", text=BLOCKED_BY_MISTAKE)

    assert ended.return_value == 79
    assert "IST0101" in ended.stdout


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param((), 79, id="an error"),
        pytest.param(("-S", "IST0101"), 0, id="suppressed"),
    ],
)
def test_the_threshold_decides_the_exit_status(options: tuple[str, ...], code: int) -> None:
    assert run("check", "-f", "-", *options, text=BLOCKED_BY_MISTAKE).return_value == code


def test_a_check_reads_as_istioctls_or_as_data() -> None:
    log = run("check", "-f", "-", "-o", "log", text=BLOCKED_BY_MISTAKE).stdout
    records = json.loads(run("check", "-f", "-", "-o", "json", text=BLOCKED_BY_MISTAKE).stdout)

    assert "Error [IST0101] (VirtualService lost.default <stdin>:6) referenced gateway not found" in log
    assert records[0]["code"] == "IST0101"


NEVER_REACHED = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a.example.com]
  http:
  - route: [{destination: {host: a.example.com}}]
  - match: [{uri: {prefix: /b}}]
    route: [{destination: {host: a.example.com}}]
"""


def test_what_validation_and_analysis_both_find_is_told_once() -> None:
    """istiod's ``validateVirtualService`` and istioctl's analyzer share ``analyzeUnreachableHTTPRules``."""
    records = json.loads(run("check", "-f", "-", "-o", "json", text=NEVER_REACHED).stdout)

    assert [(each["code"], each["line"]) for each in records if each["code"] == "IST0130"] == [("IST0130", 8)]


def test_an_exported_bootstrap_is_static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EGRESS_CERTS", str(tmp_path))

    bootstrap = json.loads(run("export", "envoy", *QUICKSTART).stdout)

    resources = bootstrap["static_resources"]
    assert {cluster["type"] for cluster in resources["clusters"]} == {"STATIC", "STRICT_DNS", "ORIGINAL_DST"}
    assert "rds" not in json.dumps(resources["listeners"])
    assert {secret["name"] for secret in resources["secrets"]} == {"ROOTCA", "default"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BLOCKED_BY_MISTAKE.replace("hosts:", "hots:"), id="a field that does not exist"),
        pytest.param(BLOCKED_BY_MISTAKE.replace("host: a.example.com", "host: ''"), id="an object istiod refuses"),
    ],
)
def test_errors_in_the_configuration_are_counted(text: str) -> None:
    ended = run("config", "clusters", "-f", "-", text=text)

    assert "in the configuration, egress run would not start: see egress validate" in ended.stderr
    assert ended.stdout.startswith("SERVICE FQDN")


POD = """\
apiVersion: v1
kind: Pod
metadata: {name: frontend, namespace: shop}
"""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["shop/frontned"], "it is taken as a pod without labels; did you mean shop/frontend?", id="near"),
        pytest.param(["shop/frontend"], "", id="described"),
        pytest.param(["a/b", "--labels", "app=b"], "", id="described on the command line"),
    ],
)
def test_a_workload_that_the_files_do_not_describe_is_told(options: list[str], said: str) -> None:
    ended = run("explain", "http://a.example.com", "-f", "-", "--workload", *options, text=POD)

    assert ended.stderr == (f"egress: no object describes the workload shop/frontned: {said}\n" if said else "")


@pytest.mark.parametrize("name", WITHOUT_GATEWAYS)
def test_check_finds_no_error_in_the_meshes_to_start_from(name: str) -> None:
    ended = run("check", "-f", str(CONFIGS / name))

    assert ended.return_value == 0, ended.stdout
