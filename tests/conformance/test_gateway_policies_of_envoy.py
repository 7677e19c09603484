"""A real Envoy answers under each policy as ``tests/e2e/test_gateway_policies`` says of our gateway."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.gateway_under_policy import Envoys, PolicyBench
from tests.e2e.test_gateway_policies import (
    test_identities_stand_in_the_log,
    test_what_a_policy_allows,
    test_what_passes,
    test_what_the_log_can_tell_of_a_verdict,
    test_who_denied_stands_in_the_log,
)

__all__ = [
    "test_identities_stand_in_the_log",
    "test_what_a_policy_allows",
    "test_what_passes",
    "test_what_the_log_can_tell_of_a_verdict",
    "test_who_denied_stands_in_the_log",
]
pytestmark = pytest.mark.skipif(shutil.which("envoy") is None, reason="no Envoy is at hand")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyBench]:
    """An Envoy for each set of policies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EGRESS_CERTS", str(tmp_path_factory.mktemp("certs")))
        found = PolicyBench(tmp_path_factory.mktemp("gateway"), Envoys(), has_own_log=True)
        yield found
        found.close()
