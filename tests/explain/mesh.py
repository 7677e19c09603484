"""A small mesh for the tests of this folder, compiled from YAML."""

from __future__ import annotations

from functools import cache

from sandbox.compiler import PushContext, compile_node, find_proxy
from sandbox.istio.load import load_texts
from sandbox.plan import NodePlan
from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.span import Span

YAML = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c}]}
status: {podIP: 10.0.0.9}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 8443, name: tls, protocol: TLS}
  resolution: STATIC
  endpoints:
  - {address: 192.0.2.10}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  http:
  - name: admin
    match: [{uri: {prefix: /admin}, method: {exact: POST}}]
    directResponse: {status: 403, body: {string: "no"}}
  - name: slow
    match: [{uri: {prefix: /slow}}]
    fault: {delay: {fixedDelay: 5s, percentage: {value: 100}}}
    timeout: 3s
    route: [{destination: {host: api.example.com}}]
  - name: broken
    match: [{uri: {exact: /broken}}]
    fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
    route: [{destination: {host: api.example.com}}]
  - name: half
    match: [{uri: {exact: /half}}]
    fault: {abort: {httpStatus: 500, percentage: {value: 50}}}
    route: [{destination: {host: api.example.com}}]
  - name: old
    match: [{uri: {prefix: /old}}]
    redirect: {uri: /new, redirectCode: 302}
  - name: elsewhere
    match: [{uri: {prefix: /elsewhere}}]
    route: [{destination: {host: nowhere.example.com}}]
  - name: all
    route:
    - {destination: {host: api.example.com}, weight: 90}
    - {destination: {host: other.example.com}, weight: 10}
  - name: shadowed
    match: [{uri: {prefix: /shadow}}]
    route: [{destination: {host: api.example.com}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: other, namespace: shop}
spec:
  hosts: [other.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: shop}
spec:
  hosts: [db.example.com]
  addresses: [192.0.2.77]
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.78}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: secure, namespace: shop}
spec:
  hosts: [secure.example.com]
  ports: [{number: 443, name: https, protocol: TLS}]
  resolution: DNS
"""

FILE = "mesh.yaml"


@cache
def compiled() -> tuple[NodePlan, Problems]:
    """The plan of the sidecar of ``shop/web``, and what was found while compiling."""
    configuration = load_texts([(FILE, YAML)])
    push = PushContext(configuration)
    proxy = find_proxy(configuration, "shop/web", "sidecar")
    assert proxy is not None
    return compile_node(push, proxy), push.problems


def plan() -> NodePlan:
    """The plan alone."""
    return compiled()[0]


def source_line(span: Span) -> str | None:
    """The YAML line at a place."""
    lines = YAML.splitlines()
    return lines[span.line - 1] if span.file == FILE and span.line <= len(lines) else None


def line_of(text: str) -> int:
    """The number of the first line that holds a text."""
    return next(number for number, line in enumerate(YAML.splitlines(), 1) if text in line)
