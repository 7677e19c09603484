"""The trace digit of ``x-request-id``."""

from __future__ import annotations

import uuid

from sandbox.wire.request_id import is_sampled, new_request_id, trace_digit, with_trace_digit


def test_a_new_id_is_a_version_4_uuid() -> None:
    made = uuid.UUID(new_request_id(0x0123456789ABCDEF0123456789ABCDEF).decode())
    assert (made.version, made.variant) == (4, uuid.RFC_4122)


def test_the_digit_is_written_in_place() -> None:
    value = b"11111111-2222-4333-8444-555555555555"
    assert with_trace_digit(value, b"9") == b"11111111-2222-9333-8444-555555555555"
    assert trace_digit(value) == b"4"


def test_the_same_id_is_always_decided_alike() -> None:
    assert is_sampled(b"00000063-0000-4000-8000-000000000000", 100)
    assert not is_sampled(b"00000064-0000-4000-8000-000000000000", 100)
