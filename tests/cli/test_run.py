"""``egress run`` as a process: what it refuses, what it says, how it reloads and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MESH = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: mesh}
spec: {meshConfig: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}}
"""
MUTUAL_TLS_FOR_ONE_WORKLOAD = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner, namespace: shop}
spec: {hosts: [partner.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: partner, namespace: shop}
spec:
  host: partner.example.com
  workloadSelector: {matchLabels: {app: client}}
  trafficPolicy: {tls: {mode: MUTUAL, credentialName: no-such-secret}}
"""
REFUSED = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: refused}
spec:
  hosts: [a.example.com]
  http:
  - route: [{destination: {host: ""}}]
    timout: 3s
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "mesh.yaml").write_text(MESH)
    return tmp_path


@pytest.fixture
def running(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A proxy on a free port, ready."""
    arguments = [sys.executable, "-m", "sandbox", "run", "-f", str(directory), "--proxy", "127.0.0.1:0", "--no-control"]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("egress: ready: sidecar of default/")
        yield process
        process.kill()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", "run", *arguments, "--no-control"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)


def test_an_object_that_istiod_refuses_keeps_it_from_starting(directory: Path) -> None:
    (directory / "refused.yaml").write_text(REFUSED)

    ended = run("-f", str(directory))

    assert ended.returncode == 65
    assert "refused.yaml:7:" in ended.stderr
    assert "empty domain name not allowed" in ended.stderr


def test_an_address_that_is_not_ours_needs_to_be_allowed(directory: Path) -> None:
    ended = run("-f", str(directory), "--proxy", "0.0.0.0:0")

    assert ended.returncode == 1
    assert "--allow-remote" in ended.stderr


def test_it_ends_with_0_when_told(running: subprocess.Popen[str]) -> None:
    running.send_signal(signal.SIGTERM)

    assert running.wait(10) == 0


def test_a_reload_keeps_what_was_when_the_new_is_wrong(running: subprocess.Popen[str], directory: Path) -> None:
    assert running.stderr is not None
    (directory / "refused.yaml").write_text(REFUSED)
    os.kill(running.pid, signal.SIGHUP)
    told = [running.stderr.readline()]
    while "stays as it was" not in told[-1]:
        told.append(running.stderr.readline())

    (directory / "refused.yaml").unlink()
    os.kill(running.pid, signal.SIGHUP)

    assert "empty domain name not allowed" in "".join(told)
    assert "unknown field timout in HTTPRoute (did you mean timeout?)\n" in "".join(told)
    assert running.stderr.readline() == "egress: configuration reloaded\n"


GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: out}
spec:
  selector: {istio: egress}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example.com]}]
"""


def test_warnings_are_told_with_the_check_that_shows_them(tmp_path: Path) -> None:
    (tmp_path / "origination.yaml").write_text(MUTUAL_TLS_FOR_ONE_WORKLOAD)
    options = ["-f", str(tmp_path), "--workload", "shop/client", "--labels", "app=client"]
    arguments = [sys.executable, "-m", "sandbox", "run", *options, "--proxy", "127.0.0.1:0", "--no-control"]

    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        process.kill()

    named = "egress check -f ... --workload shop/client --labels app=client"
    assert said == f"egress: 1 warning about the configuration: see {named}\n"


def test_without_mesh_configuration_the_log_is_on_and_said_so(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    arguments = [sys.executable, "-m", "sandbox", "run", "-f", str(tmp_path), "--proxy", "127.0.0.1:0", "--no-control"]

    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        process.kill()

    assert said == "egress: no mesh configuration is given: the access log is on, as it is not in Istio\n"


def test_a_mesh_configuration_that_ends_the_log_by_default_says_so(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text("# nothing\n")
    arguments = [sys.executable, "-m", "sandbox", "run", "-f", str(tmp_path), "--proxy", "127.0.0.1:0", "--no-control"]

    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "the access log is on" in process.stderr.readline()
        process.stderr.readline()
        (tmp_path / "mesh.yaml").write_text(MESH)
        process.send_signal(signal.SIGHUP)
        said = [process.stderr.readline() for _ in range(2)]
        process.kill()

    assert said == [
        "egress: configuration reloaded\n",
        "egress: the access log is off now: the mesh configuration names no accessLogFile\n",
    ]


def test_a_gateway_that_a_reload_brings_is_told_as_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(MESH)
    arguments = [sys.executable, "-m", "sandbox", "run", "-f", str(tmp_path), "--proxy", "127.0.0.1:0", "--no-control"]

    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "ready" in process.stderr.readline()
        (tmp_path / "gateway.yaml").write_text(GATEWAY)
        process.send_signal(signal.SIGHUP)
        said = [process.stderr.readline() for _ in range(2)]
        process.kill()

    assert said[0] == "egress: configuration reloaded\n"
    assert said[1].startswith("egress: no pod runs gateway default/out (istio-system/istio-egress): ")
