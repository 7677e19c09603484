"""``egress config capture``: the step that decides, and where it was written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  annotations:
    traffic.sidecar.istio.io/includeOutboundIPRanges: 10.0.0.0/24
    traffic.sidecar.istio.io/excludeOutboundPorts: "3306"
    proxy.istio.io/config: |
      proxyMetadata:
        ISTIO_META_DNS_CAPTURE: "true"
spec:
  containers: [{name: app}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: job, namespace: shop}
spec:
  template:
    metadata:
      annotations: {sidecar.istio.io/interceptionMode: NONE}
    spec:
      containers: [{name: app}]
"""


def ask(directory: Path, *arguments: str) -> dict[str, object]:
    (directory / "pod.yaml").write_text(POD)
    command = [sys.executable, "-m", "sandbox", "config", "capture", "-f", "pod.yaml", "-o", "json", *arguments]
    ended = subprocess.run(
        command, cwd=directory, env={"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, object] = json.loads(ended.stdout)
    return told


@pytest.mark.parametrize(
    ("arguments", "captured", "step", "where"),
    [
        pytest.param(["10.0.0.7:80"], True, "included range", "pod.yaml:7", id="included range"),
        pytest.param(["192.0.2.1:80"], False, "in no included range", "pod.yaml:7", id="no range"),
        pytest.param(["10.0.0.7:3306"], False, "excluded port", "pod.yaml:8", id="excluded port"),
        pytest.param(["127.0.0.1:80"], False, "application calls over loopback", "default", id="loopback"),
        pytest.param(["10.0.0.7:80", "--uid", "1337"], False, "the proxy's own traffic", "default", id="sidecar"),
        pytest.param(["10.0.0.7:443", "--protocol", "udp"], False, "in no included range", "default", id="udp"),
    ],
)
def test_the_step_that_decides_is_told_with_its_line(
    tmp_path: Path, arguments: list[str], captured: bool, step: str, where: str
) -> None:
    told = ask(tmp_path, *arguments, "--workload", "shop/web")

    assert told["captured"] is captured
    assert str(told["step"]).endswith(step)
    assert told["because"]["where"] == where  # type: ignore[index]  # a mapping


def test_template_of_a_deployment_counts_as_its_pods_do(tmp_path: Path) -> None:
    told = ask(tmp_path, "10.0.0.7:80", "--workload", "shop/job")

    assert (told["captured"], told["step"]) == (False, "no capture at all")
    assert told["because"]["where"] == "pod.yaml:21"  # type: ignore[index]  # a mapping
