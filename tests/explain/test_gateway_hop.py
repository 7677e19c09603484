"""A call through an egress gateway is followed into the gateway, and its authorization policies are asked."""

from __future__ import annotations

from functools import cache

import pytest

from sandbox.compiler import PushContext, compile_node, find_proxy
from sandbox.explain.call import parse_call
from sandbox.explain.render import as_text
from sandbox.explain.steps import Walk
from sandbox.explain.walk import Arrival, explain
from sandbox.istio.load import load_texts
from sandbox.plan import NodePlan
from sandbox.plan.because import origin_of
from sandbox.yaml_source.problems import Problems

GATEWAY_ADDRESS = "10.0.0.20"
YAML = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c}]}
status: {podIP: 10.0.0.9}
---
apiVersion: v1
kind: Service
metadata: {name: egress, namespace: shop}
spec:
  clusterIP: 10.96.0.20
  selector: {istio: egressgateway}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tls, port: 443, targetPort: 8443}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: egress-1, namespace: shop, labels: {kubernetes.io/service-name: egress}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.20], conditions: {ready: true}, targetRef: {kind: Pod, name: gw, namespace: shop}}]
ports: [{name: http, port: 8080, protocol: TCP}, {name: tls, port: 8443, protocol: TCP}]
---
apiVersion: v1
kind: Pod
metadata: {name: gw, namespace: shop, labels: {istio: egressgateway}}
spec: {containers: [{name: istio-proxy}]}
status: {podIP: 10.0.0.20}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: out, namespace: shop}
spec:
  selector: {istio: egressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [api.example.com]}
  - {port: {number: 443, name: tls, protocol: TLS}, hosts: [api.example.com], tls: {mode: PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  gateways: [mesh, out]
  http:
  - match: [{gateways: [mesh]}]
    route: [{destination: {host: egress.shop.svc.cluster.local, port: {number: 80}}}]
  - name: leave
    match: [{gateways: [out]}]
    route: [{destination: {host: api.example.com, port: {number: 80}}}]
  tls:
  - match: [{gateways: [mesh], port: 443, sniHosts: [api.example.com]}]
    route: [{destination: {host: egress.shop.svc.cluster.local, port: {number: 443}}}]
  - match: [{gateways: [out], port: 443, sniHosts: [api.example.com]}]
    route: [{destination: {host: api.example.com, port: {number: 443}}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: shop}
spec:
  selector: {matchLabels: {istio: egressgateway}}
  action: DENY
  rules: [{to: [{operation: {paths: ["/admin*"], ports: ["8080"]}}]}]
"""


@cache
def _plans(yaml: str = YAML) -> tuple[tuple[NodePlan, NodePlan], Problems]:
    configuration = load_texts([("mesh.yaml", yaml)])
    push = PushContext(configuration)
    sidecar, gateway = find_proxy(configuration, "shop/web", "sidecar"), find_proxy(configuration, "shop/gw", "router")
    assert sidecar is not None
    assert gateway is not None
    return (compile_node(push, sidecar), compile_node(push, gateway)), push.problems


def _explain(target: str, yaml: str = YAML) -> Walk:
    (sidecar, gateway), problems = _plans(yaml)

    def lookup(address: str, port: int) -> Arrival | None:
        return Arrival(plan=gateway, address=address, port=port) if address == GATEWAY_ADDRESS else None

    return explain(sidecar, parse_call(target), gateways=lookup, problems=problems)


CALLS = {
    "http": ("http://api.example.com/", None, "outbound|80||api.example.com"),
    "tls": ("https://api.example.com/", 0, "outbound|443||api.example.com"),
    "denied": ("http://api.example.com/admin/x", 403, "outbound|80||api.example.com"),
}


@pytest.mark.parametrize(("target", "status", "cluster"), CALLS.values(), ids=list(CALLS))
def test_the_walk_goes_on_through_the_gateway(target: str, status: int | None, cluster: str) -> None:
    walk = _explain(target)
    assert "egress.shop.svc.cluster.local" in walk.outcome.cluster
    assert walk.onward is not None
    assert walk.onward.node_type == "router"
    assert walk.onward.outcome.status == status
    assert walk.onward.outcome.cluster == cluster


def test_the_denying_policy_is_named() -> None:
    onward = _explain("http://api.example.com/admin/x").onward
    assert onward is not None
    step = onward.step("authorization")
    assert step is not None
    assert (step.found, step.reason) == ("denied", "policy ns[shop]-policy[no-admin]-rule[0] denies")
    assert step.because
    assert onward.outcome.details.startswith("rbac_access_denied_matched_policy[")


@pytest.mark.parametrize(
    ("path", "found", "reason"),
    [
        ("/admin/x", "would be denied", "policy ns[shop]-policy[no-admin]-rule[0] matches"),
        ("/", "would be allowed", "no DENY policy matches"),
    ],
)
def test_a_dry_run_says_what_the_policy_would_do(path: str, found: str, reason: str) -> None:
    yaml = YAML.replace("{name: no-admin,", "{name: no-admin, annotations: {istio.io/dry-run: 'true'},")
    onward = _explain(f"http://api.example.com{path}", yaml).onward
    assert onward is not None
    step = onward.step("dry run")
    assert step is not None
    assert (step.found, step.reason) == (found, reason)
    origin = origin_of(step.because)
    assert origin is not None
    assert origin.resource.name == "no-admin"
    assert onward.outcome.status is None


def test_a_server_that_wants_tls_redirects_after_its_policies() -> None:
    server = "protocol: HTTP}, hosts: [api.example.com]"
    yaml = YAML.replace(server, server + ", tls: {httpsRedirect: true}")

    onward, denied = _explain("http://api.example.com/a?b", yaml).onward, _explain(CALLS["denied"][0], yaml).onward

    assert onward is not None
    assert denied is not None
    assert (onward.outcome.status, onward.outcome.details) == (301, "direct_response")
    assert onward.outcome.sentence == "the proxy redirects to https://api.example.com/a?b"
    assert denied.outcome.status == 403


def test_a_service_without_endpoints_is_told_where_they_come_from() -> None:
    walk = _explain("http://api.example.com/", YAML.replace("addresses: [10.0.0.20]", "addresses: []"))

    assert (walk.outcome.status, walk.outcome.flags) == (503, ("UH",))
    step = walk.step("endpoint")
    assert step is not None
    assert "EndpointSlices" in step.notes[0]


@pytest.mark.parametrize(
    ("to_gateway", "told"),
    [
        pytest.param("gateways: [mesh]", [], id="by the gateway"),
        pytest.param("port: 81", ["SBX0411"], id="by the sidecar itself"),
    ],
)
def test_what_only_sidecars_cannot_do_is_told_only_where_one_does_it(to_gateway: str, told: list[str]) -> None:
    rule = "{host: api.example.com, trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}}"
    head = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: tls, namespace: shop}\n"
    routes = YAML.replace("match: [{gateways: [mesh]}]", f"match: [{{{to_gateway}}}]")
    routes = routes.replace("match: [{gateways: [out]}]", "match: [{port: 80}]")

    walk = _explain("http://api.example.com/", f"{routes}{head}spec: {rule}\n")

    assert [problem.code for problem in walk.findings] == told


@pytest.mark.parametrize(
    ("target", "status", "flags"),
    [("http://api.example.com/", 503, ("URX", "UF")), ("https://api.example.com/", 0, ("UF", "URX"))],
)
def test_a_port_that_the_gateway_does_not_listen_on_refuses(target: str, status: int, flags: tuple[str, ...]) -> None:
    yaml = YAML.replace(
        "number: 80, name: http, protocol: HTTP}, hosts", "number: 81, name: http, protocol: HTTP}, hosts"
    )
    yaml = yaml.replace(
        "number: 443, name: tls, protocol: TLS}, hosts", "number: 444, name: tls, protocol: TLS}, hosts"
    )

    walk = _explain(target, yaml)

    assert (walk.outcome.status, walk.outcome.flags, walk.outcome.is_forwarded) == (status, flags, False)
    assert walk.outcome.sentence.startswith("every connection to the upstream fails: shop/gw does not listen on port 8")
    assert walk.onward is not None
    assert walk.onward.outcome.sentence == "nothing listens: the connection is refused"
    assert all(step.losers == () for step in walk.onward.steps)


def test_both_nodes_are_printed() -> None:
    text = as_text(_explain("http://api.example.com/"))
    assert "from shop/web (sidecar)" in text
    assert "then through shop/gw (router)" in text


def test_without_the_gateway_the_walk_ends_at_its_endpoint() -> None:
    assert explain(_plans()[0][0], parse_call("http://api.example.com/")).onward is None
