"""Services without endpoints are told where somebody counts on them, and only there."""

from __future__ import annotations

import pytest

from sandbox.analysis.missing_endpoints import report_missing_endpoints
from sandbox.compiler.push_context import PushContext
from sandbox.istio.load import load_texts
from sandbox.yaml_source.problems import Problems

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80}, {name: grpc, port: 90}]}
"""
POD = """\
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-1, namespace: shop, labels: {app: reviews}}
"""
ROUTE = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}
"""
SLICE = """\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: shop, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}]
ports: [{name: http, port: 8080}, {name: grpc, port: 9090}]
"""
WORKLOAD = """\
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: shop}
spec: {address: 10.0.0.2, labels: {app: reviews}}
"""
DEPLOYMENT = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews, namespace: shop}
spec: {template: {metadata: {labels: {app: reviews}}, spec: {containers: [{name: c}]}}}
"""
HEADLESS = SERVICE.replace("spec: {", "spec: {clusterIP: None, ")
ELSEWHERE = POD.replace("namespace: shop", "namespace: other")
HOST = "reviews.shop.svc.cluster.local"
WORLDS = {
    "nobody counts on it": (SERVICE, []),
    "a pod of another namespace": (SERVICE + ELSEWHERE, []),
    "its pod is there": (
        SERVICE + POD,
        [f"no EndpointSlice gives {HOST} an endpoint, though it selects the pod reviews-1: calls get 503 (UH)"],
    ),
    "a route leads there": (
        SERVICE + ROUTE,
        [
            f"no EndpointSlice gives {HOST} an endpoint, though VirtualService shop/reviews routes to it: calls get 503"
            " (UH)"
        ],
    ),
    "a slice has one of the ports": (
        SERVICE + POD + SLICE.replace(", {name: grpc, port: 9090}", ""),
        [
            f"no EndpointSlice gives {HOST} an endpoint on port 90, though it selects the pod reviews-1: calls get 503"
            " (UH)"
        ],
    ),
    "a slice has them": (SERVICE + POD + ROUTE + SLICE, []),
    "a WorkloadEntry is selected": (SERVICE + ROUTE + WORKLOAD, []),
    "its pods are yet to be made": (SERVICE + ROUTE + DEPLOYMENT, []),
    "they are made": (
        SERVICE + ROUTE + DEPLOYMENT + POD,
        [f"no EndpointSlice gives {HOST} an endpoint, though it selects the pod reviews-1: calls get 503 (UH)"],
    ),
    "it has no address of its own": (HEADLESS + POD, []),
}


@pytest.mark.parametrize(("text", "told"), WORLDS.values(), ids=list(WORLDS))
def test_a_service_without_endpoints(text: str, told: list[str]) -> None:
    configuration = load_texts([("mesh.yaml", text)])
    problems = Problems()

    report_missing_endpoints(configuration, PushContext(configuration), problems)

    assert [problem.message for problem in problems] == told
    assert all(problem.code == "SBX0408" and problem.span and problem.span.line == 3 for problem in problems)
