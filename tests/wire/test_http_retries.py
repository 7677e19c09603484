"""What a retry policy covers, how often, and after how long."""

from __future__ import annotations

import pytest

from sandbox.wire.http_retries import Reset, RetryRules, RetryState, Verdict


def state(retry_on: str, retries: int = 2, codes: frozenset[int] = frozenset()) -> RetryState:
    words = RetryRules.words_of(retry_on)
    rules = RetryRules(words, RetryRules.grpc_codes_of(words), codes, retries, 0.0, 0.025, 0.25)
    return RetryState(rules)


@pytest.mark.parametrize(
    ("retry_on", "status", "is_covered"),
    [
        ("5xx", 500, True),
        ("5xx", 499, False),
        ("gateway-error", 502, True),
        ("gateway-error", 500, False),
        ("retriable-4xx", 409, True),
        ("retriable-4xx", 404, False),
        ("connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes", 503, False),
        ("no-such-word", 500, False),
    ],
)
def test_statuses_are_covered_by_words(retry_on: str, status: int, is_covered: bool) -> None:
    found = state(retry_on)
    assert found.wants_status(status) is is_covered
    assert not is_covered or status >= found.rules.lowest_status


def test_no_status_below_the_lowest_is_covered() -> None:
    found = state("5xx,retriable-4xx,retriable-status-codes", codes=frozenset({404, 503}))
    assert next(status for status in range(200, 600) if found.wants_status(status)) == found.rules.lowest_status == 404


def test_listed_statuses_are_covered() -> None:
    assert state("retriable-status-codes", codes=frozenset({503})).wants_status(503)


def test_grpc_statuses_are_covered_by_their_words() -> None:
    assert state("unavailable").wants_status(200, grpc_status=14)
    assert not state("unavailable").wants_status(200, grpc_status=13)


def test_a_rate_limited_answer_is_not_repeated_unless_asked_for() -> None:
    assert not state("5xx").wants_status(503, is_rate_limited=True)
    assert state("envoy-ratelimited").wants_status(429, is_rate_limited=True)


@pytest.mark.parametrize(
    ("retry_on", "reset", "request_started", "is_covered"),
    [
        ("connect-failure", Reset.REMOTE_CONNECTION_FAILURE, False, True),
        ("connect-failure", Reset.CONNECTION_TIMEOUT, False, True),
        ("connect-failure", Reset.CONNECTION_TERMINATION, True, False),
        ("reset", Reset.CONNECTION_TERMINATION, True, True),
        ("reset-before-request", Reset.CONNECTION_TERMINATION, True, False),
        ("5xx", Reset.CONNECTION_TERMINATION, True, True),
        ("gateway-error", Reset.LOCAL_RESET, True, True),
        ("refused-stream", Reset.REMOTE_REFUSED_STREAM, True, True),
        ("5xx,reset", Reset.OVERFLOW, False, False),
    ],
)
def test_resets_are_covered_by_words(retry_on: str, reset: Reset, request_started: bool, is_covered: bool) -> None:
    assert state(retry_on).wants_reset(reset, request_started=request_started) is is_covered


def test_tries_run_out() -> None:
    retries = state("5xx", retries=1)
    assert retries.decide(may_retry=True) is Verdict.RETRY
    assert retries.decide(may_retry=True) is Verdict.EXHAUSTED


def test_an_open_breaker_vetoes() -> None:
    assert state("5xx").decide(may_retry=False) is Verdict.OVERFLOW


def test_delays_double_up_to_their_maximum() -> None:
    retries = state("5xx")
    assert [round(retries.next_delay(lambda: 1.0), 3) for _ in range(6)] == [0.025, 0.05, 0.1, 0.2, 0.25, 0.25]
