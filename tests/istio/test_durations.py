"""Durations in Go's spelling."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.istio.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("5s", 5_000_000),
        ("1.5s", 1_500_000),
        (".5s", 500_000),
        ("1.s", 1_000_000),
        ("250ms", 250_000),
        ("1h30m", 5_400_000_000),
        ("-1s", -1_000_000),
        ("+2m", 120_000_000),
        ("10us", 10),
        ("10µs", 10),
        ("1ns", 1),
        ("1ms1ns", 1_001),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, microseconds: int) -> None:
    assert parse_duration(text) == timedelta(microseconds=microseconds)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a number and a unit"),
        ("5", "needs a unit, as in 5s"),
        ("five", "numbers with units"),
        ("5 s", "unknown unit ' s'"),
        ("1d", "unknown unit 'd'"),
        ("s", "numbers with units"),
        ("1.2.3s", "needs a unit|numbers with units|unknown unit"),
        ("9999999h", "too long"),
        ("-", "a number and a unit"),
    ],
)
def test_what_is_no_duration_says_what_it_lacks(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_duration(text)
