"""What an HTTP/2 message may consist of; every verdict was seen of Envoy 1.39.3."""

from __future__ import annotations

import pytest

from sandbox.wire.http2_rules import INVALID_FIELD, VIOLATION, InvalidMessage, MessageRules
from sandbox.wire.http_message import Header

GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/p?q"), (b":authority", b"a.example")]
CONNECT = [(b":method", b"CONNECT"), (b":authority", b"a.example:443")]


def having(name: bytes, value: bytes) -> list[Header]:
    return [(each, value if each == name else old) for each, old in GET]


def without(name: bytes) -> list[Header]:
    return [header for header in GET if header[0] != name]


@pytest.mark.parametrize(
    ("headers", "details"),
    [
        pytest.param(without(b":method"), VIOLATION, id="no method"),
        pytest.param(without(b":scheme"), VIOLATION, id="no scheme"),
        pytest.param(without(b":path"), VIOLATION, id="no path"),
        pytest.param(without(b":authority"), VIOLATION, id="neither authority nor host"),
        pytest.param(having(b":path", b"p"), VIOLATION, id="a path without its slash"),
        pytest.param([*GET, (b"content-length", b"5")], VIOLATION, id="a length, and no payload"),
        pytest.param([*CONNECT, (b":path", b"/")], VIOLATION, id="CONNECT with a path"),
        pytest.param([*GET, (b":path", b"/")], INVALID_FIELD, id="a pseudo header twice"),
        pytest.param([*GET, (b":status", b"200")], INVALID_FIELD, id="a pseudo header of responses"),
        pytest.param([*GET, (b":protocol", b"websocket")], INVALID_FIELD, id="a protocol that was not offered"),
        pytest.param([(b"x", b"1"), *GET], INVALID_FIELD, id="a pseudo header after a field"),
        pytest.param(having(b":path", b""), INVALID_FIELD, id="an empty path"),
        pytest.param(having(b":path", b"/a b"), INVALID_FIELD, id="a space in the path"),
        pytest.param(having(b":authority", b""), INVALID_FIELD, id="an empty authority"),
        pytest.param(having(b":authority", b"u@a.example"), INVALID_FIELD, id="user information"),
        pytest.param(having(b":method", b"G T"), INVALID_FIELD, id="a space in the method"),
        pytest.param(having(b":scheme", b"1http"), INVALID_FIELD, id="a scheme that begins with a digit"),
        pytest.param([*GET, (b"host", b"a"), (b"host", b"a")], INVALID_FIELD, id="host twice"),
        pytest.param([*GET, (b"content-length", b"x")], INVALID_FIELD, id="a length that is no number"),
        pytest.param([*GET, (b"content-length", b"1" * 5000)], INVALID_FIELD, id="a length of many digits"),
        pytest.param([*GET, *[(b"content-length", b"0")] * 2], INVALID_FIELD, id="a length twice"),
        pytest.param([*GET, (b"X-Upper", b"1")], INVALID_FIELD, id="an upper case name"),
        pytest.param([*GET, (b"a b", b"1")], INVALID_FIELD, id="a space in a name"),
        pytest.param([*GET, (b"", b"1")], INVALID_FIELD, id="an empty name"),
        pytest.param([*GET, (b"x", b"1\r\n2")], INVALID_FIELD, id="a line break in a value"),
        pytest.param([*GET, (b"connection", b"close")], INVALID_FIELD, id="a field of the connection"),
        pytest.param([*GET, (b"te", b"gzip")], INVALID_FIELD, id="te other than trailers"),
    ],
)
def test_a_malformed_request_is_refused(headers: list[Header], details: str) -> None:
    with pytest.raises(InvalidMessage) as invalid:
        MessageRules().request_head(headers, is_end=True)

    assert invalid.value.details == details


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(GET, id="plain"),
        pytest.param(CONNECT, id="CONNECT"),
        pytest.param(having(b":path", b"/\xe9"), id="eight bits in the path"),
        pytest.param(having(b":scheme", b"ftp"), id="another scheme"),
        pytest.param([*GET, (b"te", b"Trailers")], id="te, in any case"),
        pytest.param([*GET, (b"x", b" a\xe9 ")], id="spaces and eight bits in a value"),
        pytest.param([*without(b":authority"), (b"host", b"a")], id="host for authority"),
        pytest.param([(b":method", b"OPTIONS"), *having(b":path", b"*")[1:]], id="OPTIONS *"),
    ],
)
def test_a_well_formed_request_passes(headers: list[Header]) -> None:
    MessageRules().request_head(headers, is_end=True)


@pytest.mark.parametrize(
    ("headers", "details"),
    [
        pytest.param([], VIOLATION, id="no status"),
        pytest.param([(b":status", b"20")], INVALID_FIELD, id="two digits"),
        pytest.param([(b":status", b"101")], INVALID_FIELD, id="101, which HTTP/2 does not have"),
        pytest.param([(b":status", b"200"), (b":path", b"/")], INVALID_FIELD, id="a pseudo header of requests"),
        pytest.param([(b":status", b"204"), (b"content-length", b"5")], INVALID_FIELD, id="204 with a length"),
        pytest.param([(b":status", b"200"), (b"content-length", b"5")], VIOLATION, id="a length, and no payload"),
        pytest.param([(b":status", b"103")], VIOLATION, id="the end before the final head"),
    ],
)
def test_a_malformed_response_is_refused(headers: list[Header], details: str) -> None:
    with pytest.raises(InvalidMessage) as invalid:
        MessageRules(b"GET").response_head(headers, is_end=True)

    assert invalid.value.details == details


def test_answer_to_head_has_a_length_and_no_payload() -> None:
    rules = MessageRules(b"HEAD")

    rules.response_head([(b":status", b"200"), (b"content-length", b"5")], is_end=True)

    assert not rules.data(1)


def test_payload_has_the_length_that_was_told() -> None:
    rules = MessageRules()
    rules.request_head([*GET, (b"content-length", b"5")], is_end=False)

    assert rules.data(5)
    rules.end()
    assert not rules.data(1)


@pytest.mark.parametrize(
    ("headers", "is_end", "details"),
    [
        pytest.param([(b":status", b"200")], True, INVALID_FIELD, id="a pseudo header"),
        pytest.param([(b"X", b"1")], True, INVALID_FIELD, id="an upper case name"),
        pytest.param([(b"x", b"1")], False, VIOLATION, id="more to follow"),
    ],
)
def test_malformed_trailers_are_refused(headers: list[Header], is_end: bool, details: str) -> None:
    rules = MessageRules()
    rules.request_head(GET, is_end=False)

    with pytest.raises(InvalidMessage) as invalid:
        rules.trailers(headers, is_end=is_end)

    assert invalid.value.details == details
