"""``istioctl analyze`` on Istio's own inputs (``cases/istio/analyzers.json``): the same codes for the same objects."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from sandbox.analysis import ANALYZERS
from sandbox.analysis.mesh_index import build_index
from sandbox.istio.load import load_texts
from sandbox.yaml_source.problems import Problems

from .istio_cases import read_cases
from .ratchet import NotApplicable, compare_with_list, run_case

CASES = read_cases("analyzers")

pytestmark = pytest.mark.skipif(not CASES, reason="the case files do not lie beside the checkout")

INGRESS_GATEWAY = """
apiVersion: v1
kind: Pod
metadata:
  name: istio-ingressgateway-dummypod
  namespace: istio-system
  labels: {istio: ingressgateway}
spec:
  containers: [{name: istio-proxy}]
---
apiVersion: v1
kind: Service
metadata:
  name: istio-ingressgateway
  namespace: istio-system
spec:
  selector: {istio: ingressgateway}
  ports:
  - {name: http2, port: 80, targetPort: 80, protocol: TCP}
  - {name: https, port: 443, targetPort: 443, protocol: TCP}
  - {name: tcp, port: 31400, targetPort: 31400, protocol: TCP}
  - {name: tls, port: 15443, targetPort: 15443, protocol: TCP}
"""
"""Every case of Istio runs with this gateway unless it brings its own."""

CODES = {
    "deprecation.FieldAnalyzer": {"IST0002"},
    "gateway.IngressGatewayPortAnalyzer": {"IST0101", "IST0162"},
    "gateway.SecretAnalyzer": {"IST0101", "IST0161"},
    "gateway.ConflictingGatewayAnalyzer": {"IST0145"},
    "gateway.CertificateAnalyzer": {"IST0138"},
    "service.PortNameAnalyzer": {"IST0118", "IST0150"},
    "sidecar.SelectorAnalyzer": {"IST0101", "IST0110", "IST0111", "IST0167"},
    "virtualservice.ConflictingMeshGatewayHostsAnalyzer": {"IST0109"},
    "virtualservice.DestinationHostAnalyzer": {"IST0101", "IST0112", "IST0140"},
    "virtualservice.DestinationRuleAnalyzer": {"IST0101"},
    "virtualservice.GatewayAnalyzer": {"IST0101", "IST0132", "IST0165"},
    "virtualservice.JWTClaimRouteAnalyzer": {"IST0149"},
    "destinationrule.CaCertificateAnalyzer": {"IST0128", "IST0129"},
    "destinationrule.PodNotSelectedAnalyzer": {"IST0173", "IST0174"},
    "serviceentry.ProtocolAddressesAnalyzer": {"IST0134"},
    "serviceentry.ConflictingServiceEntryProtocolAnalyzer": {"IST0177"},
    "schemaValidation.CollectionValidationAnalyzer(collections.VirtualService)": {"IST0130", "IST0131"},
}
"""What each of istioctl's analyzers may say; a case looks at one of them."""

SENTENCES = {
    "gateway.SecretAnalyzer": ("selector", "credentialName"),
    "gateway.IngressGatewayPortAnalyzer": ("selector",),
    "sidecar.SelectorAnalyzer": ("selector",),
    "virtualservice.DestinationHostAnalyzer": ("host", "mirror host", "host:port"),
    "virtualservice.DestinationRuleAnalyzer": ("host+subset in destinationrule", "mirror+subset in destinationrule"),
    "virtualservice.GatewayAnalyzer": ("gateway",),
}
"""What the analyzer looks for when it reports IST0101."""

KINDS = {"gateway": "Gateway", "sidecar": "Sidecar", "virtualservice": "VirtualService"}


def _check(case: dict[str, Any]) -> None:
    analyzer = case["analyzer"]
    if "kind: Gateway\n" in case["config"] and "gateway.networking.k8s.io" in case["config"]:
        raise NotApplicable("Kubernetes Gateway API")
    texts = [("config.yaml", case["config"])]
    if "name: istio-ingressgateway\n" not in case["config"]:
        texts.append(("ingress.yaml", INGRESS_GATEWAY))
    if case.get("mesh_config_file"):
        texts.append(("mesh.yaml", _mesh_document(case["mesh_config_file"])))
    configuration = load_texts(texts)
    problems = Problems()
    index = build_index(configuration, now=datetime.now(UTC))
    for analyze in ANALYZERS:
        analyze(index, problems)
    actual = Counter(
        (problem.code, problem.severity, str(problem.resource).removeprefix(" "))
        for problem in problems
        if problem.code in CODES[analyzer] and _concerns(analyzer, problem)
    )
    expected = Counter(
        (entry["code"], entry["level"].lower(), _qualified(entry["resource"])) for entry in case["expect"]["messages"]
    )
    missing, extra = expected - actual, actual - expected
    assert not [*missing, *extra], f"missing {sorted(missing.elements())}, extra {sorted(extra.elements())}"


def _concerns(analyzer: str, problem: Any) -> bool:
    kind = KINDS.get(analyzer.partition(".")[0])
    if kind is not None and problem.resource.kind != kind:
        return False
    if problem.code != "IST0101":
        return True
    return any(problem.message.startswith(f"referenced {what} not found") for what in SENTENCES[analyzer])


def _qualified(resource: str) -> str:
    kind, _, name = resource.partition(" ")
    return resource if "/" in name else f"{kind} default/{name}"


def _mesh_document(mesh: Any) -> str:
    text = mesh if isinstance(mesh, str) else yaml.safe_dump(mesh)
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}}
    return yaml.safe_dump({**config_map, "data": {"mesh": text}})


def test_findings_of_istioctl_analyze() -> None:
    print(compare_with_list("analyzers", [run_case(case, _check) for case in CASES]))
