"""Every world a real istiod was asked about: our configuration, object by object, against its answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sandbox.compiler import PushContext, compile_node, find_proxy
from sandbox.envoy_config.config_dump import config_dump
from sandbox.istio.load import load_texts
from sandbox.plan import NodePlan

from .istiod_kit import KIT, SHARED, kit
from .ratchet import Outcome, compare_lines

WORLDS = SHARED / "goldens" / "istiod"
LIST = Path(__file__).parent / "istiod_exact.txt"

pytestmark = pytest.mark.skipif(not (KIT / "kit").is_dir(), reason="istiod's kit does not lie beside the checkout")


@cache
def compiled() -> tuple[tuple[Any, NodePlan], ...]:
    """Every recorded node with the plan we make for it."""
    found = []
    for world in kit().load_worlds(str(WORLDS)):
        configuration = load_texts([("config.yaml", Path(world.config).read_text())])
        push = PushContext(configuration)
        for node in world.nodes:
            proxy = find_proxy(configuration, node.workload, node.type)
            assert proxy is not None, node.id
            found.append((node, compile_node(push, proxy)))
    return tuple(found)


def _fate(node: Any, plan: NodePlan) -> Outcome:
    names = {host: list(entry.addresses) for host, entry in plan.name_table.hosts.items()} if node.dns else None
    differences = kit().compare(node.expected, config_dump(plan), names)
    if not differences:
        return Outcome(node.id, "pass")
    first = differences[0]
    return Outcome(node.id, "fail", f"{len(differences)} differences, first {first.what} {first.object} {first.path}")


def test_every_object_of_every_world_is_what_istiod_sends() -> None:
    print(compare_lines(LIST, [_fate(node, plan) for node, plan in compiled()]))


def _without_reason(value: object, path: str) -> Iterator[str]:
    """The places of messages that have room for reasons and name none."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _without_reason(item, f"{path}[{index}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _without_reason(item, f"{path}[{key}]")
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            if field.name == "because":
                if not inner:
                    yield f"{path} ({type(value).__name__})"
            else:
                yield from _without_reason(inner, f"{path}.{field.name}")


def test_every_object_of_every_world_says_which_lines_decided_it() -> None:
    silent = [place for node, plan in compiled() for place in _without_reason(plan, node.id)]

    assert not silent, f"{len(silent)} without a reason: {silent[:10]}"
