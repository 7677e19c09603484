"""Istio's task "Accessing External Services", step by step in one run: files come, change and go as on its page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.access_log.stream_info import StreamInfo
from sandbox.app import Sandbox
from sandbox.cli.demo_client import request
from sandbox.compiler.capture import build_capture_settings, capture_inputs
from sandbox.match.capture_rules import Packet, build_rules, decide
from sandbox.settings import HostPort, Settings
from sandbox.yaml_source.problems import Problems

from .test_egress_patterns import LAB, Line, differences, http, read, tcp

INSTALLATION = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  profile: demo\n"
REGISTRY_ONLY = "  meshConfig:\n    outboundTrafficPolicy:\n      mode: REGISTRY_ONLY\n"
INSIDE_ONLY = "  values:\n    global:\n      proxy:\n        includeIPRanges: 10.0.0.1/24\n"
CLIENT = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: curl}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: curl}
spec:
  selector: {matchLabels: {app: curl}}
  template:
    metadata: {labels: {app: curl}}
    spec: {serviceAccountName: curl, containers: [{name: curl}]}
"""
HTTPBIN = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: httpbin-ext}
spec:
  hosts: [httpbin.org]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
  location: MESH_EXTERNAL
"""
GOOGLE = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: google}
spec:
  hosts: [www.google.com]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: DNS
  location: MESH_EXTERNAL
"""
TIMEOUT = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: httpbin-ext}
spec:
  hosts: [httpbin.org]
  http: [{timeout: 0.2s, route: [{destination: {host: httpbin.org}, weight: 100}]}]
"""
HEADERS, SECURE, SLOW = "http://httpbin.org/headers", "https://www.google.com/", "http://httpbin.org/delay/0.4"
CLOSED = 0
FORWARDED = http("GET /headers HTTP/1.1", "200", "httpbin.org", host=LAB, cluster="outbound|80||httpbin.org")
TIMED_OUT = {"flags": "UT", "details": "response_timeout", "service_time": "-"}


class Page:
    """A folder, a run that follows it, and the lines that have come since the last look."""

    def __init__(self, folder: Path, sandbox: Sandbox, log: Path, authority: Path) -> None:
        self._folder = folder
        self._sandbox = sandbox
        self._log = log
        self._authority = authority
        self._seen = 0
        self._ended: asyncio.Queue[StreamInfo] = asyncio.Queue()
        sandbox.subscribe(self._ended.put_nowait)

    async def apply(self, **files: str | None) -> None:
        """``kubectl apply``, and with None ``kubectl delete``."""
        for name, text in files.items():
            path = self._folder / f"{name}.yaml"
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        problems = await self._sandbox.reload()
        assert not problems.errors

    async def call(self, url: str) -> tuple[int, dict[str, str]]:
        """The status (0: closed), and the line of the call."""
        reply = await asyncio.to_thread(request, url, self._sandbox.addresses["proxy"], self._authority)
        await asyncio.wait_for(self._ended.get(), 5)
        self._sandbox.reopen_logs()
        lines = self._log.read_text().splitlines()[self._seen :]
        self._seen += len(lines)
        (line,) = lines
        return max(reply.status, CLOSED), read(line)

    def is_captured(self, address: str) -> bool:
        """Whether the pod's rules give a connection to that address to the sidecar."""
        loaded = self._sandbox.loaded
        assert loaded is not None
        settings = build_capture_settings(capture_inputs(loaded.configuration, loaded.proxy), Problems())
        packet = Packet(destination=address, destination_port=80, uid="app", gid="app")
        return decide(build_rules(settings, 4), packet).port == settings.proxy_port


@asynccontextmanager
async def page(tmp_path: Path, certificates: Path) -> AsyncIterator[Page]:
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "installation.yaml").write_text(INSTALLATION)
    (folder / "curl.yaml").write_text(CLIENT)
    settings = Settings(
        files=(str(folder),),
        workload="default/curl",
        proxy=HostPort("127.0.0.1", 0),
        lab=True,
        access_log=str(tmp_path / "log"),
    )
    async with Sandbox(settings) as sandbox:
        yield Page(folder, sandbox, tmp_path / "log", certificates / "ca.crt")


async def follow(tmp_path: Path, certificates: Path) -> None:
    async with page(tmp_path, certificates) as step:
        await passes(step, SECURE, 200, tcp(host=LAB, cluster="PassthroughCluster"))

        await step.apply(installation=INSTALLATION + REGISTRY_ONLY)
        blocked = {"flags": "UH", "received": "0", "sent": "0", "cluster": "BlackHoleCluster", "local": "-"}
        await passes(step, SECURE, CLOSED, tcp(**blocked))

        await step.apply(httpbin=HTTPBIN)
        await passes(step, HEADERS, 200, {**FORWARDED, "route": "default"})

        await step.apply(google=GOOGLE)
        secure = tcp(host=LAB, cluster="outbound|443||www.google.com", sni="www.google.com")
        await passes(step, SECURE, 200, secure)

        slow: Line = {**FORWARDED, "request": "GET /delay/0.4 HTTP/1.1"}
        await passes(step, SLOW, 200, {**slow, "route": "default"})
        await step.apply(timeout=TIMEOUT)
        await passes(step, SLOW, 504, {**slow, **TIMED_OUT, "code": "504"})

        await step.apply(httpbin=None, google=None, timeout=None, installation=INSTALLATION + INSIDE_ONLY)
        assert not step.is_captured("203.0.113.7")
        assert step.is_captured("10.0.0.7")


async def passes(step: Page, url: str, status: int, expected: Line) -> None:
    found, line = await step.call(url)
    assert found == status
    assert differences(line, expected) == {}


def test_the_steps_of_the_page_come_to_what_it_says(tmp_path: Path, certificates: Path) -> None:
    asyncio.run(follow(tmp_path, certificates))
