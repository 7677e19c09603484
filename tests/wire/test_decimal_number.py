"""Decimal numbers of a peer."""

from __future__ import annotations

import pytest

from sandbox.wire.decimal_number import decimal_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param(b"0", 0, id="zero"),
        pytest.param(b"65535", 65535, id="the most"),
        pytest.param(b"65536", None, id="one more"),
        pytest.param(b"0" * 5000 + b"7", 7, id="zeros in front, as many as there are"),
        pytest.param(b"0" * 5000, 0, id="nothing but zeros"),
        pytest.param(b"1" * 5000, None, id="more digits than Python reads"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"+1", None, id="a sign"),
        pytest.param(b"1_0", None, id="what Python would take"),
        pytest.param(b" 1", None, id="a blank"),
        pytest.param("²".encode("latin-1"), None, id="a digit of another script"),
    ],
)
def test_a_number_is_digits_alone_and_not_too_large(text: bytes, number: int | None) -> None:
    assert decimal_number(text, 65535) == number
