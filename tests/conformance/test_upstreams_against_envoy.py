"""The same requests to a real Envoy with our exported plan, and to ours: hosts, ejections, overflows and logs agree.

Skipped where no Envoy 1.39 is found: ``ENVOY_BIN``, or ``envoy`` in PATH.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.test_beside_envoy import ENVOY, envoy, lines, sandbox
from tests.proxy.proxy_world import closed_port

pytestmark = pytest.mark.skipif(ENVOY is None, reason="no Envoy: ENVOY_BIN or PATH")

ADDRESSES = ("127.0.0.10", "127.0.0.2", "127.0.0.9", "127.0.0.3")
WEIGHTS = (1, 7, 2, 2)
KEYS = [f"k{number}" for number in range(40)]
LOG = (
    "%REQ(:AUTHORITY)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_HOSTS_ATTEMPTED% "
    "%UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_TRANSPORT_FAILURE_REASON% %UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID%"
)
MESH = f"""\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogFormat: "{LOG}\\n"
    outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}
    proxyHttpPort: PROXY_PORT
"""
HEADER = {"httpHeaderName": "x-key"}
DETECTION = {"interval": "600s", "baseEjectionTime": "600s", "maxEjectionPercent": 100}
NO_RETRIES: dict[str, object] = {"attempts": 0}


@dataclass(frozen=True)
class Service:
    """A host of the mesh."""

    policy: dict[str, object]
    addresses: Sequence[str] = ADDRESSES
    weights: Sequence[int] = (1, 1, 1, 1)
    port: int | None = None
    retries: dict[str, object] | None = None

    def documents(self, name: str, port: int) -> str:
        host, number = f"{name}.example.com", self.port or port
        endpoints = [
            {"address": address, "ports": {"http": number}, "weight": weight}
            for address, weight in zip(self.addresses, self.weights, strict=False)
        ]
        route = [{"destination": {"host": host}}]
        specs = {
            "ServiceEntry": {
                "hosts": [host],
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
                "resolution": "STATIC",
                "endpoints": endpoints,
            },
            "DestinationRule": {"host": host, "trafficPolicy": self.policy},
            "VirtualService": {"hosts": [host], "http": [{"retries": self.retries or NO_RETRIES, "route": route}]},
        }
        head = "---\napiVersion: networking.istio.io/v1\n"
        return "".join(
            f"{head}kind: {kind}\nmetadata: {{name: {name}, namespace: default}}\nspec: {json.dumps(spec)}\n"
            for kind, spec in specs.items()
        )


def hashed(**more: object) -> dict[str, object]:
    return {"loadBalancer": {"consistentHash": {**HEADER, **more}}}


def ejecting(**more: object) -> Service:
    return Service({"outlierDetection": {**DETECTION, **more}}, addresses=ADDRESSES[:1])


HASHED = {
    "ring": Service(hashed()),
    "weighted-ring": Service(hashed(ringHash={"minimumRingSize": 37}), weights=WEIGHTS),
    "maglev": Service(hashed(maglev={"tableSize": 11})),
    "weighted-maglev": Service(hashed(maglev={"tableSize": 65537}), weights=WEIGHTS),
}
EJECTED = {
    "errors": (ejecting(consecutive5xxErrors=3), (500, 500, 200, 500, 503, 500, 500)),
    "gateway-errors": (ejecting(consecutiveGatewayErrors=2), (502, 500, 503, 502, 504)),
    "beyond-errors": (ejecting(consecutive5xxErrors=2), (599, 600, 599, 599, 200)),
    "nobody": (ejecting(consecutive5xxErrors=1, maxEjectionPercent=0), (503, 503)),
    "split": (
        ejecting(splitExternalLocalOriginErrors=True, consecutiveLocalOriginFailures=1, consecutive5xxErrors=2),
        (503, 200, 503, 503, 200),
    ),
}
LIMITED = {
    "one-waits": Service({"connectionPool": {"tcp": {"maxConnections": 1}}}, addresses=ADDRESSES[:1]),
    "too-many-wait": Service(
        {"connectionPool": {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}}},
        addresses=ADDRESSES[:1],
    ),
    "too-many-run": Service({"connectionPool": {"http": {"http2MaxRequests": 2}}}, addresses=ADDRESSES[:1]),
    "too-many-retries": Service(
        {"connectionPool": {"http": {"maxRetries": 0}}},
        addresses=ADDRESSES[:1],
        retries={"attempts": 2, "retryOn": "5xx", "backoff": "1ms"},
    ),
}
REFUSED = Service(
    {"loadBalancer": {"simple": "RANDOM"}}, addresses=ADDRESSES[:1], retries={"attempts": 1, "backoff": "1ms"}
)
TURNS = Service({"loadBalancer": {"simple": "ROUND_ROBIN"}}, weights=WEIGHTS)
SERVICES = HASHED | {name: service for name, (service, _) in EJECTED.items()} | LIMITED | {"turns": TURNS}
HOLD_SECONDS = 0.6
"""After that all requests of a limited service have come as far as they may."""
ARRIVED, RELEASED = threading.Event(), threading.Event()


class Answers(BaseHTTPRequestHandler):
    """``/503`` is answered so, everything with the address that was asked; ``/held`` when it is released."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        word = self.path[1:]
        ARRIVED.set()
        if word == "held":
            RELEASED.wait(10)
        body = self.connection.getsockname()[0].encode()
        self.send_response(int(word) if word.isdigit() else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Nothing on standard error."""


def ask(port: int, service: str, path: str = "/", key: str = "") -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path, headers={"Host": f"{service}.example.com", "x-key": key})
        response = connection.getresponse()
        return response.status, response.read().decode()


def play(port: int) -> dict[str, object]:
    """What a client sees of all services."""
    seen: dict[str, object] = {}
    for name in HASHED:
        seen[name] = [ask(port, name, key=key)[1] for key in KEYS]
    for name, (_, statuses) in EJECTED.items():
        seen[name] = []
        for status in statuses:
            seen[name] += [ask(port, name, f"/{status}")[0]]  # type: ignore[operator]
            time.sleep(0.02)  # Envoy's worker hears of an ejection from its main thread
    for name in LIMITED:
        seen[name] = together(port, name, "/503" if name == "too-many-retries" else "/held")
    seen["refused"] = ask(port, "refused")
    total = sum(WEIGHTS)
    seen["turns"] = sorted(ask(port, "turns")[1] for _ in range(total))
    return seen


def together(port: int, service: str, path: str) -> list[int]:
    """What four requests get of which the first has arrived: while it connects, it would itself be one that waits."""
    ARRIVED.clear()
    RELEASED.clear()
    threading.Timer(HOLD_SECONDS, RELEASED.set).start()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, port, service, path)]
        ARRIVED.wait(10)
        asked += [pool.submit(ask, port, service, path) for _ in range(3)]
        return sorted(each.result()[0] for each in asked)


@pytest.fixture(scope="module")
def backend() -> Iterator[int]:
    with ExitStack() as stack:
        port = 0
        for address in ADDRESSES:
            server = stack.enter_context(ThreadingHTTPServer((address, port), Answers))
            port = server.server_address[1]
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        yield port


@pytest.fixture(scope="module")
def both(backend: int, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], dict[str, object]]:
    """The logs' directory; what ours showed, and Envoy."""
    directory, refusing = tmp_path_factory.mktemp("upstreams"), closed_port()

    def mesh(port: int) -> str:
        documents = [service.documents(name, backend) for name, service in SERVICES.items()]
        documents.append(REFUSED.documents("refused", refusing))
        return MESH.replace("PROXY_PORT", str(port)) + "".join(documents)

    async def ours() -> dict[str, object]:
        async with sandbox(directory / "ours", mesh) as port:
            return await asyncio.to_thread(play, port)

    with envoy(directory / "envoy", mesh) as port:
        wait_for(port)
        theirs = play(port)
    return directory, asyncio.run(asyncio.wait_for(ours(), 60)), theirs


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            ask(port, "nobody-knows")
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("Envoy did not start")


@pytest.mark.parametrize("name", [*SERVICES, "refused"])
def test_a_client_sees_the_same(both: tuple[Path, dict[str, object], dict[str, object]], name: str) -> None:
    _, ours, theirs = both

    assert ours[name] == theirs[name]


@pytest.mark.parametrize("name", [*EJECTED, *LIMITED, "refused"])
def test_the_log_says_the_same(both: tuple[Path, dict[str, object], dict[str, object]], name: str) -> None:
    directory, _, _ = both
    logged = [
        [line for line in lines(directory / side) if re.match(rf"{name}\.example\.com ", line)]
        for side in ("ours", "envoy")
    ]

    assert logged[0]
    assert logged[0] == logged[1]
