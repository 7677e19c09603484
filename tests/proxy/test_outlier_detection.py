"""Outlier detection: what ejects a host, how many may go, when they come back."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest

from sandbox.plan.base import HeaderMatcher, Percent, StringMatcher
from sandbox.plan.cluster import (
    Cluster,
    CommonLbConfig,
    ExplicitHttpConfig,
    HttpHeadersMatch,
    HttpOutlierDetection,
    HttpProtocolOptions,
    MatchPredicate,
    MatchSet,
    OutlierDetection,
)
from sandbox.plan.http_connection_manager import Http2ProtocolOptions
from sandbox.proxy.cluster_runtime import HTTP_OPTIONS, ClusterEnvironment, ClusterRuntime
from sandbox.proxy.host import Host
from sandbox.proxy.load_balancer import LoadBalancerContext
from sandbox.proxy.outlier_detection import OutlierDetector, counted_status, error_statuses
from sandbox.proxy.resolver import Resolver
from sandbox.proxy.secrets import SecretStore

from .http_world import get, http_listener, route
from .proxy_world import closed_port, on_a_loop, serving, static_cluster


class FakeLoop:
    """A clock that the test moves; one timer at a time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: tuple[float, Callable[[], None]] | None = None
        self.ignored: float | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> FakeLoop:
        if delay != self.ignored:
            self.due = (self.now + delay, callback)
        return self

    def create_future(self) -> Future[None]:
        return Future()

    def cancel(self) -> None:
        self.due = None

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.due is not None and self.due[0] <= end:
            self.now, callback = self.due
            self.due = None
            callback()
        self.now = end


class Detected:
    """A detector with hosts and its clock."""

    def __init__(self, count: int = 4, **settings: Any) -> None:
        settings.setdefault("max_ejection_percent", 100)
        settings.setdefault("interval", timedelta(seconds=10))
        settings.setdefault("base_ejection_time", timedelta(seconds=30))
        self.loop = FakeLoop()
        self.changes = 0
        plan = Cluster(name="c", outlier_detection=OutlierDetection(**settings))
        self.detector = OutlierDetector(plan, self.loop, random.Random(1), self._changed)  # type: ignore[arg-type]
        self.hosts = [Host((f"10.0.0.{n}", 80), f"10.0.0.{n}:80") for n in range(count)]
        self.detector.watch(self.hosts)

    def _changed(self, ejected: Host | None) -> None:
        self.changes += 1

    @property
    def healthy(self) -> list[bool]:
        return [host.healthy for host in self.hosts]


def test_errors_in_a_row_eject_and_time_brings_back() -> None:
    detected = Detected(consecutive_5xx=3, max_ejection_percent=50)
    for status in (500, 500, 200, 500, 500):
        detected.detector.put_response(detected.hosts[0], status)
    assert all(detected.healthy)
    detected.detector.put_response(detected.hosts[0], 503)
    assert detected.healthy == [False, True, True, True]
    detected.loop.advance(29)
    assert not detected.hosts[0].healthy
    detected.loop.advance(11)
    assert all(detected.healthy)
    assert detected.changes == 2


def test_only_statuses_of_the_500s_are_errors() -> None:
    detected = Detected(consecutive_5xx=2)
    for status in (599, 600, 599):
        detected.detector.put_response(detected.hosts[0], status)
    assert all(detected.healthy)


def test_the_second_ejection_lasts_twice_as_long() -> None:
    detected = Detected(consecutive_5xx=1)
    for expected in (30, 60):
        detected.detector.put_response(detected.hosts[0], 500)
        detected.loop.advance(expected - 1)
        assert not detected.hosts[0].healthy
        detected.loop.advance(1)
        assert detected.hosts[0].healthy


def test_gateway_errors_count_where_they_are_enforced() -> None:
    settings = {"consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 100}
    detected = Detected(consecutive_5xx=100, **settings)
    for status in (503, 500, 503, 504):
        detected.detector.put_response(detected.hosts[0], status)
    assert not detected.hosts[0].healthy
    lenient = Detected(consecutive_5xx=100, consecutive_gateway_failure=1)
    lenient.detector.put_response(lenient.hosts[0], 503)
    assert all(lenient.healthy)


def test_connect_failures_count_as_gateway_errors_unless_split() -> None:
    detected = Detected(consecutive_5xx=2)
    for _ in range(2):
        detected.detector.put_local_failure(detected.hosts[0], is_timeout=False)
    assert not detected.hosts[0].healthy
    split = Detected(consecutive_5xx=1, split_external_local_origin_errors=True, consecutive_local_origin_failure=3)
    for _ in range(2):
        split.detector.put_local_failure(split.hosts[0], is_timeout=True)
    assert all(split.healthy)
    split.detector.put_local_failure(split.hosts[0], is_timeout=True)
    assert not split.hosts[0].healthy


@pytest.mark.parametrize(("percent", "ejected"), [(0, 0), (10, 0), (25, 1), (30, 1), (50, 2), (100, 4)])
def test_no_more_than_the_share_may_go(percent: int, ejected: int) -> None:
    detected = Detected(consecutive_5xx=1, max_ejection_percent=percent)
    for host in detected.hosts:
        detected.detector.put_response(host, 500)
    assert detected.healthy.count(False) == ejected


def test_what_is_not_enforced_ejects_nobody() -> None:
    detected = Detected(consecutive_5xx=1, enforcing_consecutive_5xx=0)
    detected.detector.put_response(detected.hosts[0], 500)
    assert all(detected.healthy)


@pytest.mark.parametrize(
    ("status", "errors", "counted"),
    [
        pytest.param(503, None, 503, id="no list"),
        pytest.param(429, frozenset({429}), 500, id="on the list, but no server error"),
        pytest.param(503, frozenset({429, 503}), 503, id="a server error on the list"),
        pytest.param(500, frozenset({429, 503}), 200, id="a server error that is not on it"),
    ],
)
def test_statuses_that_count_as_errors(status: int, errors: frozenset[int] | None, counted: int) -> None:
    assert counted_status(status, errors) == counted


@pytest.mark.parametrize("statuses", [pytest.param((429,), id="one"), pytest.param((429, 503), id="several")])
def test_the_list_is_read_as_istiod_writes_it(statuses: tuple[int, ...]) -> None:
    rules = tuple(
        MatchPredicate(
            http_response_headers_match=HttpHeadersMatch(
                headers=(HeaderMatcher(name=":status", string_match=StringMatcher(exact=str(status))),)
            )
        )
        for status in statuses
    )
    matcher = rules[0] if len(rules) == 1 else MatchPredicate(or_match=MatchSet(rules=rules))
    options = HttpProtocolOptions(outlier_detection=HttpOutlierDetection(error_matcher=matcher))

    assert error_statuses(options) == frozenset(statuses)


def test_a_second_ejection_reaches_the_load_balancer_a_second_after_the_first() -> None:
    """As a real Envoy: the first takes effect at once, what follows within the merge window when that is over."""
    loop = FakeLoop()
    loop.now = 100.0
    plan = static_cluster(
        "c",
        1,
        2,
        3,
        common_lb_config=CommonLbConfig(healthy_panic_threshold=Percent(value=0)),
        outlier_detection=OutlierDetection(consecutive_5xx=1, max_ejection_percent=100, interval=timedelta(hours=1)),
    )
    loop.ignored = timedelta(hours=1).total_seconds()
    cluster = ClusterRuntime(plan, ClusterEnvironment(loop, Resolver(), random.Random(1), SecretStore()))  # type: ignore[arg-type]

    def chosen() -> set[int]:
        picks = [cluster.choose_host(LoadBalancerContext()) for _ in range(6)]
        return {cluster.hosts.index(host) for host in picks if host is not None}

    cluster.report_response(cluster.hosts[0], 503)
    assert chosen() == {1, 2}
    loop.advance(0.4)
    cluster.report_response(cluster.hosts[1], 503)
    assert not cluster.hosts[1].healthy
    assert chosen() == {1, 2}
    loop.advance(0.9)
    assert chosen() == {1, 2}
    loop.advance(0.2)
    assert chosen() == {2}


@on_a_loop
async def test_every_request_that_waits_for_a_refused_connection_counts() -> None:
    """Envoy's router reports failures, not its pools: two requests that share a connection count twice."""

    http2 = ExplicitHttpConfig(http2_protocol_options=Http2ProtocolOptions())
    cluster = static_cluster(
        "up",
        closed_port(),
        common_lb_config=CommonLbConfig(healthy_panic_threshold=Percent(value=0)),
        outlier_detection=OutlierDetection(consecutive_5xx=2, max_ejection_percent=100),
        typed_extension_protocol_options={HTTP_OPTIONS: HttpProtocolOptions(explicit_http_config=http2)},
    )
    async with serving((http_listener(route()),), cluster) as world:
        clients = [await world.client() for _ in range(2)]
        for client in clients:
            await client.send(get())
        flags = [(await world.ended.get()).response_flags for _ in clients]
        late = await world.client()
        await late.send(get())
        flags.append((await world.ended.get()).response_flags)
        snapshot = world.server.snapshot
        running = snapshot.node.clusters.get("up") if snapshot is not None else None
        assert running is not None
        counted = running.counters.outlier
    assert flags == [["UF"], ["UF"], ["UH"]]
    assert (counted.active, counted.enforced["consecutive_5xx"], counted.overflows) == (1, 1, 0)
