"""Envoy's counters of clusters, from how requests ended."""

from __future__ import annotations

import pytest

from sandbox.access_log.stream_info import StreamInfo
from sandbox.metrics.cluster_counters import MOST_ADDRESSES, ClusterCounters, ClusterMeter
from sandbox.plan.cluster import Cluster

CLUSTER, ADDRESS = Cluster(name="outbound|80||api.example"), "192.0.2.1:80"


def counted(**facts: object) -> ClusterCounters:
    counters = ClusterCounters()
    info = StreamInfo(0.0, 0.0)
    info.cluster, info.response_code, info.upstream_host, info.upstream_request_attempt_count = CLUSTER, 200, ADDRESS, 1
    for name, value in facts.items():
        setattr(info, name, value)
    ClusterMeter(lambda _name: counters).record(info)
    return counters


@pytest.mark.parametrize(
    ("facts", "codes", "successes", "errors"),
    [
        pytest.param({}, {200: 1}, 1, 0, id="an answer"),
        pytest.param({"response_code": 404}, {404: 1}, 1, 0, id="a client's mistake is no error of the host"),
        pytest.param({"response_code": 503}, {503: 1}, 0, 1, id="a server's error"),
        pytest.param({"response_code": None}, {}, 0, 0, id="no answer"),
        pytest.param({"cluster": None}, {}, 0, 0, id="no cluster"),
        pytest.param({"upstream_host": None, "response_code": 503}, {503: 1}, 0, 0, id="no healthy host"),
        pytest.param(
            {"upstream_host": None, "response_code": 403, "response_code_details": "rbac_access_denied"},
            {}, 0, 0, id="denied before it was routed",
        ),
        pytest.param(
            {"upstream_host": None, "response_code": 500, "response_code_details": "fault_filter_abort"},
            {}, 0, 0, id="a fault",
        ),
    ],
)  # fmt: skip
def test_how_a_request_ended(facts: dict[str, object], codes: dict[int, int], successes: int, errors: int) -> None:
    counters = counted(**facts)

    assert counters.codes == codes
    assert (counters.host(ADDRESS).successes, counters.host(ADDRESS).errors) == (successes, errors)


def test_timeouts_and_retries_are_counted_apart() -> None:
    counters = counted(response_code=504, response_flags=["UT"], upstream_request_attempt_count=3)

    assert (counters.timeouts, counters.retries, counters.host(ADDRESS).timeouts) == (1, 2, 1)


def test_addresses_that_clients_choose_come_to_an_end() -> None:
    counters = ClusterCounters()
    first = counters.host("first")

    for number in range(MOST_ADDRESSES):
        counters.host(str(number))

    assert counters.host("first") is not first
