"""Each documented egress pattern writes the log lines of its hops: the examples run, and every field is read."""

from __future__ import annotations

import asyncio
import re
import shlex
import ssl
from pathlib import Path

import pytest

from sandbox.app import Sandbox
from sandbox.cli.certs import client_secret
from sandbox.cli.demo_client import request
from sandbox.pki import Authority
from sandbox.settings import HostPort, Settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
POD = "10.244.0.20"
CLIENT = "10.244.0.10"
Expected = str | re.Pattern[str]
Line = dict[str, Expected]
NUMBER = re.compile(r"\d+")
SOME = re.compile(r"[1-9]\d*")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]")
HERE = re.compile(r"127\.0\.0\.1:[1-9]\d*")
CLIENT_PORT = re.compile(re.escape(CLIENT) + r":[1-9]\d*")
TEXT_FIELDS = (
    *("start", "request", "code", "flags", "details", "termination", "failure", "received", "sent", "duration"),
    *("service_time", "x_forwarded_for", "user_agent", "request_id", "authority", "host", "cluster", "local"),
    *("downstream_local", "downstream_remote", "sni", "route"),
)
"""Istio's text format, with the request line as one field."""
ANY: Line = {**dict.fromkeys(TEXT_FIELDS, "-"), "start": TIME, "duration": NUMBER, "local": HERE}


LAB = re.compile(r"127\.80\.0\.\d+:[1-9]\d*")
"""A host of the embedded internet; another run may have its usual port."""


def at(port: int) -> re.Pattern[str]:
    """Where the client meant to go in the embedded internet."""
    return re.compile(rf"127\.80\.0\.\d+:{port}")


def http(request: str, code: str, authority: str, **fields: Expected) -> Line:
    """The line of a request that was answered by its upstream."""
    seen: Line = {
        "request": request,
        "code": code,
        "authority": authority,
        "request_id": UUID,
        "user_agent": "egress-demo",
    }
    return {
        **ANY,
        "details": "via_upstream",
        "received": "0",
        "sent": NUMBER,
        "service_time": NUMBER,
        "downstream_local": at(80),
        "downstream_remote": HERE,
        **seen,
        **fields,
    }


def tcp(**fields: Expected) -> Line:
    """The line of a connection whose bytes were passed on."""
    seen: Line = {"request": "- - -", "code": "0", "received": SOME, "sent": SOME}
    return {**ANY, **seen, "downstream_local": at(443), "downstream_remote": HERE, **fields}


def to_gateway(line: Line, port: int, name: str = "outside") -> Line:
    """The sidecar's line of a hop to the gateway."""
    service = f"outbound|{port}|{name}|istio-egressgateway.istio-system.svc.cluster.local"
    return {**line, "host": f"{POD}:{8000 + port}", "cluster": service, "local": CLIENT_PORT}


def of_gateway(line: Line, port: int) -> Line:
    """The gateway's own line."""
    who: Line = {"x_forwarded_for": CLIENT} if line["request"] != "- - -" else {}
    return {**line, "downstream_local": f"{POD}:{8000 + port}", "downstream_remote": CLIENT_PORT, **who}


HELLO = "en.wikipedia.org"
CNN, NGINX = "edition.cnn.com", "my-nginx.example.com"
BY_GATEWAY: dict[str, tuple[str, str, Line, Line]] = {
    "HTTP": (
        "gateway-http-and-https",
        f"http://{CNN}/politics",
        to_gateway(http("GET /politics HTTP/1.1", "301", CNN), 80),
        of_gateway(http("GET /politics HTTP/2", "301", CNN, host=LAB, cluster=f"outbound|80||{CNN}"), 80),
    ),
    "HTTPS": (
        "gateway-http-and-https",
        f"https://{CNN}/politics",
        to_gateway(tcp(sni=CNN), 443),
        of_gateway(tcp(sni=CNN, host=LAB, cluster=f"outbound|443||{CNN}"), 443),
    ),
    "TLS origination": (
        "tls-origination-at-the-gateway",
        f"http://{CNN}/politics",
        to_gateway(http("GET /politics HTTP/1.1", "200", CNN), 80),
        of_gateway(http("GET /politics HTTP/2", "200", CNN, sni=CNN, host=LAB, cluster=f"outbound|443||{CNN}"), 80),
    ),
    **{
        name: (
            example,
            f"http://{NGINX}/status/201",
            to_gateway(http("GET /status/201 HTTP/1.1", "201", NGINX), 443),
            of_gateway(
                http(
                    *("GET /status/201 HTTP/1.1", "201", NGINX),
                    sni=NGINX,
                    host=LAB,
                    cluster=f"outbound|443||{NGINX}",
                ),
                443,
            ),
        )
        for name, example in (
            ("mutual TLS origination", "mutual-tls-origination-at-the-gateway"),
            ("mutual TLS origination by files", "mutual-tls-origination-by-files-at-the-gateway"),
        )
    },
    "wildcard hosts": (
        "wildcard-hosts-by-the-gateway",
        "https://de.wikipedia.org/",
        to_gateway(tcp(sni="de.wikipedia.org"), 443),
        of_gateway(tcp(sni="de.wikipedia.org", host=LAB, cluster="outbound|443||www.wikipedia.org"), 443),
    ),
    "any host by a server name proxy": (
        "any-host-by-the-gateway",
        "https://www.google.com/",
        to_gateway(tcp(sni="www.google.com"), 443),
        of_gateway(
            tcp(
                sni="outbound_.443_.outside_.istio-egressgateway.istio-system.svc.cluster.local",
                host=LAB,
                cluster="outbound|18443||sni-proxy.example.com",
            ),
            443,
        ),
    ),
    "tunnel to the company's proxy": (
        "company-proxy-tunnel",
        "https://en.wikipedia.org/",
        to_gateway(tcp(sni="en.wikipedia.org"), 443),
        of_gateway(
            tcp(
                sni="en.wikipedia.org",
                host=LAB,
                cluster="outbound|3128|to-wikipedia|my-company-proxy.example.com",
            ),
            443,
        ),
    ),
}
BLOCKED_TCP = tcp(flags="UH", received="0", sent="0", cluster="BlackHoleCluster", local="-")
ALONE: dict[str, tuple[str, str, Line]] = {
    "TLS origination": (
        "tls-origination",
        f"http://{CNN}/politics",
        http("GET /politics HTTP/1.1", "200", CNN, host=LAB, cluster=f"outbound|80||{CNN}", route="default"),
    ),
    **{
        name: (
            example,
            f"http://{NGINX}/status/201",
            http(
                *("GET /status/201 HTTP/1.1", "201", NGINX),
                host=LAB,
                cluster=f"outbound|80||{NGINX}",
                route="default",
            ),
        )
        for name, example in (
            ("mutual TLS origination", "mutual-tls-origination"),
            ("mutual TLS origination by files", "mutual-tls-origination-by-files"),
        )
    },
    "wildcard hosts": (
        "wildcard-hosts",
        "https://de.wikipedia.org/",
        tcp(sni="de.wikipedia.org", host=LAB, cluster="outbound|443||*.wikipedia.org"),
    ),
    "external proxy as TCP service": (
        "company-proxy",
        "tcp://203.0.113.10:3128",
        tcp(host="203.0.113.10:3128", cluster="outbound|3128||my-company-proxy.example.com")
        | {"downstream_local": "203.0.113.10:3128"},
    ),
    "ExternalName service": (
        "kubernetes-services",
        "http://my-httpbin.default.svc.cluster.local/status/201",
        tcp(host=LAB, cluster="PassthroughCluster") | {"downstream_local": at(80)},
    ),
    "service with endpoints": (
        "kubernetes-services",
        "tls://my-wikipedia.default.svc.cluster.local:443",
        tcp(
            host="203.0.113.20:443",
            cluster="outbound|443||my-wikipedia.default.svc.cluster.local",
            downstream_local=re.compile(r"10\.\d+\.\d+\.\d+:443"),
        ),
    ),
    "blocked, by HTTP": (
        "gateway-http-and-https",
        "http://www.google.com/",
        http("GET / HTTP/1.1", "502", "www.google.com", details="direct_response", route="block_all")
        | {"local": "-", "service_time": "-"},
    ),
    "blocked, by TLS": (
        "gateway-http-and-https",
        "https://www.google.com/",
        BLOCKED_TCP | {"sni": "www.google.com"},
    ),
    "passed, by HTTP": (
        "unknown-hosts-pass",
        "http://httpbin.org/status/204",
        http(
            *("GET /status/204 HTTP/1.1", "204", "httpbin.org"),
            host=LAB,
            cluster="PassthroughCluster",
            route="allow_any",
        ),
    ),
    "passed, by TLS": (
        "unknown-hosts-pass",
        "https://www.google.com/",
        tcp(host=LAB, cluster="PassthroughCluster"),
    ),
}
WORKLOADS = dict.fromkeys(("mutual-tls-origination", "mutual-tls-origination-by-files"), "default/client")
SECRETS = {
    **dict.fromkeys(WORKLOADS, "default/client-credential"),
    "mutual-tls-origination-at-the-gateway": "istio-system/client-credential",
    "mutual-tls-origination-by-files-at-the-gateway": "istio-system/client-credential",
}


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
        scheme, _, target = url.partition("://")
        if scheme in ("tcp", "tls"):
            trusted = ssl.create_default_context(cafile=authority) if scheme == "tls" else None
            await converse(sandbox.addresses["proxy"], target, trusted)
        else:
            await asyncio.to_thread(request, url, sandbox.addresses["proxy"], authority)


async def converse(proxy: HostPort, target: str, trusted: ssl.SSLContext | None) -> None:
    """A connection on which both sides say something."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    if trusted is not None:
        await writer.start_tls(trusted, server_hostname=HELLO)
    writer.write(f"GET / HTTP/1.1\r\nHost: {HELLO}\r\nConnection: close\r\n\r\n".encode())
    assert await asyncio.wait_for(reader.read(1), 5)
    writer.close()


def read(line: str) -> dict[str, str]:
    """A line in Istio's text format, by field."""
    return dict(zip(TEXT_FIELDS, shlex.split(line), strict=True))


def differences(line: dict[str, str], expected: Line) -> dict[str, tuple[str, Expected]]:
    pairs = {name: (line[name], value) for name, value in expected.items()}
    return {name: pair for name, pair in pairs.items() if not is_as_expected(*pair)}


def is_as_expected(value: str, expected: Expected) -> bool:
    return expected.fullmatch(value) is not None if isinstance(expected, re.Pattern) else value == expected


@pytest.mark.parametrize(("example", "url", "sidecar", "gateway"), BY_GATEWAY.values(), ids=list(BY_GATEWAY))
def test_both_hops_write_their_lines(
    example: str, url: str, sidecar: Line, gateway: Line, certificates: Path, tmp_path: Path
) -> None:
    lines = [read(line) for line in logged(example, url, certificates, tmp_path / "log")]

    assert len(lines) == 2
    at_sidecar, at_gateway = sorted(lines, key=lambda line: "egressgateway" not in line["cluster"])
    assert differences(at_sidecar, sidecar) == {}
    assert differences(at_gateway, gateway) == {}
    assert at_sidecar["host"] == at_gateway["downstream_local"]
    assert at_sidecar["local"] == at_gateway["downstream_remote"]


@pytest.mark.parametrize(("example", "url", "expected"), ALONE.values(), ids=list(ALONE))
def test_the_sidecar_alone_writes_its_line(
    example: str, url: str, expected: Line, certificates: Path, tmp_path: Path
) -> None:
    lines = [read(line) for line in logged(example, url, certificates, tmp_path / "log")]

    assert len(lines) == 1
    assert differences(lines[0], expected) == {}
