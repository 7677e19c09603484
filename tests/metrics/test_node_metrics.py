"""Which nodes' metrics are remembered."""

from __future__ import annotations

import gc

from sandbox.metrics.node_metrics import MOST_GONE, MetricsRegistry


def test_a_node_that_is_served_is_kept_and_of_the_others_the_last() -> None:
    registry = MetricsRegistry()
    served = registry.node("shop/web")

    for number in range(MOST_GONE + 2):
        registry.node(f"shop/job-{number}")
    gc.collect()

    names = list(registry.nodes)
    assert names == ["shop/web", *(f"shop/job-{number}" for number in range(2, MOST_GONE + 2))]
    assert registry.node("shop/web") is served


def test_a_node_that_comes_again_goes_on_counting() -> None:
    registry = MetricsRegistry()
    registry.node("shop/job").cluster("outbound|80||httpbin.org").requests += 1

    assert registry.node("shop/job").cluster("outbound|80||httpbin.org").requests == 1
