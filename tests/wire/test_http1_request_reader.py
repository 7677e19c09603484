"""The short ways of reading a request's head say what the long way says."""

from __future__ import annotations

import msgspec
import pytest

from sandbox.wire.http1_lines import HeadLimits
from sandbox.wire.http1_request import read_request_head
from sandbox.wire.http1_request_reader import RequestHeadReader
from sandbox.wire.http_message import RequestHead
from sandbox.wire.http_path import PathRules

HOST = b"Host: svc.example.com\r\n"
GET = b"GET /p HTTP/1.1\r\n"
PATHS = PathRules(normalize_path=True, merge_slashes=True, escaped_slashes="KEEP_UNCHANGED")


@pytest.mark.parametrize(
    ("data", "is_plain"),
    [
        pytest.param(GET + HOST + b"A: b\r\n\r\n", True, id="plain"),
        pytest.param(GET + HOST + b"A: b\r\n\r\nrest", True, id="with a rest"),
        pytest.param(b"GET /p?q=//x HTTP/1.1\r\n" + HOST + b"A: b\r\n\r\n", True, id="with a query"),
        pytest.param(GET + HOST + b"Content-Length: 3\r\nConnection: close\r\n\r\nabc", True, id="of the body"),
        pytest.param(GET + HOST + b"Connection: A, host\r\nA: b\r\n\r\n", True, id="names removed by Connection"),
        pytest.param(GET + b"Host:\r\nA: b\r\n\r\n", True, id="empty Host"),
        pytest.param(GET + HOST + b"\r\n", False, id="Host alone"),
        pytest.param(GET + b"A: b\r\n" + HOST + b"\r\n", False, id="Host later"),
        pytest.param(GET + b"A: b\r\n\r\n", False, id="no Host"),
        pytest.param(GET + HOST + b"Host: b\r\n\r\n", False, id="two Hosts"),
        pytest.param(GET + b"Host: a/b\r\nA: b\r\n\r\n", False, id="bad Host"),
        pytest.param(GET + HOST + b"A: b\r\nA: c\r\n\r\n", False, id="repeated"),
        pytest.param(GET + HOST + b"A: b\r\n c\r\n\r\n", False, id="folded"),
        pytest.param(GET + HOST + b"A: b\nC: d\r\n\r\n", False, id="bare LF"),
        pytest.param(GET + HOST + b"A b\r\n\r\n", False, id="no colon"),
        pytest.param(GET + HOST + b"A: \x01\r\n\r\n", False, id="control character"),
        pytest.param(GET + HOST + b"A: b\r\n" * 4 + b"\r\n", False, id="too many"),
        pytest.param(GET + HOST + b"A: " + b"b" * 200 + b"\r\n\r\n", False, id="too large"),
        pytest.param(GET + HOST + b"Transfer-Encoding: gzip\r\n\r\n", False, id="unknown coding"),
        pytest.param(b"GET //p HTTP/1.1\r\n" + HOST + b"A: b\r\n\r\n", False, id="path to be changed"),
        pytest.param(b"GET http://a/p HTTP/1.1\r\n" + HOST + b"A: b\r\n\r\n", False, id="absolute target"),
        pytest.param(b"FOO /p HTTP/1.1\r\n" + HOST + b"A: b\r\n\r\n", False, id="unknown method"),
        pytest.param(b"CONNECT /p HTTP/1.1\r\n" + HOST + b"A: b\r\n\r\n", False, id="CONNECT"),
        pytest.param(b"GET /p HTTP/1.0\r\n" + HOST + b"A: b\r\n\r\n", False, id="HTTP/1.0"),
        pytest.param(GET + HOST + b"A: b\r\n", False, id="incomplete"),
    ],
)
def test_a_head_is_read_as_by_the_long_way(data: bytes, is_plain: bool) -> None:
    limits = HeadLimits(max_bytes=200, max_count=3)
    reader = RequestHeadReader(limits, PATHS)
    expected = read_request_head(data, limits)
    for _ in range(3):  # read, read again and remembered, known
        found = reader.read(data)
        has_normal_path = isinstance(found, RequestHead) and found.has_normal_path
        if isinstance(expected, RequestHead):
            expected = msgspec.structs.replace(expected, has_normal_path=has_normal_path)
        assert (found, has_normal_path) == (expected, is_plain)


@pytest.mark.parametrize(
    ("limits", "paths"),
    [
        pytest.param(HeadLimits(underscores="REJECT_REQUEST"), PATHS, id="names with underscores are refused"),
        pytest.param(HeadLimits(), PathRules(False, False, "KEEP_UNCHANGED"), id="paths stay as they are"),
    ],
)
def test_what_a_listener_looks_at_more_closely_takes_the_long_way(limits: HeadLimits, paths: PathRules) -> None:
    data = GET + HOST + b"A_b: c\r\n\r\n"
    found = RequestHeadReader(limits, paths).read(data)
    assert found == read_request_head(data, limits)
    assert not (isinstance(found, RequestHead) and found.has_normal_path)


def test_a_remembered_head_is_the_readers_own() -> None:
    reader = RequestHeadReader()
    for more in (b"", b"more", b"", b"more"):  # it is read, read again and remembered, and known from then on
        head = reader.read(GET + HOST + b"A: b\r\n\r\n" + more)
        assert isinstance(head, RequestHead)
        assert (head.headers, head.host) == ([(b"a", b"b")], b"svc.example.com")
        head.headers.append((b"x-request-id", b"1"))
        head.host = b"changed"
