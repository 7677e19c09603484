"""Buckets are Envoy's."""

from __future__ import annotations

import pytest

from sandbox.metrics.http_meter import HttpSeries
from sandbox.metrics.instruments import BOUNDS, Counter, Histogram


def _histogram_of(milliseconds: int) -> Histogram:
    """Durations, after one request that took so long."""
    duration = Histogram()
    HttpSeries(Counter(), duration, Histogram(), Histogram()).count(milliseconds, received=0, sent=0)
    return duration


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        pytest.param(0, 0.5, id="nothing"),
        pytest.param(1, 1, id="a bound is in its bucket"),
        pytest.param(6, 10, id="between bounds"),
        # Counts of a real Envoy 1.39.3 (upstream_rq_body_size): it keeps two digits of a value.
        pytest.param(51, 100, id="51 is more than 50"),
        pytest.param(109, 100, id="109 is kept as 100"),
        pytest.param(111, 250, id="111 is kept as 110"),
        pytest.param(259, 250, id="259 is kept as 250"),
        pytest.param(261, 500, id="261 is kept as 260"),
        pytest.param(1099, 1000, id="1099 is kept as 1000"),
        pytest.param(1100, 2500, id="1100 is more than 1000"),
        pytest.param(3_699_999, 3_600_000, id="the last bound"),
    ],
)
def test_a_value_falls_into_the_bucket_envoy_puts_it_into(value: int, bound: float) -> None:
    histogram = _histogram_of(value)

    assert histogram.counts.index(1) == BOUNDS.index(bound)
    assert histogram.total == value


def test_what_is_beyond_the_last_bound_is_counted_all_the_same() -> None:
    histogram = _histogram_of(3_700_000)

    assert histogram.counts[-1] == 1
