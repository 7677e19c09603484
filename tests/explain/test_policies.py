"""What explain says of a route's retries: words that mean something, codes, and times."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.explain.policy_steps import retries_in_words
from sandbox.plan.route import RetryBackOff, RetryPlugin, RetryPolicy


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (RetryPolicy(num_retries=1, retry_on="5xx"), "1 retry on 5xx"),
        (
            RetryPolicy(num_retries=2, retry_on=",retriable-status-codes", retriable_status_codes=(503, 404)),
            "2 retries on 503, 404",
        ),
        (
            RetryPolicy(
                num_retries=3,
                retry_on="reset,connect-failure",
                per_try_timeout=timedelta(seconds=0.2),
                retry_back_off=RetryBackOff(base_interval=timedelta(milliseconds=50)),
            ),
            "3 retries on reset, connect-failure, 0.2s for each try, back-off from 0.05s",
        ),
        (
            RetryPolicy(num_retries=1, retry_on="5xx", retry_priority=RetryPlugin()),
            "1 retry on 5xx, at endpoints of other localities, too",
        ),
    ],
)
def test_retries_are_told_in_words(policy: RetryPolicy, told: str) -> None:
    assert retries_in_words(policy) == told
