"""Reloads of recorded worlds: with an object taken away, and put back, each ends where a fresh start does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from sandbox.compiler import PushContext, compile_node, find_proxy
from sandbox.envoy_config.config_dump import config_dump
from sandbox.istio.load import load_texts
from sandbox.istio.load_cache import LoadCache

from .istiod_kit import KIT, kit
from .test_istiod_kit import WORLDS

EVERY, MOST_OBJECTS = 20, 25
"""One world of so many is played, of those that are not large."""

pytestmark = pytest.mark.skipif(not (KIT / "kit").is_dir(), reason="istiod's kit does not lie beside the checkout")


def _told(
    text: str, workload: str, kind: Literal["sidecar", "router"], cache: LoadCache, previous: PushContext | None
) -> tuple[PushContext, Any]:
    """What the proxy is told, with the lines behind it, and what the user is told."""
    configuration = load_texts([("world.yaml", text)], cache=cache)
    push = PushContext(configuration, previous)
    proxy = find_proxy(configuration, workload, kind)
    assert proxy is not None
    dump = config_dump(compile_node(push, proxy), because=True)
    return push, (dump, sorted((problem.code, problem.message, str(problem.span)) for problem in push.problems))


def _changed(documents: list[str]) -> Iterator[str]:
    """The world without one of its objects, each in turn, and as it was in between."""
    text = "\n---\n".join(documents)
    for place in range(1, len(documents)):
        if "\nkind: Pod" not in documents[place]:
            yield "\n---\n".join(documents[:place] + documents[place + 1 :])
            yield text


def test_a_reload_ends_where_a_fresh_start_does() -> None:
    worlds = [(world, Path(world.config).read_text().split("\n---\n")) for world in kit().load_worlds(str(WORLDS))]
    for world, documents in [found for found in worlds if len(found[1]) <= MOST_OBJECTS][::EVERY]:
        node, cache = world.nodes[0], LoadCache()
        push, _ = _told("\n---\n".join(documents), node.workload, node.type, cache, None)
        for changed in _changed(documents):
            push, reloaded = _told(changed, node.workload, node.type, cache, push)
            _, fresh = _told(changed, node.workload, node.type, LoadCache(), None)
            assert reloaded == fresh, node.id
