"""Retries that fields of a request ask for, as Envoy 1.39 read them."""

from __future__ import annotations

import pytest

from sandbox.wire.http_asked_retries import NO_POLICY, asked_rules
from sandbox.wire.http_retries import RetryRules

BUSY = RetryRules(frozenset({"retriable-status-codes"}), frozenset(), frozenset({503}), 1, 0.0, 0.001, 0.01)


@pytest.mark.parametrize(
    ("policy", "fields", "words", "retries"),
    [
        pytest.param(NO_POLICY, {b"x-envoy-retry-on": b" 5xx , reset"}, frozenset({"5xx", "reset"}), 1, id="words"),
        pytest.param(
            NO_POLICY, {b"x-envoy-retry-on": b"5xx", b"x-envoy-max-retries": b"3 "}, frozenset({"5xx"}), 3, id="n"
        ),
        pytest.param(BUSY, {b"x-envoy-max-retries": b"0"}, BUSY.words, 0, id="never"),
        pytest.param(BUSY, {b"x-envoy-max-retries": b"2.5"}, BUSY.words, 1, id="no number"),
        pytest.param(BUSY, {b"x-envoy-retry-on": b"nonsense"}, BUSY.words, 1, id="no word"),
    ],
)
def test_policies_grow(policy: RetryRules, fields: dict[bytes, bytes], words: frozenset[str], retries: int) -> None:
    rules = asked_rules(policy, fields)
    assert rules is not None
    assert (rules.words, rules.retries) == (words, retries)


@pytest.mark.parametrize(
    "fields",
    [
        {b"x-envoy-max-retries": b"3"},
        {b"x-envoy-retriable-status-codes": b"503"},
        {b"x-envoy-retry-on": b"unavailable"},
        {b"x-envoy-retry-grpc-on": b"5xx"},
    ],
)
def test_nothing_is_retried_without_a_condition_of_its_kind(fields: dict[bytes, bytes]) -> None:
    assert asked_rules(NO_POLICY, fields) is None


def test_grpc_statuses_have_a_field_of_their_own() -> None:
    rules = asked_rules(NO_POLICY, {b"x-envoy-retry-grpc-on": b"unavailable"})
    assert rules is not None
    assert rules.grpc_codes == {14}


def test_statuses_and_fields_of_answers_are_added() -> None:
    rules = asked_rules(
        BUSY, {b"x-envoy-retriable-status-codes": b"404, x", b"x-envoy-retriable-header-names": b"X-Again,"}
    )
    assert rules is not None
    assert (set(rules.status_codes), set(rules.header_names)) == ({404, 503}, {b"x-again"})
