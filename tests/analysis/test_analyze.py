"""What ``istioctl analyze`` would say: one small world for each finding, and its quiet neighbour."""

from __future__ import annotations

from datetime import UTC, datetime
from textwrap import dedent

import pytest

from sandbox.analysis import analyze
from sandbox.istio.load import load_texts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADS = {
    "AuthorizationPolicy": "security.istio.io/v1",
    "RequestAuthentication": "security.istio.io/v1",
    "Telemetry": "telemetry.istio.io/v1",
    "Service": "v1",
    "Pod": "v1",
    "Namespace": "v1",
}
POD = ("Pod", "app", "spec: {containers: [{name: app, ports: [{containerPort: 8080}]}]}")
GATEWAY_POD = ("Pod", "gateway", "spec: {containers: [{name: istio-proxy}]}")
REVIEWS = ("Service", "reviews", "spec: {selector: {app: app}, ports: [{name: http, port: 80, targetPort: 8080}]}")
GATEWAY_SERVICE = ("Service", "gateway", "spec: {selector: {app: gateway}, ports: [{name: http, port: 80}]}")

Object = tuple[str, str, str]


def found(*objects: Object) -> list[str]:
    """``CODE kind name`` of every finding."""
    documents = []
    for kind, name, body in objects:
        head = f"apiVersion: {HEADS.get(kind, 'networking.istio.io/v1')}\nkind: {kind}\n"
        metadata = f"metadata: {{name: {name}, namespace: default, labels: {{app: {name}}}}}\n"
        documents.append(head + metadata + dedent(body))
    configuration = load_texts([(f"{index}.yaml", text) for index, text in enumerate(documents)])
    problems = analyze(configuration, NOW)
    return [f"{each.code} {each.resource.kind} {each.resource.name}" for each in problems if each.resource is not None]


def gateway(servers: str, selector: str = "gateway") -> Object:
    return "Gateway", "gw", f"spec: {{selector: {{app: {selector}}}, servers: [{servers}]}}"


def routes(http: str, hosts: str = "reviews", gateways: str = "mesh") -> Object:
    return "VirtualService", "vs", f"spec: {{hosts: ['{hosts}'], gateways: [{gateways}], http: [{http}]}}"


def to(host: str, more: str = "") -> str:
    return f"{{route: [{{destination: {{host: {host}{more}}}}}]}}"


HTTP_80 = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['a.example.com']}"


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([POD, REVIEWS, routes(to("reviews"))], [], id="a known destination"),
        pytest.param([POD, REVIEWS, routes(to("ratings"))], ["IST0101 VirtualService vs"], id="an unknown destination"),
        pytest.param(
            [POD, REVIEWS, routes(to("reviews", ", subset: v1"))],
            ["IST0101 VirtualService vs"],
            id="a subset that no DestinationRule has",
        ),
        pytest.param(
            [
                POD,
                REVIEWS,
                routes(to("reviews", ", subset: v1")),
                ("DestinationRule", "dr", "spec: {host: reviews, subsets: [{name: v1, labels: {app: app}}]}"),
            ],
            [],
            id="a subset that a DestinationRule has",
        ),
        pytest.param(
            [POD, REVIEWS, routes(to("reviews"), gateways="gw")],
            ["IST0101 VirtualService vs", "IST0132 VirtualService vs"],
            id="an unknown gateway",
        ),
        pytest.param(
            [
                POD,
                REVIEWS,
                GATEWAY_POD,
                GATEWAY_SERVICE,
                gateway(HTTP_80),
                routes(to("reviews"), "b.example.com", "gw"),
            ],
            ["IST0132 VirtualService vs"],
            id="a host that the gateway does not serve",
        ),
        pytest.param([gateway(HTTP_80)], ["IST0101 Gateway gw"], id="a gateway for no workload"),
        pytest.param([GATEWAY_POD, GATEWAY_SERVICE, gateway(HTTP_80)], [], id="a gateway with workload and service"),
        pytest.param(
            [
                GATEWAY_POD,
                GATEWAY_SERVICE,
                gateway(
                    "{port: {number: 80, name: tls, protocol: TLS}, hosts: ['*'], "
                    "tls: {mode: SIMPLE, credentialName: none}}"
                ),
            ],
            ["IST0101 Gateway gw"],
            id="a credential that does not exist",
        ),
        pytest.param(
            [
                POD,
                REVIEWS,
                routes("{match: [{uri: {prefix: /}}], route: [{destination: {host: reviews}}]}, " + to("reviews")),
            ],
            [],
            id="the last rule takes the rest",
        ),
        pytest.param(
            [POD, REVIEWS, routes(f"{to('reviews')}, {to('reviews')}")],
            ["IST0130 VirtualService vs"],
            id="a rule that is never reached",
        ),
        pytest.param(
            [
                POD,
                REVIEWS,
                ("DestinationRule", "dr", "spec: {host: nobody}"),
            ],
            ["IST0174 DestinationRule dr"],
            id="a DestinationRule for no service",
        ),
        pytest.param(
            [("Sidecar", "one", "spec: {workloadSelector: {labels: {app: nobody}}, egress: [{hosts: ['*/*']}]}")],
            ["IST0101 Sidecar one"],
            id="a Sidecar for no workload",
        ),
        pytest.param(
            [
                ("Sidecar", "one", "spec: {egress: [{hosts: ['*/*']}]}"),
                ("Sidecar", "two", "spec: {egress: [{hosts: ['./*']}]}"),
            ],
            ["IST0111 Sidecar one", "IST0111 Sidecar two"],
            id="two Sidecars for one namespace",
        ),
        pytest.param(
            [POD, ("Service", "plain", "spec: {selector: {app: app}, ports: [{name: foo, port: 80}]}")],
            ["IST0118 Service plain"],
            id="a port name without protocol",
        ),
        pytest.param(
            [
                POD,
                REVIEWS,
                (
                    "AuthorizationPolicy",
                    "ap",
                    "spec: {selector: {matchLabels: {app: nobody}}, rules: [{}]}",
                ),
            ],
            ["IST0127 AuthorizationPolicy ap"],
            id="a policy for no workload",
        ),
        pytest.param(
            [
                (
                    "ServiceEntry",
                    "se",
                    "spec: {hosts: [a.example.com], resolution: NONE, ports: [{number: 90, name: t, protocol: TCP}]}",
                ),
            ],
            ["IST0134 ServiceEntry se"],
            id="a ServiceEntry for TCP without addresses",
        ),
        pytest.param(
            [
                ("DestinationRule", "dr", "spec: {host: '*.example.com', trafficPolicy: {tls: {mode: SIMPLE}}}"),
            ],
            ["IST0128 DestinationRule dr", "IST0174 DestinationRule dr"],
            id="TLS that checks nothing",
        ),
        pytest.param(
            [
                POD,
                REVIEWS,
                routes(to("reviews")),
                ("VirtualService", "other", "spec: {hosts: [reviews], http: [{redirect: {uri: /}}]}"),
            ],
            ["IST0109 VirtualService other", "IST0109 VirtualService vs"],
            id="two VirtualServices for one host",
        ),
    ],
)
def test_the_findings_are_istioctls(objects: list[Object], expected: list[str]) -> None:
    assert sorted(found(*objects)) == expected
