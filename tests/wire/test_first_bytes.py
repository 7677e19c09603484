"""The first line: what Envoy's HTTP inspector takes for HTTP."""

from __future__ import annotations

import pytest

from sandbox.wire.first_bytes import HTTP2_PREFACE, HttpLook, look_for_http, look_for_known_methods

CASES = {
    b"GET / HTTP/1.1\r\nHost: a\r\n": HttpLook.HTTP_1_1,
    b"GET / HTTP/1.1\n": HttpLook.HTTP_1_1,
    b"get / HTTP/1.1\r\n": HttpLook.HTTP_1_1,
    b"FOO /x?y=1 HTTP/1.1\r\n": HttpLook.HTTP_1_1,
    b"GET  /two-blanks HTTP/1.1\r\n": HttpLook.HTTP_1_1,
    b"OPTIONS * HTTP/1.1\r\n": HttpLook.HTTP_1_1,
    b"GET http://a.example/x HTTP/1.1\r\n": HttpLook.HTTP_1_1,
    b"GET ftp://a.example HTTP/1.1\r\n": HttpLook.HTTP_1_1,
    b"CONNECT a.example:443 HTTP/1.1\r\n": HttpLook.HTTP_1_1,
    b"GET / HTTP/1.0\r\n": HttpLook.HTTP_1_0,
    b"GET / HTTP/1.2\r\n": HttpLook.HTTP_1_0,
    b"GET / http/1.1\r\n": HttpLook.NOT_HTTP,
    b"GET x-1://a HTTP/1.1\r\n": HttpLook.HTTP_1_1,
    b"GET /\r\n": HttpLook.HTTP_1_0,
    HTTP2_PREFACE: HttpLook.HTTP_2,
    HTTP2_PREFACE[:-1]: HttpLook.NEED_MORE,
    b"PRI * HTTP/2.0\r\n\r\nXX": HttpLook.HTTP_1_0,
    b"GET / HTTP/1.": HttpLook.NEED_MORE,
    b"G": HttpLook.NEED_MORE,
    b"GET foo HTTP/1.1\r\n": HttpLook.NOT_HTTP,
    b"GET /a b HTTP/1.1\r\n": HttpLook.NOT_HTTP,
    b"GET /a\x01b HTTP/1.1\r\n": HttpLook.NOT_HTTP,
    b"GET /caf\xc3\xa9 HTTP/1.1\r\n": HttpLook.NOT_HTTP,
    b"G:T / HTTP/1.1\r\n": HttpLook.NOT_HTTP,
    b"GET http://a@@b/ HTTP/1.1\r\n": HttpLook.NOT_HTTP,
    b"\r\nGET / HTTP/1.1\r\n": HttpLook.NOT_HTTP,
    b" GET / HTTP/1.1\r\n": HttpLook.NOT_HTTP,
    b"\tGET / HTTP/1.1\r\n": HttpLook.NOT_HTTP,
    b"EHLO me.example\r\n": HttpLook.NOT_HTTP,
    b"QUIT\r\n": HttpLook.NOT_HTTP,
    b"\x16\x03\x01\x02\x00\x01\x00\x0a": HttpLook.NOT_HTTP,
    b"a" * 65_536: HttpLook.TOO_LONG,
}


@pytest.mark.parametrize(("data", "look"), CASES.items(), ids=[repr(data[:24]) for data in CASES])
def test_the_first_line_tells(data: bytes, look: HttpLook) -> None:
    assert look_for_http(data) is look


OLD_PARSER = {
    b"GET / HTTP/1.1\r\n": HttpLook.HTTP_1_1,
    b"M-SEARCH * HTTP/1.1\r\n": HttpLook.HTTP_1_1,
    b"get / HTTP/1.1\r\n": HttpLook.NOT_HTTP,
    b"FOO / HTTP/1.1\r\n": HttpLook.NOT_HTTP,
    b"GE": HttpLook.NEED_MORE,
    b"GX": HttpLook.NOT_HTTP,
    b"PRI": HttpLook.NEED_MORE,
    HTTP2_PREFACE: HttpLook.HTTP_2,
}


@pytest.mark.parametrize(("data", "look"), OLD_PARSER.items(), ids=[repr(data[:24]) for data in OLD_PARSER])
def test_the_parser_of_older_envoys_knows_its_methods(data: bytes, look: HttpLook) -> None:
    assert look_for_known_methods(data) is look
