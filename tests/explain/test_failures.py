"""Explain tells beforehand what overflows, refused connections and errors come to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandbox.explain.failure_steps import failure_notes, failure_steps
from sandbox.explain.steps import Step
from sandbox.plan.base import Percent, SocketAddress
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.cluster import (
    CircuitBreakers,
    Cluster,
    ClusterLoadAssignment,
    CommonLbConfig,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
    OutlierDetection,
    Thresholds,
)
from sandbox.plan.route import RetryPolicy

UNLIMITED = 2**32 - 1
LINES = (Because("connection pool", IstioDefault("a")), Because("outlier detection", IstioDefault("b")))


def limits(*, is_http: bool = True, **set_limits: int) -> list[tuple[str, str]]:
    names = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    given: dict[str, Any] = {**dict.fromkeys(names, UNLIMITED), **set_limits}
    thresholds = Thresholds(**given)
    cluster = Cluster(name="c", circuit_breakers=CircuitBreakers(thresholds=(thresholds,)), because=LINES)
    steps = list(failure_steps(cluster, is_http=is_http))
    assert all(step.kind == "limits" and step.because == LINES[:1] for step in steps)
    return [(step.found, step.reason) for step in steps]


def test_limits_that_nobody_set_are_not_told() -> None:
    assert limits() == []


def test_limits_are_told_with_what_is_beyond_them() -> None:
    assert limits(max_connections=1) == [("at most 1 connection", "further requests wait for one of them")]
    assert limits(max_connections=3, max_pending_requests=1) == [
        ("at most 3 connections, 1 waiting request", "one request more: 503 with flag UO")
    ]
    assert limits(max_retries=0) == [("at most 0 retries at once", "what is not tried again for that has flag UO")]
    assert limits(is_http=False, max_connections=2, max_requests=1) == [
        ("at most 2 connections", "one more is accepted, then reset: flag UO")
    ]


def assignment(endpoints: int) -> ClusterLoadAssignment:
    each = (LbEndpoint(endpoint=Endpoint(address=SocketAddress(address="192.0.2.1", port_value=1))),)
    return ClusterLoadAssignment(cluster_name="c", endpoints=(LocalityLbEndpoints(lb_endpoints=each * endpoints),))


def ejection(endpoints: int, *, is_http: bool = True, panic: int = 0, **settings: Any) -> Step:
    cluster = Cluster(
        name="c",
        outlier_detection=OutlierDetection(**settings),
        common_lb_config=CommonLbConfig(healthy_panic_threshold=Percent(value=panic)),
        load_assignment=assignment(endpoints),
        because=LINES,
    )
    (step,) = failure_steps(cluster, is_http=is_http)
    assert (step.kind, step.because) == ("ejection", LINES[1:])
    return step


def test_ejections_are_told() -> None:
    step = ejection(2, consecutive_5xx=3, base_ejection_time=timedelta(seconds=5), max_ejection_percent=100)
    assert step.found == (
        "an endpoint is left out for 5s after 3 answers 5xx or failures in a row; longer each time; "
        "at most 100% of the endpoints"
    )
    assert step.reason == "with all of them out: 503 with flag UH"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "left out for 30s after 5 answers 5xx or failures in a row; longer each time; at most 10%"),
        ({"enforcing_consecutive_5xx": 0}, "no endpoint is ever left out: no kind of failure counts"),
        (
            {
                "enforcing_consecutive_5xx": 0,
                "consecutive_gateway_failure": 2,
                "enforcing_consecutive_gateway_failure": 100,
            },
            "after 2 answers 502, 503 or 504 in a row",
        ),
        (
            {"split_external_local_origin_errors": True, "consecutive_local_origin_failure": 4},
            "after 5 answers 5xx in a row or 4 failed connections in a row",
        ),
    ],
    ids=["Envoy's own numbers", "not enforced", "gateway errors", "split"],
)
def test_what_ejects_is_told(settings: dict[str, Any], words: str) -> None:
    assert words in ejection(20, **settings).found


def test_tcp_is_left_out_by_failed_connections() -> None:
    both = {"consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 100, "consecutive_5xx": 3}
    assert "after 2 failed connections in a row;" in ejection(20, is_http=False, **both).found
    split = ejection(20, is_http=False, split_external_local_origin_errors=True)
    assert "after 5 failed connections in a row;" in split.found
    assert split.reason == "with all of them out: the connection is reset, flag UH"


def test_a_share_that_is_no_endpoint_and_a_panic_are_told() -> None:
    step = ejection(2, panic=40)
    assert step.found.endswith("at most 10% of the endpoints, of 2 that is none")
    assert step.reason == "with fewer than 40% left all are used"


REFUSED = "503 with flag UF if the connection is refused"
AS_IT_IS = "a 503 of the upstream is passed on as it is"
NOTES: dict[str, tuple[RetryPolicy | None, tuple[str, str]]] = {
    "no policy": (None, (REFUSED, AS_IT_IS)),
    "no tries": (RetryPolicy(retry_on="5xx", num_retries=0), (REFUSED, AS_IT_IS)),
    "connect failures": (
        RetryPolicy(retry_on="connect-failure", num_retries=2),
        ("503 with flags URX,UF if the connection is refused 3 times", AS_IT_IS),
    ),
    "errors": (
        RetryPolicy(retry_on="5xx", num_retries=1),
        (
            "503 with flags URX,UF if the connection is refused twice",
            "a 503 of the upstream is tried again; after 2 it is passed on with flag URX",
        ),
    ),
    "a status": (
        RetryPolicy(retry_on="retriable-status-codes", retriable_status_codes=(503,), num_retries=1),
        (REFUSED, "a 503 of the upstream is tried again; after 2 it is passed on with flag URX"),
    ),
    "another status": (
        RetryPolicy(retry_on="retriable-status-codes", retriable_status_codes=(504,), num_retries=1),
        (REFUSED, AS_IT_IS),
    ),
}


@pytest.mark.parametrize(("policy", "notes"), NOTES.values(), ids=NOTES)
def test_a_refused_connection_and_an_error_are_told(policy: RetryPolicy | None, notes: tuple[str, str]) -> None:
    assert failure_notes(policy, [Cluster(name="c")]) == notes


OUT_AT_ONCE: dict[str, object] = {"consecutive_5xx": 1, "max_ejection_percent": 100}
AGAIN = RetryPolicy(retry_on="connect-failure,5xx", num_retries=2)
REFUSED_THRICE = "503 with flags URX,UF if the connection is refused 3 times"
FAILED_THRICE = "a 503 of the upstream is tried again; after 3 it is passed on with flag URX"
PERHAPS = "; with flag UH once no endpoint is left"


@pytest.mark.parametrize(
    ("endpoints", "type_", "settings", "notes"),
    [
        pytest.param(
            2,
            "STATIC",
            {},
            (
                "503 with flag UH if the connection is refused twice: no endpoint is left then",
                "a 503 of the upstream is tried again; after 2 no endpoint is left: 503 with flag UH",
            ),
            id="fewer endpoints than tries",
        ),
        pytest.param(3, "STATIC", {}, (REFUSED_THRICE, FAILED_THRICE), id="the last try is the last endpoint's"),
        pytest.param(2, "STATIC", {"max_ejection_percent": 50}, (REFUSED_THRICE, FAILED_THRICE), id="one stays"),
        pytest.param(
            1,
            "STRICT_DNS",
            {},
            (REFUSED_THRICE + PERHAPS, FAILED_THRICE + PERHAPS),
            id="as many as DNS says",
        ),
        pytest.param(
            1,
            "STATIC",
            {"split_external_local_origin_errors": True},
            (REFUSED_THRICE, "a 503 of the upstream is tried again; after 1 no endpoint is left: 503 with flag UH"),
            id="refusals count for themselves",
        ),
    ],
)
def test_a_call_whose_tries_leave_no_endpoint_ends_with_uh(
    endpoints: int, type_: str, settings: dict[str, Any], notes: tuple[str, str]
) -> None:
    cluster = Cluster(
        name="c",
        type=type_,
        outlier_detection=OutlierDetection(**{**OUT_AT_ONCE, **settings}),
        common_lb_config=CommonLbConfig(healthy_panic_threshold=Percent(value=0)),
        load_assignment=assignment(endpoints),
    )

    assert failure_notes(AGAIN, [cluster]) == notes


def test_clusters_that_differ_are_told_apart() -> None:
    notes = failure_notes(AGAIN, [Cluster(name="a"), Cluster(name="b")])
    assert notes == (REFUSED_THRICE, FAILED_THRICE)

    ejecting = Cluster(
        name="b",
        type="STATIC",
        outlier_detection=OutlierDetection(consecutive_5xx=1, max_ejection_percent=100),
        common_lb_config=CommonLbConfig(healthy_panic_threshold=Percent(value=0)),
        load_assignment=assignment(1),
    )
    assert failure_notes(AGAIN, [Cluster(name="a"), ejecting])[::2] == (
        f"a: {REFUSED_THRICE}",
        "b: 503 with flag UH if the connection is refused once: no endpoint is left then",
    )
