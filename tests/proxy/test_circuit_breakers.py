"""How many retries may run at once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.plan.base import Percent
from sandbox.plan.cluster import CircuitBreakers, Cluster, RetryBudget, Thresholds
from sandbox.plan.route import RetryBackOff, RetryPolicy
from sandbox.proxy.circuit_breakers import ResourceManager

from .http_world import OK, get, http_listener, read_message, route
from .proxy_world import Upstream, on_a_loop, serving, static_cluster


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


@on_a_loop
async def test_a_retry_is_under_way_until_its_response_comes() -> None:
    """Envoy holds the breaker's place beyond the back-off, so another request may not be tried again meanwhile."""

    upstream = Upstream()
    retry = RetryPolicy(
        retry_on="5xx", num_retries=1, retry_back_off=RetryBackOff(base_interval=timedelta(milliseconds=1))
    )
    breaker = CircuitBreakers(thresholds=(Thresholds(max_retries=1),))
    cluster = static_cluster("up", upstream.port, circuit_breakers=breaker)
    async with serving((http_listener(route(retry_policy=retry)),), cluster) as world:
        busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
        first, second = await world.client(), await world.client()
        await first.send(get("/1"))
        one = await upstream.accept()
        await read_message(one)
        await one.send(busy)
        await read_message(one)
        await second.send(get("/2"))
        two = await upstream.accept()
        await read_message(two)
        await two.send(busy)
        assert (await read_message(second)).startswith(b"HTTP/1.1 503")
        assert (await world.ended.get()).response_flags == ["UO"]
        await one.send(OK)
        assert (await read_message(first)).startswith(b"HTTP/1.1 200")
