"""What can have no effect is told, and its useful neighbour is not."""

from __future__ import annotations

import pytest

from sandbox.analysis.without_effect import report_without_effect
from sandbox.compiler.push_context import PushContext
from sandbox.istio.load import load_texts
from sandbox.yaml_source.problems import Problems

WEB, TLS, DATABASE, UNKNOWN = (
    f"{{number: {number}, name: p{number}, protocol: {protocol}}}"
    for number, protocol in ((80, "HTTP"), (443, "HTTPS"), (5432, "TCP"), (9000, "''"))
)


def one(kind: str, spec: str) -> str:
    head = f"apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: api, namespace: shop}}\n"
    return f"{head}spec: {spec}\n---\n"


def entry(*ports: str) -> str:
    return one("ServiceEntry", f"{{hosts: [api.example.com], resolution: DNS, ports: [{', '.join(ports)}]}}")


def rule(policy: str, host: str = "api.example.com") -> str:
    return one("DestinationRule", f"{{host: '{host}', {policy}}}")


def routes(rules: str, more: str = "") -> str:
    return one("VirtualService", f"{{hosts: [api.example.com], {more}{rules}}}")


TO = "route: [{destination: {host: api.example.com}}]"
AT_443 = "portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]"
HTTP_RULE, TLS_RULE = f"http: [{{{TO}}}]", f"tls: [{{match: [{{sniHosts: [api.example.com]}}], {TO}}}]"
FOR_NOTHING = "SBX0410 api.example.com has no port 443: these settings are for nothing"
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: NAMESPACE, labels: {app: web}}\n---\n"


def selecting(app: str, namespace: str = "shop") -> str:
    chosen = rule(f"workloadSelector: {{matchLabels: {{app: {app}}}}}")
    return entry(WEB) + chosen + POD.replace("NAMESPACE", namespace)


WORLDS = {
    "a selector of nobody": (
        selecting("wbe"),
        ["SBX0415 no workload of the files has the labels app=wbe: it is for nobody"],
    ),
    "a selector of a pod": (selecting("web"), []),
    "a selector where no pod is described": (selecting("wbe", "other"), []),
    "an entry without ports": (
        entry(),
        ["SBX0409 the ServiceEntry has no ports, so nothing listens for api.example.com, and no route leads there"],
    ),
    "an entry with one": (entry(WEB), []),
    "settings of a port that is not there": (entry(WEB) + rule(f"trafficPolicy: {{{AT_443}}}"), [FOR_NOTHING]),
    "a subset's": (
        entry(WEB) + rule(f"subsets: [{{name: v1, trafficPolicy: {{{AT_443}}}}}]"),
        [FOR_NOTHING],
    ),
    "settings of a port that is": (entry(TLS) + rule(f"trafficPolicy: {{{AT_443}}}"), []),
    "settings of many hosts": (entry(WEB) + rule(f"trafficPolicy: {{{AT_443}}}", "*.example.com"), []),
    "settings of an unknown host": (rule(f"trafficPolicy: {{{AT_443}}}"), []),
    "HTTP rules for TLS": (
        entry(TLS, DATABASE) + routes(HTTP_RULE),
        [
            "SBX0527 no port of api.example.com speaks HTTP (443 HTTPS, 5432 TCP): sidecars do not read what these"
            " rules are for"
        ],
    ),
    "HTTP rules where there is HTTP, too": (entry(TLS, WEB) + routes(HTTP_RULE), []),
    "HTTP rules for what is detected": (entry(UNKNOWN) + routes(HTTP_RULE), []),
    "HTTP rules of a gateway": (entry(TLS) + routes(HTTP_RULE, "gateways: [out], "), []),
    "HTTP rules for the gateway alone": (
        entry(TLS) + routes(f"http: [{{match: [{{gateways: [out]}}], {TO}}}]", "gateways: [mesh, out], "),
        [],
    ),
    "TLS rules for HTTP": (
        entry(WEB) + routes(TLS_RULE),
        ["SBX0527 every port of api.example.com speaks HTTP (80 HTTP): sidecars go by http: rules there"],
    ),
    "TLS rules for TLS": (entry(WEB, TLS) + routes(TLS_RULE), []),
    "rules for an unknown host": (routes(TLS_RULE), []),
}


@pytest.mark.parametrize(("text", "told"), WORLDS.values(), ids=list(WORLDS))
def test_what_has_no_effect(text: str, told: list[str]) -> None:
    configuration = load_texts([("mesh.yaml", text.removesuffix("---\n"))])
    assert not configuration.problems.errors
    problems = Problems()

    report_without_effect(configuration, PushContext(configuration), problems)

    assert [f"{problem.code} {problem.message}" for problem in problems] == told
    assert all(problem.span is not None for problem in problems)
