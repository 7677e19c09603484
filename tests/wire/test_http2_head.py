"""Heads of HTTP/2 messages, translated both ways."""

from __future__ import annotations

import pytest

from sandbox.wire.http2_head import (
    TOO_LARGE,
    TOO_MANY,
    HeadTooLarge,
    check_size,
    read_request_head,
    read_response_head,
    request_fields,
)
from sandbox.wire.http_message import Header

GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/p?q"), (b":authority", b"a.example")]


def test_request_head_is_translated() -> None:
    fields = [(b"user-agent", b"x"), (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"te", b"trailers"), (b"x", b"1")]

    head = read_request_head([*GET, *fields], is_end=True)

    assert (head.method, head.scheme, head.path, head.host) == (b"GET", b"http", b"/p?q", b"a.example")
    assert head.headers == [(b"user-agent", b"x"), (b"te", b"trailers"), (b"x", b"1"), (b"cookie", b"a=1; b=2")]
    assert not head.is_chunked


def test_payload_without_a_length_goes_on_in_chunks() -> None:
    assert read_request_head(GET, is_end=False).is_chunked


def test_payload_with_a_length_keeps_it() -> None:
    head = read_request_head([*GET, (b"content-length", b"5".zfill(5000))], is_end=False)

    assert (head.content_length, head.is_chunked) == (5, False)


def test_host_stands_in_for_a_missing_authority() -> None:
    head = read_request_head([*GET[:3], (b"host", b"b.example")], is_end=True)

    assert (head.host, head.headers) == (b"b.example", [])


def test_connect_has_no_path() -> None:
    head = read_request_head([(b":method", b"CONNECT"), (b":authority", b"a.example:443")], is_end=False)

    assert head.path is None


@pytest.mark.parametrize(
    ("headers", "details"),
    [
        pytest.param([(b"x", b"1" * 100)], TOO_LARGE, id="too large"),
        pytest.param([(b"x", b"")] * 5, TOO_MANY, id="too many"),
    ],
)
def test_a_head_beyond_the_limits_is_refused(headers: list[Header], details: str) -> None:
    with pytest.raises(HeadTooLarge) as invalid:
        check_size(headers, max_bytes=100, max_count=4)

    assert invalid.value.details == details


def test_response_head_is_translated() -> None:
    head = read_response_head([(b":status", b"204"), (b"server", b"up")])

    assert (head.status, head.headers) == (204, [(b"server", b"up")])


def test_pseudo_headers_go_on_in_the_clients_order() -> None:
    head = read_request_head(GET, is_end=True)

    fields = request_fields(head, b"/new", b"b.example", b"http", [(b"x", b"1")])

    assert fields == [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", b"/new"),
        (b":authority", b"b.example"),
        (b"x", b"1"),
    ]
