"""``egress export``: what a real Envoy's ``--mode validate`` refuses is left out, and told."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sandbox.cli.main import egress
from sandbox.pki import Authority

CLIENT = """\
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: default, labels: {app: client}}
status: {podIP: 10.0.0.9}
"""
SERVICE = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner, namespace: default}
spec:
  hosts: [partner.example.com]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: partner, namespace: default}
spec:
  host: partner.example.com
  workloadSelector: {matchLabels: {app: client}}
  trafficPolicy:
    tls:
      mode: MUTUAL
      credentialName: partner
"""
WITHOUT_A_CHECK_OF_NAMES = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner, namespace: default}
spec:
  hosts: ["*.example.com"]
  ports: [{number: 443, name: http, protocol: HTTP}]
  resolution: DYNAMIC_DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: partner, namespace: default}
spec:
  host: "*.example.com"
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 2}}}
"""
CLUSTER = "outbound|443||partner.example.com"
GATEWAY = """\
apiVersion: v1
kind: Pod
metadata: {name: gw, namespace: istio-system, labels: {istio: egressgateway}}
status: {podIP: 10.0.0.8}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: istio-system}
spec:
  selector: {istio: egressgateway}
  servers:
  - port: {number: 443, name: https-a, protocol: HTTPS}
    hosts: [a.example.com]
    tls: {mode: SIMPLE, credentialName: here}
  - port: {number: 443, name: https-b, protocol: HTTPS}
    hosts: [b.example.com]
    tls: {mode: SIMPLE, credentialName: elsewhere}
  - port: {number: 8443, name: https-c, protocol: HTTPS}
    hosts: [c.example.com]
    tls: {mode: SIMPLE, credentialName: elsewhere}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all, namespace: istio-system}
spec:
  hosts: ["*"]
  gateways: [gw]
  http: [{directResponse: {status: 200}}]
"""


@pytest.fixture
def pem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A certificate, its key and their authority."""
    monkeypatch.setenv("EGRESS_CERTS", str(tmp_path / "certs"))
    authority = Authority(tmp_path / "pki")
    certificate, key = authority.leaf("partner", ["partner.example.com"])
    return {
        "tls.crt": certificate.read_bytes(),
        "tls.key": key.read_bytes(),
        "ca.crt": authority.certificate_file.read_bytes(),
    }


def secret(name: str, namespace: str, data: dict[str, bytes]) -> str:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    metadata = json.dumps({"name": name, "namespace": namespace})
    return f"---\napiVersion: v1\nkind: Secret\nmetadata: {metadata}\ndata: {json.dumps(encoded)}\n"


def export(text: str, *options: str) -> Result:
    arguments = ["export", "envoy", "-f", "-", *options]
    return CliRunner().invoke(egress, arguments, input=text, standalone_mode=False, catch_exceptions=False)


def clusters(exported: Result) -> set[str]:
    return {cluster["name"] for cluster in json.loads(exported.stdout)["static_resources"]["clusters"]}


def test_a_usable_secret_is_taken_along(pem: dict[str, bytes]) -> None:
    exported = export(CLIENT + SERVICE + secret("partner", "default", pem), "--workload", "default/client")

    assert CLUSTER in clusters(exported)
    assert "SBX0555" not in exported.stderr


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        pytest.param(None, "there is no Secret default/partner", id="no Secret"),
        pytest.param({"ca.crt": b""}, "the Secret default/partner has no ca.crt", id="no authority"),
        pytest.param({"ca.crt": b"x"}, "the ca.crt of the Secret default/partner is no certificate", id="no PEM"),
        pytest.param({"tls.key": b""}, "the Secret default/partner has no tls.crt and tls.key", id="no key"),
        pytest.param(
            {"tls.crt": b"x"},
            "the tls.crt and tls.key of the Secret default/partner are no certificate with its key",
            id="no certificate",
        ),
    ],
)
def test_a_cluster_without_its_secret_is_left_out_and_told(
    pem: dict[str, bytes], changes: dict[str, bytes] | None, fault: str
) -> None:
    given = secret("partner", "default", {**pem, **changes}) if changes is not None else ""
    exported = export(CLIENT + SERVICE + given, "--workload", "default/client")

    assert CLUSTER not in clusters(exported)
    assert f"SBX0555: the cluster {CLUSTER} has no TLS: {fault}" in exported.stderr


def test_a_secret_of_another_namespace_is_pointed_out(pem: dict[str, bytes]) -> None:
    exported = export(CLIENT + SERVICE + secret("partner", "shop", pem), "--workload", "default/client")

    assert "there is no Secret default/partner (there is shop/partner)" in exported.stderr


def test_of_a_listener_only_the_chains_without_their_secret_are_left_out(pem: dict[str, bytes]) -> None:
    text = GATEWAY + secret("here", "istio-system", pem)
    exported = export(text, "--node", "router", "--workload", "istio-system/gw")

    resources = json.loads(exported.stdout)["static_resources"]
    chains = {listener["name"]: len(listener["filter_chains"]) for listener in resources["listeners"]}
    assert chains["0.0.0.0_443"] == 1
    assert "0.0.0.0_8443" not in chains
    assert exported.stderr.count("SBX0555") == 2
    assert "the filter chain for b.example.com of the listener 0.0.0.0_443 has no TLS" in exported.stderr


def test_what_envoy_refuses_is_told() -> None:
    exported = export(CLIENT + WITHOUT_A_CHECK_OF_NAMES, "--workload", "default/client")

    assert "outbound|443||*.example.com" not in clusters(exported)
    assert "SBX0553: Envoy refuses the cluster" in exported.stderr


@pytest.mark.parametrize(
    ("call", "status", "flags"),
    [
        pytest.param("http://partner.example.com", 503, "URX,UF", id="HTTP"),
        pytest.param("tcp://partner.example.com:9000", 0, "UF,URX", id="TCP"),
    ],
)
def test_explain_says_that_no_connection_comes_about(call: str, status: int, flags: str) -> None:
    ports = "ports: [{number: 80, name: http, protocol: HTTP}, {number: 9000, name: tcp, protocol: TCP}]"
    text = CLIENT + SERVICE.replace("ports: [{number: 443, name: https, protocol: HTTPS}]", ports)
    arguments = ["explain", call, "-f", "-", "--workload", "default/client", "-o", "json"]
    explained = CliRunner().invoke(egress, arguments, input=text, standalone_mode=False, catch_exceptions=False)

    outcome = json.loads(explained.stdout)["outcome"]
    assert (outcome["status"], outcome["flags"], outcome["forwarded"]) == (status, flags, False)
    assert "there is no Secret default/partner" in outcome["sentence"]
