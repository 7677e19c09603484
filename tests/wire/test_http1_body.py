"""Bodies of HTTP/1 messages, whole and byte by byte."""

from __future__ import annotations

import pytest

from sandbox.wire.http1_body import BodyError, ChunkedBody, LengthBody, chunk

CHUNKED = b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-T: v\r\n\r\n"


def test_a_length_body_ends_at_its_length() -> None:
    body = LengthBody(5)
    assert body.feed(b"hel") == (b"hel", b"")
    assert not body.is_done
    assert body.feed(b"loGET /") == (b"lo", b"GET /")
    assert body.is_done


def test_chunks_that_come_together_are_joined() -> None:
    body = ChunkedBody()
    assert body.feed(CHUNKED + b"next") == (b"hello world", b"next")
    assert body.is_done


def test_chunks_may_come_byte_by_byte() -> None:
    body = ChunkedBody()
    assert b"".join(body.feed(CHUNKED[place : place + 1])[0] for place in range(len(CHUNKED))) == b"hello world"
    assert body.is_done


@pytest.mark.parametrize("cut", range(1, len(CHUNKED)))
def test_chunks_may_be_cut_anywhere(cut: int) -> None:
    body = ChunkedBody()
    assert body.feed(CHUNKED[:cut])[0] + body.feed(CHUNKED[cut:])[0] == b"hello world"
    assert body.is_done


def test_data_without_a_line_end_behind_it_is_forgiven() -> None:
    body = ChunkedBody()
    assert body.feed(b"2\r\nhiX\r\n0\r\n\r\n") == (b"hi", b"")
    assert body.is_done


@pytest.mark.parametrize(
    "framing",
    [b"zz\r\n", b"-1\r\n", b"0x5\r\n", b" 5\r\n", b"5\nhello\n", b"FFFFFFFFFFFFFFFFF\r\n", b"5;a\rb\r\n", b"5;a\r\r\n"],
)
def test_sizes_are_refused(framing: bytes) -> None:
    with pytest.raises(BodyError):
        ChunkedBody().feed(framing)


@pytest.mark.parametrize(
    "size", [b"3 3", b"3\tzz;x", b"3 \x00", b"3;a\tb", b"3 ;", b"0000000000000000000003", b"3  \t "]
)
def test_anything_may_follow_a_size(size: bytes) -> None:
    assert ChunkedBody().feed(size + b"\r\nabc\r\n0\r\n\r\n") == (b"abc", b"")


def test_what_stood_before_a_fault_is_lost_unless_it_was_all() -> None:
    with pytest.raises(BodyError) as fault:
        ChunkedBody().feed(b"5\r\nhello\r\nzz\r\n")
    assert fault.value.payload == b""


def test_a_chunk_says_its_size_in_hexadecimal() -> None:
    assert chunk(b"x" * 11) == b"b\r\n" + b"x" * 11 + b"\r\n"


@pytest.mark.parametrize(
    ("trailers", "details"),
    [
        (b"X: a\x01\r\n", "http1.invalid_characters"),
        (b"X: \x7f\r\n", "http1.invalid_characters"),
        (b"no colon\r\n", "http1.codec_error"),
        (b"X : a\r\n", "http1.codec_error"),
        (b" X: folded into nothing\r\n", "http1.codec_error"),
        (b"X: " + b"a" * 62_000, "http1.headers_too_large"),
    ],
)
def test_trailers_are_refused_for_the_same_reasons_as_headers(trailers: bytes, details: str) -> None:
    with pytest.raises(BodyError) as fault:
        ChunkedBody().feed(b"3\r\nabc\r\n0\r\n" + trailers)
    assert (fault.value.payload, fault.value.refusal.details) == (b"abc", details)


@pytest.mark.parametrize(
    "trailers", [b"X: a\r\n b\r\n", b"X: \xe9\r\n", b"X: a\rb\r\n", b"Transfer-Encoding: chunked\r\n"]
)
def test_trailers_may_be_as_odd_as_headers(trailers: bytes) -> None:
    body = ChunkedBody()
    assert body.feed(b"0\r\n" + trailers + b"\r\n") == (b"", b"")
    assert body.is_done
