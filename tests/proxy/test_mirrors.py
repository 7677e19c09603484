"""Copies of requests: a mirror that cannot take more makes the client wait, as with a real Envoy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sandbox.proxy.http_mirrors import BODY, MOST_WAITING, MirrorRequest, RequestPauses, pause_for
from sandbox.proxy.http_request_body import RequestBody


class Codec:
    """Notes when the client is to wait."""

    def __init__(self) -> None:
        self.told: list[bool] = []

    def pause_request(self, is_paused: bool) -> None:
        self.told.append(is_paused)


class SlowPool:
    """Never has a connection."""

    def acquire(self, user: object) -> None:
        return None

    def cancel(self, user: object) -> None:
        pass


def waiting_copy(pauses: RequestPauses) -> MirrorRequest:
    head = SimpleNamespace(method=b"POST", content_length=None, is_chunked=True)
    info = SimpleNamespace(path=b"/")
    stream: Any = SimpleNamespace(head=head, info=info, headers=[], is_head=False, is_upgrade=False)
    copy = MirrorRequest(stream, b"mirror", 0.0, pauses)
    copy.start(SlowPool())  # type: ignore[arg-type]
    return copy


def test_a_copy_without_a_connection_holds_back_so_much_and_no_more() -> None:
    codec = Codec()
    copy = waiting_copy(RequestPauses(codec))  # type: ignore[arg-type]
    copy.send_data(bytes(MOST_WAITING))
    assert codec.told == []
    copy.send_data(b"x")
    assert codec.told == [True]
    copy.cancel()
    assert codec.told == [True, False]


def test_the_client_waits_for_the_slowest() -> None:
    codec = Codec()
    pauses = RequestPauses(codec)  # type: ignore[arg-type]
    for who, is_full in (("upstream", True), ("copy", True), ("upstream", False), ("copy", False), ("copy", False)):
        pauses.put(who, is_full=is_full)
    assert codec.told == [True, True, False]


def test_a_copy_that_has_caught_up_does_not_end_the_wait_for_the_upstream() -> None:
    codec: Any = Codec()
    listener = SimpleNamespace(per_connection_buffer_limit_bytes=None)
    codec.connection = SimpleNamespace(listener=listener)
    copy = waiting_copy(RequestPauses(codec))
    body = RequestBody(codec, pause_for(BODY, codec, [copy]), keeps=False, is_held=False)
    data = bytes(MOST_WAITING + 1)

    copy.send_data(data)
    body.take(data, None)
    copy.cancel()

    assert codec.told == [True, True]


def test_a_complete_request_waits_for_no_copy() -> None:
    codec = Codec()
    copy = waiting_copy(RequestPauses(codec))  # type: ignore[arg-type]
    copy.send_data(bytes(MOST_WAITING + 1))
    copy.end_request()
    assert codec.told == [True, False]
    copy.on_upstream_writable(False)
    assert codec.told == [True, False]
