"""What explain says of a call is what a real proxy logged for it: route, cluster, status, flags."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sandbox.compiler import PushContext, compile_node, find_proxy
from sandbox.explain.call import Call
from sandbox.explain.steps import Walk
from sandbox.explain.walk import explain
from sandbox.istio.load import load_texts
from sandbox.plan import NodePlan

SHARED = Path(__file__).parents[3] / "shared"
RECORDINGS = SHARED / "goldens" / "envoy"
WORLDS = SHARED / "replay" / "world"
GROUPS = re.compile(r"[abcdegklp]\.")
WORLD_OF_MODE = {"outboundTrafficPolicy REGISTRY_ONLY": "block", "outboundTrafficPolicy ALLOW_ANY": "allow"}
PORTS = {80, 443, 5432, 9999, 8080}
UPSTREAM_FAULTS = {"UF", "URX", "UC", "UT", "UR", "UPE", "UO", "DC", "SI", "DPE", "DT", "UMSDR"}
"""What only the network or the peers can cause; explain says what the configuration causes."""

pytestmark = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings do not lie beside the checkout")


@cache
def _plan(world: str) -> NodePlan:
    files = sorted([*(WORLDS / "common").glob("*.yaml"), *(WORLDS / world).glob("*.yaml")])
    configuration = load_texts([(file.name, _filled_in(file.read_text())) for file in files])
    proxy = find_proxy(configuration, "default/client-1", "sidecar")
    assert proxy is not None
    return compile_node(PushContext(configuration), proxy)


def _filled_in(text: str) -> str:
    return re.sub(r"\$\{BASE64:[^}]*\}", "eA==", text).replace("${CERTS}", "certs")


def _recorded_calls() -> Iterator[tuple[str, str, Call, dict[str, Any]]]:
    """Name, world, call and log line of every recording of one plain call in a world with nothing special."""
    for path in sorted(RECORDINGS.glob("*.json")):
        recording = json.loads(path.read_text())
        lines = (recording.get("access_log") or {}).get("istio_json", [])
        world = WORLD_OF_MODE.get(recording.get("mode", ""))
        if world is None or not GROUPS.match(path.name) or len(lines) != 1 or len(recording["clients"]) != 1:
            continue
        connects = [event for event in recording["timeline"] if event["ev"] == "connect" and event["who"] == "client"]
        call = _call(recording["clients"][0]["sent"], connects, json.loads(lines[0])) if len(connects) == 1 else None
        if call is not None and call.port in PORTS:
            yield path.stem, world, call, json.loads(lines[0])


_HEAD = re.compile(r"([A-Z]+) (/\S*) HTTP/1\.1\r\nHost: ([!-~]+)\r\n((?:[!-~]+: ?[ -~]*\r\n)*)\r\n")


_IS_ODD = re.compile(r"\nHost:.*\nHost:|\nConnection: host|%00", re.IGNORECASE | re.DOTALL)
"""Requests that the codec or the normaliser refuse or change before they are routed: explain takes a call as meant."""


def _call(sent: dict[str, str], connects: list[dict[str, Any]], line: dict[str, Any]) -> Call | None:
    address, _, port = connects[0]["dst"].rpartition(":")
    text = sent.get("text", "")
    head = _HEAD.match(text)
    if _IS_ODD.search(text):
        return None
    if head is not None and line["method"] == head[1] and line["path"] == head[2]:
        headers = [tuple(each.split(": ", 1)) for each in head[4].splitlines() if ": " in each]
        return Call(
            scheme="http",
            host=head[3],
            port=int(port),
            method=head[1],
            path=head[2],
            headers=(("Host", head[3]), *((name, value) for name, value in headers)),
            address=address,
        )
    if line["method"] is None and line["requested_server_name"] and line["upstream_transport_failure_reason"] is None:
        return Call(scheme="tls", host=line["requested_server_name"], port=int(port), address=address, alpn=())
    return None


def _differences(walk: Walk, line: dict[str, Any]) -> Iterator[str]:
    outcome = walk.outcome
    flags = set() if line["response_flags"] == "-" else set(line["response_flags"].split(","))
    if flags & UPSTREAM_FAULTS or (line["response_code_details"] or "").startswith(
        ("http1.", "upstream_", "downstream_")
    ):
        return
    if (line["upstream_cluster"] or "") not in outcome.cluster.split(" or "):
        yield f"cluster {outcome.cluster}, recorded {line['upstream_cluster']}"
    if outcome.route != (line["route_name"] or ""):
        yield f"route {outcome.route}, recorded {line['route_name']}"
    if flags == {"UH"} and _needs_dns(outcome.cluster):
        return
    has_chance = any("%" in note for note in outcome.notes)
    if not has_chance and set(outcome.flags) != flags:
        yield f"flags {outcome.flags}, recorded {line['response_flags']}"
    if outcome.status is not None and outcome.status != line["response_code"]:
        yield f"status {outcome.status}, recorded {line['response_code']}"


def _needs_dns(cluster: str) -> bool:
    """Whether the answer of a DNS server decided."""
    return cluster in _plan("block").clusters and "DNS" in (_plan("block").clusters[cluster].type or "")


def _not_applicable() -> set[str]:
    """Recordings of configurations that Istio's own validation refuses."""
    return set(re.findall(r"[a-z]\.[a-z0-9_]+", (SHARED / "replay" / "not_applicable.yaml").read_text()))


def test_explain_says_what_was_logged() -> None:
    compared, different = 0, []
    refused = _not_applicable()
    for name, world, call, line in _recorded_calls():
        if name in refused:
            continue
        compared += 1
        walk = explain(_plan(world), call)
        different += [f"{name} [{world}] {call}: {difference}" for difference in _differences(walk, line)]
    assert compared > 150
    assert not different, f"{len(different)} of {compared}\n" + "\n".join(different)
