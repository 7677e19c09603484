"""Calls of one workload to one host outside, with the routes and policies of a test."""

from __future__ import annotations

from sandbox.compiler import PushContext, compile_node, find_proxy
from sandbox.explain.call import parse_call
from sandbox.explain.steps import Walk
from sandbox.explain.walk import explain
from sandbox.istio.load import load_texts

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
status: {podIP: 10.0.0.9}
---
"""


def entry(
    ports: str = "{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}",
    host: str = "api.example.com",
) -> str:
    return _object("ServiceEntry", f"{{hosts: [{host}], resolution: DNS, ports: [{ports}]}}", host.partition(".")[0])


def routes(*rules: str) -> str:
    return _object("VirtualService", f"{{hosts: [api.example.com], http: [{', '.join(rules)}]}}")


def policy(spec: str) -> str:
    return _object("DestinationRule", f"{{host: api.example.com, {spec}}}")


def _object(kind: str, spec: str, name: str = "api") -> str:
    head = f"apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\n"
    return f"{head}spec: {spec}\n---\n"


def walked(target: str, *documents: str, method: str = "GET", headers: tuple[tuple[str, str], ...] = ()) -> Walk:
    configuration = load_texts([("mesh.yaml", (POD + "".join(documents)).removesuffix("---\n"))])
    assert not configuration.problems.errors
    push = PushContext(configuration)
    proxy = find_proxy(configuration, "shop/web", "sidecar")
    assert proxy is not None
    return explain(
        compile_node(push, proxy), parse_call(target, method=method, headers=headers), problems=push.problems
    )


def to(more: str = "port: {number: 80}", weight: str = "") -> str:
    return f"{{destination: {{host: api.example.com, {more}}}{weight}}}"
