"""Explain tells why objects that name a call's host do not count for its caller."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.cli.main import egress

HEAD = "apiVersion: networking.istio.io/v1\nkind: {}\nmetadata: {{name: {}, namespace: {}}}\nspec:\n"


def one(kind: str, name: str, namespace: str, spec: str) -> str:
    return f"{HEAD.format(kind, name, namespace)}  {spec}\n---\n"


PORT = "ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS"
ENTRY = one("ServiceEntry", "api", "infra", f"{{hosts: [api.example.com], {PORT}}}")
PRIVATE = one("ServiceEntry", "api", "infra", f"{{hosts: [api.example.com], exportTo: ['.'], {PORT}}}")
MISSPELT = one("ServiceEntry", "api", "shop", f"{{hosts: [api.example.com], {PORT}, locatoin: MESH_EXTERNAL}}")
NARROW = one("Sidecar", "default", "shop", "{egress: [{hosts: [./*]}]}")
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop, annotations: {networking.istio.io/exportTo: "~"}}
spec: {ports: [{name: http, port: 80}]}
---
"""
MESH = "defaultServiceExportTo: ['.']\n"


def routes(name: str, namespace: str, more: str = "") -> str:
    rule = "http: [{route: [{destination: {host: api.example.com}}]}]"
    return one("VirtualService", name, namespace, f"{{hosts: [api.example.com], {more}{rule}}}")


def rules(match: str) -> str:
    to = "route: [{destination: {host: api.example.com}}]"
    return one(
        "VirtualService", "api", "shop", f"{{hosts: [api.example.com], http: [{{match: [{match}], {to}}}, {{{to}}}]}}"
    )


def policy(name: str, namespace: str, more: str = "") -> str:
    tls = "trafficPolicy: {tls: {mode: SIMPLE}}"
    return one("DestinationRule", name, namespace, f"{{host: api.example.com, {more}{tls}}}")


ROWS = {
    "a host that is exported to others": (
        PRIVATE,
        "not ServiceEntry infra/api: it is not exported to the namespace shop",
        "infra/api spec.exportTo",
    ),
    "a Service that is exported to nobody": (
        SERVICE,
        "not Service shop/api: it is not exported to the namespace shop",
        "Service shop/api metadata.annotations",
    ),
    "a mesh that exports nothing": (
        ENTRY + MESH,
        "not ServiceEntry infra/api: it is not exported to the namespace shop",
        "defaultServiceExportTo",
    ),
    "a Sidecar that does not import it": (
        ENTRY + NARROW,
        "not ServiceEntry infra/api: Sidecar shop/default does not import it",
        "Sidecar shop/default spec.egress",
    ),
    "a host with a misspelt field": (
        MISSPELT,
        "not ServiceEntry shop/api: it is refused: unknown field locatoin in ServiceEntry (SBX0101)",
        "ServiceEntry shop/api spec.locatoin",
    ),
    "routes to nowhere": (
        routes("api", "shop"),
        "not VirtualService shop/api: no ServiceEntry or Service gives its host to the caller",
        "VirtualService shop/api spec.hosts[0]",
    ),
    "routes of a gateway": (
        ENTRY + routes("api", "shop", "gateways: [out], "),
        "not VirtualService shop/api: it is for shop/out alone, not for sidecars (mesh)",
        "VirtualService shop/api spec.gateways",
    ),
    "routes that are exported to others": (
        ENTRY + routes("api", "infra", "exportTo: ['.'], "),
        "not VirtualService infra/api: it is not exported to the namespace shop",
        "VirtualService infra/api spec.exportTo",
    ),
    "routes beside others": (
        ENTRY + routes("a", "shop") + routes("b", "shop"),
        "not VirtualService shop/b: VirtualService shop/a has the host already",
        "VirtualService shop/b spec.hosts[0]",
    ),
    "a rule for other workloads": (
        ENTRY + rules("{sourceLabels: {app: other}}"),
        "not a match of VirtualService shop/api: its sourceLabels are not the caller's",
        "VirtualService shop/api spec.http[0].match[0].sourceLabels",
    ),
    "a rule for another namespace": (
        ENTRY + rules("{sourceNamespace: other}"),
        "not a match of VirtualService shop/api: it is for callers of the namespace other",
        "VirtualService shop/api spec.http[0].match[0].sourceNamespace",
    ),
    "a policy in a third namespace": (
        ENTRY + policy("tls", "other"),
        "not DestinationRule other/tls: it counts only in the caller's namespace (shop), the host's (infra) or the root"
        " namespace (istio-system)",
        "DestinationRule other/tls metadata.namespace",
    ),
    "a policy that is exported to others": (
        ENTRY + policy("tls", "infra", "exportTo: ['.'], "),
        "not DestinationRule infra/tls: it is not exported to the namespace shop",
        "DestinationRule infra/tls spec.exportTo",
    ),
    "a policy for other workloads": (
        ENTRY + policy("tls", "shop", "workloadSelector: {matchLabels: {app: other}}, "),
        "not DestinationRule shop/tls: its workloadSelector does not select the caller",
        "DestinationRule shop/tls spec.workloadSelector",
    ),
    "a policy beside a nearer one": (
        ENTRY + policy("near", "shop") + policy("far", "infra"),
        "not DestinationRule infra/far: DestinationRule shop/near comes first",
        "DestinationRule infra/far spec.host",
    ),
}


def explained(text: str, tmp_path: Path, host: str = "api.example.com") -> str:
    file = tmp_path / "mesh.yaml"
    file.write_text(text.rstrip("-\n") + "\n")
    result = CliRunner().invoke(egress, ["explain", f"http://{host}/", "-f", str(file), "--workload", "shop/web"])
    return " ".join(result.stdout.split())


@pytest.mark.parametrize(("text", "told", "place"), ROWS.values(), ids=list(ROWS))
def test_what_does_not_count_is_told_with_its_line(text: str, told: str, place: str, tmp_path: Path) -> None:
    output = explained(text, tmp_path, "api" if "kind: Service\n" in text else "api.example.com")

    assert told in output
    assert place in output.partition(told)[2]


GATEWAY = one(
    "Gateway",
    "out",
    "shop",
    "{selector: {istio: egressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}",
)
TO_GATEWAY = "route: [{destination: {host: istio-egressgateway.istio-system.svc.cluster.local, port: {number: 80}}}]"


@pytest.mark.parametrize(
    ("gateways", "more", "told"),
    [
        ("[mesh, out]", "", "not VirtualService shop/api: none of its rules is for the gateway shop/out"),
        ("[mesh, other]", "", "not VirtualService shop/api: it is for mesh, shop/other, not for the gateway shop/out"),
        ("[mesh, out]", ", {match: [{gateways: [out]}], route: [{destination: {host: api.example.com}}]}", ""),
    ],
    ids=["rules of the mesh alone", "another gateway", "a rule that is for it"],
)
def test_what_does_not_count_at_the_gateway_is_told_there(gateways: str, more: str, told: str, tmp_path: Path) -> None:
    first = f"{{match: [{{gateways: [mesh]}}], {TO_GATEWAY}}}"
    spec = f"{{hosts: [api.example.com], gateways: {gateways}, http: [{first}{more}]}}"

    output = explained(ENTRY + GATEWAY + one("VirtualService", "api", "shop", spec), tmp_path)

    at_gateway = output.partition("then through")[2]
    assert at_gateway
    assert (told in at_gateway) if told else ("not VirtualService" not in at_gateway)


def test_a_short_name_is_known_on_other_ports(tmp_path: Path) -> None:
    web, other = (
        SERVICE.replace(', annotations: {networking.istio.io/exportTo: "~"}', "").replace("name: api", f"name: {name}")
        for name in ("api", "x")
    )

    output = explained(web.replace("port: 80", "port: 9080") + other, tmp_path, "api")

    assert "not api.shop.svc.cluster.local:9080: is known on port 9080, not 80" in output


def test_routes_of_a_gateway_for_every_host_are_not_told(tmp_path: Path) -> None:
    every = routes("in", "shop", "gateways: [ingress], ").replace("hosts: [api.example.com]", "hosts: ['*']")

    assert "not VirtualService" not in explained(ENTRY + every, tmp_path)


def test_what_counts_is_not_told(tmp_path: Path) -> None:
    output = explained(ENTRY + routes("api", "shop") + policy("tls", "shop"), tmp_path)

    assert " not " not in output.partition("outcome")[0].replace("is not in the proxy's name table", "")
