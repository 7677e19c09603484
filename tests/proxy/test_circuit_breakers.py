"""How many retries may run at once."""

from __future__ import annotations

import pytest

from sandbox.plan.base import Percent
from sandbox.plan.cluster import CircuitBreakers, Cluster, RetryBudget, Thresholds
from sandbox.proxy.cluster_manager import ResourceManager


@pytest.mark.parametrize(
    ("thresholds", "running", "waiting", "most"),
    [
        pytest.param(Thresholds(), 100, 0, 3, id="Envoy's limit"),
        pytest.param(Thresholds(max_retries=7), 100, 0, 7, id="a limit of its own"),
        pytest.param(Thresholds(max_retries=7, retry_budget=RetryBudget()), 0, 0, 3, id="a budget, and no traffic"),
        pytest.param(Thresholds(retry_budget=RetryBudget()), 40, 9, 9, id="a fifth of what runs and waits"),
        pytest.param(
            Thresholds(retry_budget=RetryBudget(budget_percent=Percent(value=50.0), min_retry_concurrency=1)),
            3, 0, 1, id="half of it",
        ),
    ],
)  # fmt: skip
def test_retries_at_once(thresholds: Thresholds, running: int, waiting: int, most: int) -> None:
    resources = ResourceManager(Cluster(circuit_breakers=CircuitBreakers(thresholds=(thresholds,))))
    resources.requests.active, resources.pending_requests.active = running, waiting

    while not resources.retries.is_full:
        resources.retries.active += 1

    assert resources.retries.active == most
