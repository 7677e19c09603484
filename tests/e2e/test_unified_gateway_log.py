"""A managed mesh's unified gateway: the lines of both hops in its JSON format, key for key."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from pathlib import Path

import pytest

from sandbox.app import Sandbox
from sandbox.settings import HostPort, Settings

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "unified-gateway-log"
POD_ADDRESS = r"10\.244\.0\.20"
CLIENT_ADDRESS = r"10\.244\.0\.10"
LAB_ADDRESS = r"127\.80\.\d+\.\d+"
PORT = r"[1-9]\d*"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
A_NUMBER = int
SAME_ON_BOTH_HOPS: dict[str, object] = {
    "authority": "aliyun.com",
    "bytes_received": 0,
    "bytes_sent": 0,
    "duration": A_NUMBER,
    "istio_policy_status": None,
    "method": "HEAD",
    "path": "/",
    "request_id": UUID,
    "requested_server_name": None,
    "response_code": 301,
    "response_flags": "-",
    "route_name": None,
    "start_time": TIME,
    "trace_id": None,
    "upstream_service_time": re.compile(r"\d+"),
    "upstream_transport_failure_reason": None,
    "user_agent": "curl/7.86.0-DEV",
}
SIDECAR: dict[str, object] = SAME_ON_BOTH_HOPS | {
    "downstream_local_address": re.compile(rf"{LAB_ADDRESS}:80"),
    "downstream_remote_address": re.compile(rf"127\.0\.0\.1:{PORT}"),
    "protocol": "HTTP/1.1",
    "upstream_cluster": "outbound|80||istio-egressgateway.istio-system.svc.cluster.local;",
    "upstream_host": re.compile(rf"{POD_ADDRESS}:8080"),
    "upstream_local_address": re.compile(rf"{CLIENT_ADDRESS}:{PORT}"),
    "x_forwarded_for": None,
}
GATEWAY: dict[str, object] = SAME_ON_BOTH_HOPS | {
    "downstream_local_address": re.compile(rf"{POD_ADDRESS}:8080"),
    "downstream_remote_address": re.compile(rf"{CLIENT_ADDRESS}:{PORT}"),
    "protocol": "HTTP/2",
    "upstream_cluster": "outbound|80||aliyun.com;",
    "upstream_host": re.compile(rf"{LAB_ADDRESS}:{PORT}"),
    "upstream_local_address": re.compile(rf"127\.0\.0\.1:{PORT}"),
    "x_forwarded_for": "10.244.0.10",
}
BLOCKED: dict[str, object] = SIDECAR | {
    "authority": "www.google.com",
    "response_code": 502,
    "route_name": "block_all",
    "upstream_cluster": None,
    "upstream_host": None,
    "upstream_local_address": None,
    "upstream_service_time": None,
}


def logged(host: str, files: Path, log: Path) -> list[dict[str, object]]:
    """The lines of one call."""
    settings = Settings(
        files=(str(files),), proxy=HostPort("127.0.0.1", 0), lab=True, with_gateways=True, access_log=str(log)
    )
    asyncio.run(_call(settings, host))
    return [json.loads(line) for line in log.read_text().splitlines()]


async def _call(settings: Settings, host: str) -> None:
    async with Sandbox(settings) as sandbox:
        await asyncio.to_thread(_head, sandbox.addresses["proxy"], host)


def _head(proxy: HostPort, host: str) -> None:
    connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=10)
    connection.request("HEAD", f"http://{host}/", headers={"User-Agent": "curl/7.86.0-DEV"})
    connection.getresponse().read()
    connection.close()


def differences(line: dict[str, object], expected: dict[str, object]) -> dict[str, tuple[object, object]]:
    """The keys whose values are others, that are missing, and that nobody expects."""
    names = line.keys() | expected.keys()
    absent = "no such key"
    pairs = {name: (line.get(name, absent), expected.get(name, absent)) for name in names}
    return {name: pair for name, pair in pairs.items() if not is_as_expected(*pair)}


def is_as_expected(value: object, expected: object) -> bool:
    """Types count: numbers stand bare, headers in quotes."""
    if isinstance(expected, re.Pattern):
        return isinstance(value, str) and expected.fullmatch(value) is not None
    if isinstance(expected, type):
        return type(value) is expected
    return type(value) is type(expected) and value == expected


@pytest.fixture(params=["v1", "v1beta1", "v1alpha3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The example in each version of the API in which such files are written."""
    directory = tmp_path / "mesh"
    directory.mkdir()
    for path in EXAMPLE.glob("*.yaml"):
        text = path.read_text().replace("networking.istio.io/v1\n", f"networking.istio.io/{request.param}\n")
        (directory / path.name).write_text(text)
    return directory


def test_every_key_of_both_hops_is_as_the_mesh_writes_it(files: Path, tmp_path: Path) -> None:
    at_gateway, at_sidecar = logged("aliyun.com", files, tmp_path / "log")

    assert differences(at_sidecar, SIDECAR) == {}
    assert differences(at_gateway, GATEWAY) == {}
    assert at_gateway["downstream_remote_address"] == at_sidecar["upstream_local_address"]
    assert at_gateway["downstream_local_address"] == at_sidecar["upstream_host"]


def test_a_blocked_host_has_every_key_too_and_reaches_no_gateway(files: Path, tmp_path: Path) -> None:
    (line,) = logged("www.google.com", files, tmp_path / "log")

    assert differences(line, BLOCKED) == {}
