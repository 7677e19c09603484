"""New certificates under load: every handshake shows the newest, and no call is dropped."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner

from sandbox.app import Sandbox
from sandbox.cli.main import egress
from sandbox.settings import HostPort, Settings

from .test_gateways import MUTUAL

MESH = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogFormat: "%RESPONSE_CODE% %DOWNSTREAM_PEER_FINGERPRINT_256%\\n"
"""
ONE_REQUEST_EACH = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: gateway, namespace: default}
spec:
  host: istio-egressgateway.istio-system.svc.cluster.local
  trafficPolicy:
    connectionPool: {http: {maxRequestsPerConnection: 1}}
"""
CALLERS, CALLS = 6, 15


@pytest.mark.slow
@pytest.mark.parametrize(("what", "at_least"), [("--renew", 3), ("--renew-authority", 1)])
def test_renewing_under_load_drops_nothing(
    what: str, at_least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EGRESS_CERTS", str(tmp_path / "certs"))
    monkeypatch.setattr("sandbox.cli.certs.HANDSHAKE_SECONDS", 0.2)
    mesh = tmp_path / "mesh.yaml"
    rule = ONE_REQUEST_EACH + "    tls: {mode: ISTIO_MUTUAL, sni: httpbin.org}\n"
    without_rule = [text for text in MUTUAL.split("---\n") if "kind: DestinationRule" not in text]
    mesh.write_text("---\n".join((MESH, rule, *without_rule)))

    statuses, renewals = asyncio.run(call_while_renewing(mesh, tmp_path / "log", what))

    assert statuses == [204] * (CALLERS * CALLS)
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    certificates = {fingerprint for _, fingerprint in lines if fingerprint != "-"}
    assert renewals >= at_least
    assert at_least < len(certificates) <= renewals + 1


async def call_while_renewing(mesh: Path, log: Path, what: str) -> tuple[list[int], int]:
    settings = Settings(
        files=(str(mesh),), proxy=HostPort("127.0.0.1", 0), lab=True, with_gateways=True, access_log=str(log)
    )
    async with Sandbox(settings) as sandbox, ClientSession() as session:
        proxy = f"http://{sandbox.addresses['proxy']}"

        async def call_on() -> list[int]:
            found = []
            for _ in range(CALLS):
                async with session.get("http://httpbin.org/status/204", proxy=proxy) as reply:
                    found.append(reply.status)
            return found

        ended = threading.Event()
        renewing = asyncio.get_running_loop().run_in_executor(None, renew_until, ended, what)
        statuses = await asyncio.gather(*(call_on() for _ in range(CALLERS)))
        ended.set()
        return [status for each in statuses for status in each], await renewing


def renew_until(ended: threading.Event, what: str) -> int:
    """``egress certs --mesh`` with that option, over and over; how often."""
    count = 0
    while not ended.is_set():
        result = CliRunner().invoke(egress, ["certs", "--mesh", what])
        assert result.exit_code == 0, result.output
        count += 1
    return count
