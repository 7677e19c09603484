"""Arbitrary hosts by a gateway that an EnvoyFilter patches: the example runs, and three listeners write their lines."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from sandbox.app import Sandbox
from sandbox.cli.demo_client import request
from sandbox.settings import HostPort, Settings

from .test_egress_patterns import LAB, Line, differences, of_gateway, read, tcp, to_gateway

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "any-host-by-a-patched-gateway"
INSIDE, CLIENT = "envoy://by_server_name/", "envoy://internal_client_address/"
HOP = "outbound_.443_.outside_.istio-egressgateway.istio-system.svc.cluster.local"
TO_CLUSTER = "              cluster: by_server_name\n"
LOG = """\
              access_log:
              - name: envoy.access_loggers.file
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
                  path: /dev/stdout
                  log_format:
                    text_format_source:
                      inline_string: "inside %UPSTREAM_HOST% %UPSTREAM_CLUSTER_RAW% %DOWNSTREAM_LOCAL_ADDRESS%
                        %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %RESPONSE_FLAGS%\\n"
"""


async def calls(settings: Settings, authority: Path, urls: tuple[str, ...]) -> list[int]:
    async with Sandbox(settings) as sandbox:
        proxy = sandbox.addresses["proxy"]
        return [(await asyncio.to_thread(request, url, proxy, authority)).status for url in urls]


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    """The example; the listener that is added has a log."""
    directory = tmp_path / "mesh"
    directory.mkdir()
    for path in EXAMPLE.glob("*.yaml"):
        text = path.read_text()
        (directory / path.name).write_text(text.replace(TO_CLUSTER, TO_CLUSTER + LOG))
    return directory


def settings_of(mesh: Path, log: Path) -> Settings:
    return Settings(
        files=(str(mesh),), proxy=HostPort("127.0.0.1", 0), lab=True, with_gateways=True, access_log=str(log)
    )


def test_every_listener_writes_its_line(mesh: Path, certificates: Path, tmp_path: Path) -> None:
    urls = ("https://de.wikipedia.org/", "https://www.google.com/")

    statuses = asyncio.run(calls(settings_of(mesh, tmp_path / "log"), certificates / "ca.crt", urls))

    assert statuses == [200, 200]
    lines = (tmp_path / "log").read_text().splitlines()
    inside = [line.split() for line in lines if line.startswith("inside ")]
    assert sorted(line[2:] for line in inside) == [
        ["by_server_name", INSIDE, CLIENT, name, "-"] for name in ("de.wikipedia.org", "www.google.com")
    ]
    assert all(LAB.fullmatch(line[1]) for line in inside)
    hops = [read(line) for line in lines if not line.startswith("inside ")]
    at_sidecar: Line = to_gateway(tcp(sni=re.compile("de.wikipedia.org|www.google.com")), 443)
    at_gateway: Line = of_gateway(tcp(sni=HOP, host=INSIDE, cluster="inside", local=CLIENT), 443)
    for line in hops:
        assert differences(line, at_gateway if line["host"] == INSIDE else at_sidecar) == {}
    assert [line["host"] for line in hops].count(INSIDE) == 2
    assert len(hops) == 4


def test_a_patch_that_leads_to_no_listener_fails_as_a_connection(
    mesh: Path, certificates: Path, tmp_path: Path
) -> None:
    patch = mesh / "patch.yaml"
    patch.write_text(patch.read_text().replace("server_listener_name: by_server_name", "server_listener_name: another"))

    statuses = asyncio.run(
        calls(settings_of(mesh, tmp_path / "log"), certificates / "ca.crt", ("https://de.wikipedia.org/",))
    )

    assert statuses != [200]
    lines = map(read, (tmp_path / "log").read_text().splitlines())
    (gateway,) = [line for line in lines if line["cluster"] == "inside"]
    assert (gateway["flags"], gateway["host"]) == ("UF,URX", "envoy://another/")
