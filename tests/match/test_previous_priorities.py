"""Retries that go to other priorities, as ``retryRemoteLocalities`` asks."""

from __future__ import annotations

import pytest

from sandbox.match.previous_priorities import PreviousPriorities


@pytest.mark.parametrize(
    ("healthy", "tries"),
    [
        pytest.param({0}, [0, 0, 0, 0, 0], id="one priority is all there is"),
        pytest.param({0, 1}, [0, 0, 1, 1, 0, 0, 1], id="two tries each, then anew"),
        pytest.param({0, 1, 2}, [0, 0, 1, 1, 2, 2, 0], id="three priorities"),
        pytest.param({0, 2}, [0, 0, 2, 2, 0], id="one without healthy hosts is passed over"),
    ],
)
def test_tries_go_to_the_next_priority(healthy: set[int], tries: list[int]) -> None:
    previous = PreviousPriorities(frequency=2)
    found = []

    for _ in tries:
        excluded = previous.excluded(lambda out: bool(healthy - out))
        found.append(min(healthy - excluded))
        previous.tried(found[-1])

    assert found == tries
