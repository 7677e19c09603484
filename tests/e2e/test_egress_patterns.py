"""Each documented egress pattern writes the log lines of its hops: the examples run, and every line is read."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import pytest

from sandbox.app import Sandbox
from sandbox.cli.certs import client_secret
from sandbox.cli.demo_client import request
from sandbox.pki import Authority
from sandbox.settings import HostPort, Settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GATEWAY = "istio-egressgateway.istio-system.svc.cluster.local"
POD = "10.244.0.20"
CLIENT = "10.244.0.10"
TEXT_FIELDS = (
    *("start", "request", "code", "flags", "details", "termination", "failure", "received", "sent", "duration"),
    *("service_time", "x_forwarded_for", "user_agent", "request_id", "authority", "host", "cluster", "local"),
    *("downstream_local", "downstream_remote", "sni", "route"),
)
"""Istio's text format, with the request line as one field."""
Line = dict[str, str]
PATTERNS: dict[str, tuple[str, str, Line, Line]] = {
    "HTTP through the gateway": (
        "gateway-http-and-https",
        "http://edition.cnn.com/politics",
        {"code": "301", "cluster": f"outbound|80|outside|{GATEWAY}", "host": f"{POD}:8080", "sni": "-"},
        {"code": "301", "cluster": "outbound|80||edition.cnn.com", "request": "GET /politics HTTP/2", "sni": "-"},
    ),
    "HTTPS through the gateway": (
        "gateway-http-and-https",
        "https://edition.cnn.com/politics",
        {"code": "0", "cluster": f"outbound|443|outside|{GATEWAY}", "host": f"{POD}:8443", "sni": "edition.cnn.com"},
        {"code": "0", "cluster": "outbound|443||edition.cnn.com", "request": "- - -", "sni": "edition.cnn.com"},
    ),
    "TLS origination at the gateway": (
        "tls-origination-at-the-gateway",
        "http://edition.cnn.com/politics",
        {"code": "200", "cluster": f"outbound|80|outside|{GATEWAY}", "host": f"{POD}:8080"},
        {"code": "200", "cluster": "outbound|443||edition.cnn.com", "sni": "edition.cnn.com"},
    ),
    "mutual TLS origination at the gateway": (
        "mutual-tls-origination-at-the-gateway",
        "http://my-nginx.example.com/status/201",
        {"code": "201", "cluster": f"outbound|443|outside|{GATEWAY}", "host": f"{POD}:8443"},
        {"code": "201", "cluster": "outbound|443||my-nginx.example.com", "sni": "my-nginx.example.com"},
    ),
    "wildcard hosts through the gateway": (
        "wildcard-hosts-by-the-gateway",
        "https://de.wikipedia.org/",
        {"code": "0", "cluster": f"outbound|443|outside|{GATEWAY}", "sni": "de.wikipedia.org"},
        {"code": "0", "cluster": "outbound|443||www.wikipedia.org", "sni": "de.wikipedia.org"},
    ),
    "tunnel to the company's proxy": (
        "company-proxy-tunnel",
        "https://en.wikipedia.org/",
        {"code": "0", "cluster": f"outbound|443|outside|{GATEWAY}", "sni": "en.wikipedia.org"},
        {"code": "0", "cluster": "outbound|3128|to-wikipedia|my-company-proxy.example.com", "sni": "en.wikipedia.org"},
    ),
}
ALONE: dict[str, tuple[str, str, Line]] = {
    "TLS origination at the sidecar": (
        "tls-origination",
        "http://edition.cnn.com/politics",
        {"code": "200", "cluster": "outbound|80||edition.cnn.com", "request": "GET /politics HTTP/1.1"},
    ),
    "mutual TLS origination at the sidecar": (
        "mutual-tls-origination",
        "http://my-nginx.example.com/status/201",
        {"code": "201", "cluster": "outbound|80||my-nginx.example.com"},
    ),
    "wildcard hosts directly": (
        "wildcard-hosts",
        "https://de.wikipedia.org/",
        {"code": "0", "cluster": "outbound|443||*.wikipedia.org", "sni": "de.wikipedia.org"},
    ),
    "ExternalName service": (
        "kubernetes-services",
        "http://my-httpbin.default.svc.cluster.local/status/201",
        {"code": "0", "cluster": "PassthroughCluster", "request": "- - -"},
    ),
    "blocked": (
        "gateway-http-and-https",
        "http://www.google.com/",
        {"code": "502", "cluster": "-", "route": "block_all", "details": "direct_response"},
    ),
}
WORKLOADS = {"mutual-tls-origination": "default/client"}
SECRETS = {
    "mutual-tls-origination": "default/client-credential",
    "mutual-tls-origination-at-the-gateway": "istio-system/client-credential",
}


@pytest.fixture(autouse=True, scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> object:
    directory = tmp_path_factory.mktemp("certs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EGRESS_CERTS", str(directory))
        yield directory


def logged(example: str, url: str, certificates: Path, log: Path) -> list[str]:
    """The lines that a call leaves."""
    files = [str(EXAMPLES / example)]
    if example in SECRETS:
        secret = certificates / f"{example}.yaml"
        secret.write_text(client_secret(Authority(certificates), SECRETS[example]))
        files.append(str(secret))
    settings = Settings(
        files=tuple(files),
        workload=WORKLOADS.get(example),
        proxy=HostPort("127.0.0.1", 0),
        lab=True,
        with_gateways=True,
        access_log=str(log),
    )
    asyncio.run(call(settings, url, certificates / "ca.crt"))
    return log.read_text().splitlines()


async def call(settings: Settings, url: str, authority: Path) -> None:
    async with Sandbox(settings) as sandbox:
        await asyncio.to_thread(request, url, sandbox.addresses["proxy"], authority)


def read(line: str) -> Line:
    """A line in Istio's text format, by field."""
    return dict(zip(TEXT_FIELDS, shlex.split(line), strict=True))


def differences(line: Line, expected: Line) -> dict[str, tuple[str, str]]:
    return {name: (line[name], value) for name, value in expected.items() if line[name] != value}


@pytest.mark.parametrize(("example", "url", "sidecar", "gateway"), PATTERNS.values(), ids=list(PATTERNS))
def test_both_hops_write_their_lines(
    example: str, url: str, sidecar: Line, gateway: Line, certificates: Path, tmp_path: Path
) -> None:
    lines = [read(line) for line in logged(example, url, certificates, tmp_path / "log")]

    assert len(lines) == 2
    at_sidecar, at_gateway = sorted(lines, key=lambda line: GATEWAY not in line["cluster"])
    assert differences(at_sidecar, sidecar) == {}
    assert differences(at_gateway, gateway) == {}
    assert at_sidecar["host"] == at_gateway["downstream_local"]
    assert at_gateway["downstream_remote"].startswith(f"{CLIENT}:")
    assert at_sidecar["local"] == at_gateway["downstream_remote"]


@pytest.mark.parametrize(("example", "url", "expected"), ALONE.values(), ids=list(ALONE))
def test_the_sidecar_alone_writes_its_line(
    example: str, url: str, expected: Line, certificates: Path, tmp_path: Path
) -> None:
    lines = [read(line) for line in logged(example, url, certificates, tmp_path / "log")]

    assert len(lines) == 1
    assert differences(lines[0], expected) == {}
