"""JSON and text lines: order of keys, types, numbers, characters, omitted values."""

from __future__ import annotations

import json

import pytest

from sandbox.access_log.format import LogEnvironment, compile_access_log, compile_line
from sandbox.access_log.json_text import TEXTS, number_text
from sandbox.compiler.access_log_formats import JSON_FORMAT, TEXT_FORMAT
from sandbox.plan.access_log import (
    AccessLog,
    AccessLogFilter,
    AndFilter,
    FileAccessLog,
    HttpGrpcAccessLogConfig,
    ResponseFlagFilter,
    SubstitutionFormatString,
)
from sandbox.plan.base import DataSource
from tests.access_log.stream import http_stream, tcp_stream

NUMBERS = {
    0: "0", 7: "7", 99_999: "99999", 100_000: "1e+05", 110_000: "110000", 200_000: "2e+05", 250_000: "250000",
    1_000_000: "1e+06", 1_200_000: "1200000", 1_500_000: "1500000", 12_000_000: "1.2e+07", 12_345_678: "12345678",
    123_456_789_012: "123456789012", -100_000: "-1e+05", 0.5: "0.5", 1.5e-7: "1.5e-07", 0.0001: "1e-04",
}  # fmt: skip


@pytest.mark.parametrize(("number", "text"), NUMBERS.items(), ids=map(str, NUMBERS))
def test_numbers_have_the_shortest_form(number: float, text: str) -> None:
    assert number_text(number) == text
    assert json.loads(text) == number


def _line(log_format: SubstitutionFormatString) -> bytes:
    return compile_line(log_format, LogEnvironment())(http_stream())


def _text(text: str, *, omit: bool = False) -> SubstitutionFormatString:
    return SubstitutionFormatString(text_format_source=DataSource(inline_string=text), omit_empty_values=omit)


def test_keys_are_sorted_at_every_depth_and_literals_kept() -> None:
    fields = {"z": "%BYTES_SENT%", "a": {"y": ["%RESPONSE_CODE%", "x", None, 7, True], "b": "%REQ(NOPE)%"}, "n": 100000}
    line = _line(SubstitutionFormatString(json_format=fields))
    assert line == b'{"a":{"b":null,"y":[200,"x",null,7,true]},"n":1e+05,"z":2}\n'


def test_a_count_of_100000_is_written_as_envoy_writes_it() -> None:
    info = http_stream()
    info.bytes_sent = 100_000
    fields = {"json": "%BYTES_SENT%", "text": "%BYTES_SENT% bytes"}
    line = compile_line(SubstitutionFormatString(json_format=fields), LogEnvironment())(info)
    assert line == b'{"json":1e+05,"text":"100000 bytes"}\n'


CHARACTERS = {
    b"caf\xc3\xa9": b'"caf\xc3\xa9"',
    b'say "hi" \\ back': b'"say \\"hi\\" \\\\ back"',
    b"a\tb": b'"a\\tb"',
    b"<a href='/'>": b"\"<a href='/'>\"",
    b"caf\xe9": b'"caf\\u00e9"',
    b'\xe9 "\\\t': b'"\\u00e9 \\u0022\\u005c\\u0009"',
}


@pytest.mark.parametrize(("agent", "value"), CHARACTERS.items(), ids=map(repr, CHARACTERS))
def test_characters_are_escaped_as_recorded(agent: bytes, value: bytes) -> None:
    info = http_stream()
    info.request_headers = [(b"user-agent", agent)]
    as_json = compile_line(SubstitutionFormatString(json_format={"k": "%REQ(USER-AGENT)%"}), LogEnvironment())
    as_text = compile_line(_text("%REQ(USER-AGENT)%\n"), LogEnvironment())
    assert as_json(info) == b'{"k":' + value + b"}\n"
    assert as_text(info) == agent + b"\n"


def test_text_keeps_per_cent_signs_and_prints_a_dash_for_nothing() -> None:
    assert _line(_text("100%% [%REQ(NOPE)%] [%REQ(X-EMPTY)%] %s\n".replace("%s", "%%s"))) == b"100% [-] [] %s\n"
    assert _line(_text("no operators 100%%\n")) == b"no operators 100%\n"


def test_omitted_values_leave_text_empty_but_json_null() -> None:
    assert _line(_text("[%REQ(NOPE)%]", omit=True)) == b"[]"
    fields = {"alone": "%REQ(NOPE)%", "beside": "x%REQ(NOPE)%"}
    line = _line(SubstitutionFormatString(json_format=fields, omit_empty_values=True))
    assert line == b'{"alone":null,"beside":"x"}\n'


def test_istio_defaults_have_their_keys_and_order() -> None:
    line = json.loads(_line(SubstitutionFormatString(json_format=JSON_FORMAT)))
    assert list(line) == sorted(JSON_FORMAT)
    assert len(line) == 24
    assert _line(_text(TEXT_FORMAT)).startswith(
        b'[2025-11-20T17:39:49.618Z] "GET /a/b?a=1%20x&b&c=2 HTTP/1.1" 200 - via'
    )


def test_without_a_format_the_line_is_envoys_own() -> None:
    log = compile_access_log(AccessLog(typed_config=FileAccessLog(path="/dev/stdout")))
    assert log is not None
    assert log.path == "/dev/stdout"
    assert (log.line(http_stream()) or b"").endswith(b'"203.0.113.10:80"\n')


def test_logs_to_services_are_not_files() -> None:
    assert compile_access_log(AccessLog(typed_config=HttpGrpcAccessLogConfig())) is None


FILTERS = {
    "any flag": (ResponseFlagFilter(), True),
    "one of several flags": (ResponseFlagFilter(flags=("NR", "UF")), True),
    "another flag": (ResponseFlagFilter(flags=("NR",)), False),
}


@pytest.mark.parametrize(("flags", "is_logged"), FILTERS.values(), ids=list(FILTERS))
def test_filter_on_response_flags(flags: ResponseFlagFilter, is_logged: bool) -> None:
    part = AccessLogFilter(response_flag_filter=flags)
    both = AccessLogFilter(
        and_filter=AndFilter(filters=(part, AccessLogFilter(response_flag_filter=ResponseFlagFilter())))
    )
    for each in (part, both):
        log = compile_access_log(AccessLog(filter=each, typed_config=FileAccessLog(path="-")))
        assert log is not None
        assert (log.line(tcp_stream()) is not None) is is_logged
        assert log.line(http_stream()) is None


def test_texts_that_come_again_are_remembered_up_to_a_number() -> None:
    line = compile_line(SubstitutionFormatString(json_format={"host": "%REQ(:AUTHORITY)%"}), LogEnvironment())
    info = http_stream()
    for number in range(5000):
        info.authority = b"host-%d" % number
        assert line(info) == b'{"host":"host-%d"}\n' % number
    assert len(TEXTS) <= 4096
