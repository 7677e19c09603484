"""The differential lab's recorded configurations: what a real istiod told each node of a scenario, against our plan."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.compiler import PushContext, compile_node, find_proxy
from sandbox.compiler.proxy import NodeType
from sandbox.envoy_config.config_dump import config_dump
from sandbox.istio.load import load_texts

from .istiod_kit import KIT, SHARED, kit
from .ratchet import Outcome, compare_lines

LAB = SHARED / "lab"
LIST = Path(__file__).parent / "lab_exact.txt"
COMPARED = ("listeners", "routes", "clusters")
NODE_TYPES: dict[str, NodeType] = {"sidecar": "sidecar", "gateway": "router"}
"""File of a node to its type."""

pytestmark = pytest.mark.skipif(
    not (LAB / "xds").is_dir() or not (KIT / "kit").is_dir(), reason="the lab does not lie beside the checkout"
)


def _application(scenario: dict[str, Any]) -> dict[str, Any]:
    """The pod whose calls a scenario consists of."""
    metadata = {
        "name": "sleep",
        "namespace": "default",
        "labels": {"app": "sleep"},
        "annotations": scenario.get("pod_annotations") or {},
    }
    spec = {"serviceAccountName": "sleep", "containers": [{"name": "sleep"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"podIP": "10.244.0.10"}}


def _texts(scenario: dict[str, Any]) -> Iterator[tuple[str, str]]:
    with_gateway = ["egressgateway"] if "gateway" in scenario.get("nodes", ()) else []
    for name in scenario.get("base", ["cluster", "sleep", *with_gateway]):
        yield name, (LAB / "base" / f"{name}.yaml").read_text()
    mesh = {"accessLogFile": "/dev/stdout", "accessLogEncoding": "JSON", **(scenario.get("mesh") or {})}
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": yaml.safe_dump(mesh)},
    }
    yield "mesh", yaml.safe_dump(config_map)
    yield "application", yaml.safe_dump(_application(scenario))
    if scenario.get("config"):
        yield "config", scenario["config"]


def _outcomes() -> Iterator[Outcome]:
    for folder in sorted((LAB / "xds").iterdir()):
        scenario = yaml.safe_load((LAB / "scenarios" / f"{folder.name}.yaml").read_text())
        configuration = load_texts(list(_texts(scenario)))
        push = PushContext(configuration)
        for node, node_type in NODE_TYPES.items():
            if (folder / f"{node}.json").exists():
                recorded = json.loads((folder / f"{node}.json").read_text())
                pod, _, namespace = recorded["node"]["id"].split("~")[2].partition(".")
                proxy = find_proxy(configuration, f"{namespace}/{pod}", node_type)
                assert proxy is not None
                ours = config_dump(compile_node(push, proxy))
                yield _outcome(f"{folder.name}/{node}", recorded, ours)


def _outcome(name: str, recorded: dict[str, Any], ours: dict[str, Any]) -> Outcome:
    kit()
    compare = importlib.import_module("kit.compare")
    expected, got = (
        {key: normal.get(key, {}) for key in COMPARED} for normal in map(kit().normalise, (recorded, ours))
    )
    differences = compare.compare_normal(expected, got).differences
    if not differences:
        return Outcome(name, "pass")
    first = differences[0]
    return Outcome(name, "fail", f"{len(differences)} differences, first {first.what} {first.object} {first.path}")


def test_every_node_of_the_lab_is_told_what_istiod_told_it() -> None:
    print(compare_lines(LIST, list(_outcomes())))
