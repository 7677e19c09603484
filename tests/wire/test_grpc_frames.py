"""Counting gRPC messages."""

from __future__ import annotations

import pytest

from sandbox.wire.grpc_frames import GrpcMessageCounter


def message(payload: bytes) -> bytes:
    return b"\x00" + len(payload).to_bytes(4, "big") + payload


STREAMS = [
    pytest.param(b"", 0, id="nothing"),
    pytest.param(message(b""), 1, id="an empty message"),
    pytest.param(message(b"abc") + message(b"") + message(b"x" * 300), 3, id="three messages"),
    pytest.param(message(b"abc") + b"\x00\x00", 1, id="the beginning of another"),
    pytest.param(message(b"abc")[:-1], 1, id="a message counts when its length is known"),
]


@pytest.mark.parametrize(("data", "count"), STREAMS)
def test_messages_are_counted_at_once(data: bytes, count: int) -> None:
    counter = GrpcMessageCounter()

    counter.feed(data)

    assert counter.count == count


@pytest.mark.parametrize(("data", "count"), STREAMS)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_messages_are_counted_however_they_are_cut(data: bytes, count: int, size: int) -> None:
    counter = GrpcMessageCounter()

    for start in range(0, len(data), size):
        counter.feed(data[start : start + size])

    assert counter.count == count
