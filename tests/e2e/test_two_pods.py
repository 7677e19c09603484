"""Sidecar and gateway as two processes in two network namespaces: what they know of each other, and what they log."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.pki import Authority

from .test_gateways import MUTUAL

ROOT = Path(__file__).resolve().parents[2]
OWN_NAMESPACES = ["unshare", "--user", "--map-root-user", "--net"]
GATEWAY = "spiffe://cluster.local/ns/istio-system/sa/istio-egressgateway-service-account"
SLEEP = "spiffe://cluster.local/ns/default/sa/sleep"
STRANGER = "spiffe://cluster.local/ns/default/sa/stranger"
PODS = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogEncoding: JSON
    accessLogFormat: >-
      {"code": "%RESPONSE_CODE%", "details": "%RESPONSE_CODE_DETAILS%", "peer": "%DOWNSTREAM_PEER_URI_SAN%",
      "from": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "sni": "%REQUESTED_SERVER_NAME%", "to": "%UPSTREAM_HOST%"}
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
---
apiVersion: v1
kind: Pod
metadata: {name: sleep, labels: {app: sleep}}
spec: {serviceAccountName: sleep, containers: [{name: sleep}]}
status: {podIP: 10.244.0.10}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, labels: {app: stranger}}
spec: {serviceAccountName: stranger, containers: [{name: sleep}]}
status: {podIP: 10.244.0.11}
---
"""
POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-sleep, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: egressgateway}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/sleep]}}]
    to: [{operation: {notPaths: [/admin]}}]
"""
YAML = f"{PODS}{MUTUAL}---\n{POLICY}"


def why_not() -> str:
    """What keeps this machine from having two pods; empty where nothing does."""
    missing = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not here"
    ended = subprocess.run(
        [*OWN_NAMESPACES, "ip", "link", "add", "one", "type", "veth", "peer", "name", "two"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"the kernel refuses: {ended.stderr.strip()}" if ended.returncode else ""


@pytest.fixture(scope="module", autouse=True)
def two_namespaces() -> None:
    """Skips where the kernel forbids them."""
    reason = why_not()
    if reason:
        pytest.skip(reason)


def play(
    directory: Path, mesh_authority: Path
) -> tuple[dict[str, list[list[object]]], dict[str, list[dict[str, object]]]]:
    """What the callers got, and the log lines of every node."""
    mesh = directory / "mesh.yaml"
    mesh.write_text(YAML)
    ended = subprocess.run(
        [*OWN_NAMESPACES, sys.executable, "-m", "tests.e2e.two_pods", str(directory), str(mesh)],
        cwd=ROOT,
        env={**os.environ, "EGRESS_MESH_CA": str(mesh_authority)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    logs = {file.stem: [json.loads(line) for line in file.read_text().splitlines()] for file in directory.glob("*.log")}
    return json.loads(ended.stdout), logs


@pytest.mark.namespaces
def test_processes_that_share_a_folder_know_each_other_by_identity(tmp_path: Path) -> None:
    told, logs = play(tmp_path, tmp_path / "mesh")

    (status, forwarded), admin = told["sleep"]
    assert status == 200
    assert str(forwarded).startswith(f"By={GATEWAY};Hash=")
    assert str(forwarded).endswith(f';Subject="";URI={SLEEP}')
    assert admin == [403, "RBAC: access denied"]
    assert told["stranger"] == [[403, "RBAC: access denied"]] * 2

    denied = "rbac_access_denied_matched_policy[none]"
    assert [(line["code"], line["details"], line["peer"]) for line in logs["gateway"]] == [
        (200, "via_upstream", SLEEP),
        (403, denied, SLEEP),
        (403, denied, STRANGER),
        (403, denied, STRANGER),
    ]
    assert {(line["from"], line["sni"]) for line in logs["gateway"]} == {("10.244.0.10", "httpbin.org")}
    assert [(line["code"], line["to"]) for line in logs["sleep"]] == [
        (200, "10.244.0.20:8443"),
        (403, "10.244.0.20:8443"),
    ]


@pytest.mark.namespaces
def test_given_certificates_are_shown_and_believed(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "elsewhere")
    root = tmp_path / "root.pem"
    shutil.copy(authority.certificate_file, root)
    for name, identity in (("gateway", GATEWAY), ("sleep", STRANGER), ("stranger", SLEEP)):
        for file in authority.leaf(name, [identity]):
            shutil.copy(file, tmp_path / file.name)

    told, logs = play(tmp_path, root)

    assert [line["peer"] for line in logs["gateway"]] == [STRANGER, STRANGER, SLEEP, SLEEP]
    assert [status for status, _ in told["stranger"]] == [200, 403]
