"""The status of a gRPC call, as its fields tell it."""

from __future__ import annotations

import pytest

from sandbox.access_log.grpc_status import grpc_status


@pytest.mark.parametrize(
    ("value", "status"),
    [
        pytest.param(b"14", 14, id="a number"),
        pytest.param(b"-1", -1, id="a sign"),
        pytest.param(b"ok", -1, id="a word"),
        pytest.param(b"1" * 5000, -1, id="many digits"),
    ],
)
def test_what_an_upstream_may_write(value: bytes, status: int) -> None:
    assert grpc_status({b"grpc-status": value}, {}, 200) == status
