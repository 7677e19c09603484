"""What istiod drops or refuses in silence is told with a code, at the line (``# here``) that is to blame."""

from __future__ import annotations

from textwrap import dedent

import pytest

from sandbox.compiler import compile_node, find_proxy
from sandbox.compiler.proxy import NodeType
from sandbox.compiler.push_context import PushContext
from sandbox.istio.load import load_texts
from sandbox.yaml_source.codes import CODES

from .sidecars import CLIENT

A = """
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: default}
spec:
  hosts: [a.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
"""


def _entry(name: str, spec: str, metadata: str = "") -> str:
    return _object("ServiceEntry", name, spec, metadata)


def _object(kind: str, name: str, spec: str, metadata: str = "") -> str:
    groups = {"AuthorizationPolicy": "security", "RequestAuthentication": "security", "Telemetry": "telemetry"}
    body = "".join(f"  {line}\n" for line in dedent(spec).strip().splitlines())
    head = f"apiVersion: {groups.get(kind, 'networking')}.istio.io/v1\nkind: {kind}\n"
    return f"\n---\n{head}metadata: {{name: {name}, namespace: default{metadata}}}\nspec:\n{body}"


def _routes(spec: str, name: str = "v") -> str:
    return _object("VirtualService", name, spec)


def _rule(policy: str, name: str = "r", host: str = "a.example") -> str:
    return _object("DestinationRule", name, f"host: '{host}'\n{dedent(policy).strip()}")


def _gateway(servers: str, name: str = "gw") -> str:
    return _object("Gateway", name, f"selector: {{app: client}}\nservers:\n{dedent(servers).strip()}")


def _operator(settings: str) -> str:
    return f"\n---\napiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n{settings}"


def _mesh(settings: str) -> str:
    body = "".join(f"    {line}\n" for line in dedent(settings).strip().splitlines())
    return _operator(f"  meshConfig:\n{body}")


PLAIN_PORT = "ports: [{number: 80, name: http, protocol: HTTP}]"
ROUTE = "route: [{destination: {host: a.example}}]"

SIDECAR = [
    (
        "SBX0401",
        _entry(
            "s", f"hosts: [s.example]\n{PLAIN_PORT}  # here\nresolution: DNS\nworkloadSelector: {{labels: {{a: b}}}}"
        ),
    ),
    (
        "SBX0402",
        _entry(
            "l",
            f"""
            hosts: [l.example]
            {PLAIN_PORT}
            resolution: DNS
            endpoints: [{{address: a.example, locality: eu}}, {{address: b.example, locality: us}}]
            """,
        )
        + _object(
            "DestinationRule",
            "r",
            """
            host: l.example  # here
            trafficPolicy:
              outlierDetection: {}
              loadBalancer: {localityLbSetting: {failoverPriority: [version]}}
            """,
        ),
    ),
    (
        "SBX0403",
        _entry("d", f"hosts: ['*.d.example']\n{PLAIN_PORT}\nresolution: DYNAMIC_DNS")
        + _rule("trafficPolicy:\n  outlierDetection: {interval: 1s}  # here", host="*.d.example"),
    ),
    (
        "SBX0404",
        A + _entry("b", "hosts: [a.example]\nports: [{number: 81, name: p, protocol: HTTP}]  # here\nresolution: NONE"),
    ),
    (
        "SBX0407",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
        + A.replace("default}", "shop}  # here")
        + _mesh("discoverySelectors: [{matchLabels: {team: core}}]"),
    ),
    ("SBX0411", A + _rule("trafficPolicy:\n  tls: {mode: SIMPLE, credentialName: c}  # here")),
    ("SBX0412", A + _rule("trafficPolicy:\n  tls: {mode: MUTUAL}  # here")),
    (
        "SBX0413",
        A
        + _rule("subsets: [{name: v1, labels: {version: v1}}]", "r1")
        + _rule("subsets:\n- {name: v1, labels: {version: v1}}  # here", "r2"),
    ),
    (
        "SBX0414",
        A
        + _rule("trafficPolicy: {loadBalancer: {simple: RANDOM}}", "r1")
        + _rule("trafficPolicy: {loadBalancer: {simple: RANDOM}}  # here", "r2"),
    ),
    (
        "SBX0501",
        _entry("t1", "hosts: [t1.example]\nports: [{number: 9000, name: tcp, protocol: TCP}]\nresolution: DNS")
        + _entry(
            "t2", "hosts: [t2.example]\nports: [{number: 9000, name: tcp, protocol: TCP}]  # here\nresolution: DNS"
        ),
    ),
    (
        "SBX0502",
        _entry(
            "p", "hosts: [p.example]\nports: [{number: 15001, name: http, protocol: HTTP}]  # here\nresolution: DNS"
        ),
    ),
    (
        "SBX0503",
        _entry("m", "hosts: [m.example]\nports: [{number: 9000, name: tcp, protocol: TCP}]\nresolution: DNS")
        + _entry(
            "db", "hosts: [n.example]\nports: [{number: 9000, name: mongo, protocol: Mongo}]  # here\nresolution: DNS"
        ),
    ),
    ("SBX0511", A + _routes("hosts: [a.example]\nhttp:\n- delegate: {name: none}  # here")),
    (
        "SBX0512",
        A
        + _routes("hosts: [a.example]\nhttp:\n- delegate: {name: d}  # here")
        + _object("VirtualService", "d", f"exportTo: [shop]\nhttp: [{{{ROUTE}}}]"),
    ),
    (
        "SBX0513",
        A
        + _routes("hosts: [a.example]\nhttp: [{match: [{uri: {prefix: /a}}], delegate: {name: d}}]")
        + _object("VirtualService", "d", f"http:\n- match: [{{uri: {{prefix: /b}}}}]  # here\n  {ROUTE}"),
    ),
    ("SBX0521", A + _routes(f"hosts: [a.example]\nhttp:\n- {ROUTE}\n- name: late  # here\n  {ROUTE}")),
    (
        "SBX0522",
        A
        + _routes(f"hosts: [a.example]\nhttp: [{{{ROUTE}}}]", "v1")
        + _routes(f"hosts: [a.example]  # here\nhttp: [{{{ROUTE}}}]", "v2"),
    ),
    ("SBX0524", _routes("hosts: [x.example]\nhttp:\n- route:\n  - destination: {host: none.example}  # here")),
    (
        "SBX0525",
        A + _routes("hosts: [a.example]\nhttp:\n- route:\n  - destination: {host: a.example, subset: v9}  # here"),
    ),
    (
        "SBX0526",
        A + _routes(f"hosts: [a.example]\nhttp:\n- fault: {{delay: {{exponentialDelay: 1s}}}}  # here\n  {ROUTE}"),
    ),
    ("SBX0531", A + _object("Telemetry", "t", "accessLogging:\n- providers:  # here\n  - name: none")),
]
GATEWAY = [
    (
        "SBX0541",
        _gateway(
            """
            - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}
            - {port: {number: 80, name: tcp, protocol: TCP}, hosts: ['*']}  # here
            """
        ),
    ),
    (
        "SBX0504",
        _mesh("defaultConfig: {proxyMetadata: {ISTIO_META_UNPRIVILEGED_POD: 'true'}}")
        + A
        + _gateway("- {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}  # here")
        + _routes(f"hosts: ['*']\ngateways: [gw]\nhttp: [{{{ROUTE}}}]"),
    ),
    (
        "SBX0543",
        A
        + _gateway("- {port: {number: 443, name: tls, protocol: TLS}, tls: {mode: PASSTHROUGH}, hosts: ['*']}")
        + "".join(
            _routes(
                f"hosts: [a.example]\ngateways: [gw]\ntls:\n- match:\n  - sniHosts: [a.example]{mark}\n  {ROUTE}", name
            )
            for name, mark in (("v1", ""), ("v2", "  # here"))
        ),
    ),
    (
        "SBX0545",
        A
        + _gateway("- {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}")
        + _routes(f"hosts: ['*']\ngateways: [gw]\nhttp: [{{{ROUTE}}}]")
        + _object("RequestAuthentication", "j", "jwtRules:\n- issuer: me\n  jwksUri: https://a.example/keys  # here"),
    ),
    ("SBX0542", _gateway("- {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']}  # here")),
    ("SBX0547", _gateway("- {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}  # here")),
]


def _told(text: str, node: NodeType) -> list[tuple[str, str]]:
    configuration = load_texts([("client.yaml", CLIENT), ("world.yaml", text)])
    push = PushContext(configuration)
    proxy = find_proxy(configuration, "default/client", node)
    assert proxy is not None
    compile_node(push, proxy)
    assert not configuration.problems.errors
    return [(problem.code, str(problem.span)) for problem in push.problems]


@pytest.mark.parametrize(
    ("code", "text", "node"),
    [
        *(pytest.param(code, text, "sidecar", id=f"{code}: {CODES[code].sentence}") for code, text in SIDECAR),
        *(pytest.param(code, text, "router", id=f"{code}: {CODES[code].sentence}") for code, text in GATEWAY),
    ],
)
def test_what_is_dropped_in_silence_is_told_at_its_line(code: str, text: str, node: NodeType) -> None:
    line = next(number for number, written in enumerate(text.splitlines(), 1) if written.endswith("# here"))

    assert (code, f"world.yaml:{line}") in _told(text, node)
