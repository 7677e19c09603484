"""Response heads: what Envoy's codec takes from an upstream, and what is a protocol error."""

from __future__ import annotations

import pytest

from sandbox.wire.http1_lines import field_bytes
from sandbox.wire.http1_response import FIELDS_REFUSED, PROTOCOL_ERROR, ResponseHeadReader, read_response_head
from sandbox.wire.http_message import ResponseHead

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("head", "status", "headers"),
    [
        (OK + b"X: 1\r\n\r\n", 200, [(b"x", b"1")]),
        (b"HTTP/1.1 200\r\n\r\n", 200, []),
        (b"HTTP/1.1 99 Odd\r\n\r\n", 99, []),
        (b"HTTP/1.1 2000 Odd\r\n\r\n", 2000, []),
        (b"HTTP/1.0 204 No\r\nX: a\r\n b\r\n\r\n", 204, [(b"x", b"a b")]),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n", 200, [(b"content-length", b"2")]),
        (OK + b"Set-Cookie: a\r\nSet-Cookie: b\r\n\r\n", 200, [(b"set-cookie", b"a"), (b"set-cookie", b"b")]),
        (OK + b"Server: a\r\nServer: b\r\n\r\n", 200, [(b"server", b"a,b")]),
        (OK + b"Expires: a\r\nExpires: b\r\n\r\n", 200, [(b"expires", b"a,b")]),
        (
            OK + b"X-Envoy-Overloaded: a\r\nX-Envoy-Overloaded: b\r\n\r\n",
            200,
            [(b"x-envoy-overloaded", b"a"), (b"x-envoy-overloaded", b"b")],
        ),
        (b"HTTP/1.1\t200\tOK\r\n\r\n", 200, []),
        (b"HTTP/1.1 200 \xe9\r\n\r\n", 200, []),
        (OK + b"X: " + b"a" * (80 * 1024 - len(OK) - 7) + b"\r\n\r\n", 200, [(b"x", b"a" * (80 * 1024 - len(OK) - 7))]),
    ],
)
def test_heads_are_taken(head: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    found = read_response_head(head)
    assert isinstance(found, ResponseHead)
    assert (found.status, found.headers) == (status, headers)


@pytest.mark.parametrize(
    "head",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"<html>hi</html>",
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        OK + b"X Bad: 1\r\n\r\n",
        OK + b"X: a\x01b\r\n\r\n",
        b"HTTP/1.1 200 a\x01\r\n\r\n",
        OK + b"X: " + b"a" * (80 * 1024 - len(OK) - 6) + b"\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        pytest.param(OK + b"Content-Length: %b\r\n\r\nok" % (b"1" * 5000), id="a length of many digits"),
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
        OK + b"".join(b"X-%d: 1\r\n" % number for number in range(150)) + b"\r\n",
        OK + b"X: " + b"a" * 90_000 + b"\r\n\r\n",
    ],
)
def test_heads_are_refused(head: bytes) -> None:
    assert read_response_head(head) in (PROTOCOL_ERROR, FIELDS_REFUSED)


def test_a_head_cut_anywhere_waits_for_the_rest() -> None:
    head = OK + b"Server: a\r\nX: 1\r\n\r\n"
    reader = ResponseHeadReader()
    for cut in range(len(head)):
        assert reader.read(head[:cut]) is None
    assert isinstance(reader.read(head), ResponseHead)


def test_fields_count_with_three_more_than_name_and_value_each() -> None:
    assert field_bytes(b"HTTP/1.1 200 OK\r\nVary: x\r\nvary:  y\r\nA:\r\n\r\n") == 8 + 8 + 4
    assert field_bytes(b"HTTP/1.1 200 OK\r\n\r\n") == 3
    assert field_bytes(b"HTTP/1.1 200 OK\r\na: 1\r\nbb: 2\r\nccc: 3\r\n\r\n", most=1) == 5 + 6 + 3
    assert field_bytes(b"HTTP/1.1 200 OK\r\na: 1\r\nbb: 2\r\n\r\n", most=1) == 5 + 6


@pytest.mark.parametrize(
    ("head", "is_simple"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: today\r\nServer: x\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", False),
    ],
)
def test_a_simple_head_has_a_body_of_known_length_and_nothing_for_the_proxy(head: bytes, is_simple: bool) -> None:
    found = read_response_head(head)
    assert isinstance(found, ResponseHead)
    assert found.is_simple is is_simple
