"""Which files a pod gives to its proxy."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from sandbox.istio.load import load_texts
from sandbox.loading import load
from sandbox.loading.mounted_files import mounted_files, report_unreadable_annotations
from sandbox.loading.secrets import secrets_of
from sandbox.settings import Settings
from sandbox.yaml_source.problems import Problems

DATA = """\
apiVersion: v1
kind: Secret
metadata: {name: client, namespace: shop}
stringData: {tls.crt: chain, tls.key: key}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: roots, namespace: shop}
data: {ca.crt: root}
---
apiVersion: v1
kind: Secret
metadata: {name: client, namespace: elsewhere}
stringData: {tls.crt: another}
---
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
"""
CLIENT = "volumes: [{name: v, secret: {secretName: client}}]"
ITEMS = "volumes: [{name: v, secret: {secretName: client, items: [{key: tls.key, path: own/key.pem}]}}]"
ROOTS = "volumes: [{name: v, configMap: {name: roots}}]"
PROJECTED = "volumes: [{name: v, projected: {sources: [{secret: {name: client}}, {configMap: {name: roots}}]}}]"
MISSING = "volumes: [{name: v, secret: {secretName: nobody, optional: true}}]"
CERTIFICATE, KEY = {"/etc/client/tls.crt": b"chain"}, {"/etc/client/tls.key": b"key"}


def mount(*more: str, container: str = "istio-proxy", kind: str = "containers") -> str:
    fields = ", ".join(("name: v", "mountPath: /etc/client", *more))
    return f"{kind}: [{{name: {container}, volumeMounts: [{{{fields}}}]}}]"


def spec(*lines: str) -> str:
    return POD + "spec:\n" + textwrap.indent("\n".join(lines), "  ") + "\n"


ANNOTATED = POD.replace(
    "namespace: shop",
    """namespace: shop, annotations: {
  sidecar.istio.io/userVolume: '{"v": {"secret": {"secretName": "client"}}}',
  sidecar.istio.io/userVolumeMount: '{"v": {"mountPath": "/etc/client", "readOnly": true}}'}""",
)
ROWS: dict[str, tuple[str, dict[str, bytes]]] = {
    "a Secret": (spec(CLIENT, mount()), CERTIFICATE | KEY),
    "some of its keys, under other names": (spec(ITEMS, mount()), {"/etc/client/own/key.pem": b"key"}),
    "a ConfigMap": (spec(ROOTS, mount()), {"/etc/client/ca.crt": b"root"}),
    "several in one directory": (spec(PROJECTED, mount()), CERTIFICATE | KEY | {"/etc/client/ca.crt": b"root"}),
    "one file alone": (spec(CLIENT, mount("subPath: tls.crt")), {"/etc/client": b"chain"}),
    "a native sidecar's": (spec(CLIENT, mount(kind="initContainers")), CERTIFICATE | KEY),
    "not what the program mounts": (spec(CLIENT, mount(container="app")), {}),
    "not what nobody mounts": (spec(CLIENT), {}),
    "nothing where there is no such Secret": (spec(MISSING, mount()), {}),
    "what annotations ask the injector for": (ANNOTATED, CERTIFICATE | KEY),
    "a list of volumes with names": (
        ANNOTATED.replace('{"v": {"secret', '[{"name": "v", "secret').replace('"client"}}}', '"client"}}]'),
        CERTIFICATE | KEY,
    ),
    "nothing where an annotation is not JSON": (ANNOTATED.replace('{"v": {"secret"', '["v": {"secret"'), {}),
    "a template's": (DEPLOYMENT + textwrap.indent("\n".join((CLIENT, mount())), " " * 6), CERTIFICATE | KEY),
    "nothing of a pod that nobody describes": ("", {}),
}


@pytest.mark.parametrize(("text", "expected"), ROWS.values(), ids=list(ROWS))
def test_what_the_pod_of_a_proxy_mounts(text: str, expected: dict[str, bytes]) -> None:
    configuration = load_texts([("mesh.yaml", DATA + text)])

    assert mounted_files(configuration, secrets_of(configuration), "shop/web") == expected


UNREADABLE = {
    "not JSON": ("{v: {}}", "is not JSON (expecting property name enclosed in double quotes at character 2)"),
    "a word": ('"v"', "is neither an object of JSON nor a list"),
    "a volume that is no object": ('{"v": "client"}', "has something else than an object under 'v'"),
}


@pytest.mark.parametrize(("written", "told"), UNREADABLE.values(), ids=list(UNREADABLE))
def test_an_annotation_at_which_the_injector_fails_is_told(written: str, told: str) -> None:
    text = POD.replace("namespace: shop", f"namespace: shop, annotations: {{sidecar.istio.io/userVolume: '{written}'}}")
    configuration = load_texts([("mesh.yaml", text)])
    problems = Problems()

    report_unreadable_annotations(configuration, "shop/web", problems)

    (problem,) = problems
    assert (problem.code, problem.span and problem.span.line) == ("SBX0557", 3)
    assert problem.message == (
        f"annotation sidecar.istio.io/userVolume {told}: the injector fails at it, and here it mounts nothing"
    )


RULE = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner, namespace: shop}
spec:
  hosts: [partner.example.com]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: partner, namespace: shop}
spec:
  host: partner.example.com
  trafficPolicy:
    tls:
      mode: MUTUAL
      clientCertificate: /etc/client/tls.crt
      privateKey: /etc/client/tls.key
      caCertificates: /etc/certs/root-cert.pem
"""
MESH = "---\ndefaultConfig:\n  proxyMetadata: {OUTPUT_CERTS: /etc/certs/}\n"
MISSING_FILES = {
    "none": (spec(CLIENT, mount()) + MESH, ""),
    "what the agent does not write": (spec(CLIENT, mount()), "/etc/certs/root-cert.pem: connections that need it fail"),
    "what the pod does not mount": (
        spec(CLIENT) + MESH,
        "/etc/client/tls.crt, /etc/client/tls.key: connections that need them fail",
    ),
}


@pytest.mark.parametrize(("text", "told"), MISSING_FILES.values(), ids=list(MISSING_FILES))
def test_files_that_the_proxy_will_miss_are_told(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(DATA + text + RULE)

    problems = load(Settings(files=(str(tmp_path),), workload="shop/web")).problems

    found = [problem for problem in problems if problem.code == "SBX0556"]
    assert [problem.message.partition("does not have ")[2] for problem in found] == ([told] if told else [])
    assert all("spec.trafficPolicy.tls" in problem.path for problem in found)


def test_files_of_this_machine_are_not_missed(tmp_path: Path) -> None:
    for name in ("tls.crt", "tls.key", "root-cert.pem"):
        (tmp_path / name).write_text("")
    rule = RULE.replace("/etc/client", str(tmp_path)).replace("/etc/certs", str(tmp_path))
    (tmp_path / "mesh.yaml").write_text(rule)

    assert "SBX0556" not in [problem.code for problem in load(Settings(files=(str(tmp_path / "mesh.yaml"),))).problems]
