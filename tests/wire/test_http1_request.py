"""Request heads: what Envoy's codec takes, what it refuses and with which words; recorded from Envoy 1.39."""

from __future__ import annotations

import pytest

from sandbox.wire.http1_lines import HeadLimits, Memory
from sandbox.wire.http1_request import head_sizes, read_request_head
from sandbox.wire.http_message import Refusal, RequestHead

HOST = b"Host: svc.example.com\r\n"
GET = b"GET /p HTTP/1.1\r\n"


def head_of(data: bytes, limits: HeadLimits | None = None) -> RequestHead:
    found = read_request_head(data, limits or HeadLimits())
    assert isinstance(found, RequestHead), found
    return found


def refusal_of(data: bytes, limits: HeadLimits | None = None) -> Refusal:
    found = read_request_head(data, limits or HeadLimits())
    assert isinstance(found, Refusal), found
    return found


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        pytest.param(b"X:1\r\n", [(b"x", b"1")], id="no blank"),
        pytest.param(b"X: \t1 \t\r\n", [(b"x", b"1")], id="blanks around a value"),
        pytest.param(b"X:\r\n", [(b"x", b"")], id="empty value"),
        pytest.param(b"X: a\r\n b\r\n", [(b"x", b"a b")], id="folded by a blank"),
        pytest.param(b"X: a\r\n\tb\r\n", [(b"x", b"a\tb")], id="folded by a tab"),
        pytest.param(b"X: a\rb\r\n", [(b"x", b"ab")], id="bare CR is deleted"),
        pytest.param(b"X: a\nY: b\r\n", [(b"x", b"a"), (b"y", b"b")], id="bare LF ends a line"),
        pytest.param(b"X: caf\xc3\xa9\r\n", [(b"x", b"caf\xc3\xa9")], id="8-bit value"),
        pytest.param(b"_x: 1\r\n", [(b"_x", b"1")], id="underscore"),
        pytest.param(b"!#$%&'*+-.^_`|~: 1\r\n", [(b"!#$%&'*+-.^_`|~", b"1")], id="every token character"),
        pytest.param(b"x-dup: 1\r\nX-Dup: 2\r\n", [(b"x-dup", b"1"), (b"x-dup", b"2")], id="repeated"),
        pytest.param(b"User-Agent: a\r\nUser-Agent: b\r\n", [(b"user-agent", b"a,b")], id="repeated inline field"),
        pytest.param(b"Cookie: a\r\nCookie: b\r\n", [(b"cookie", b"a"), (b"cookie", b"b")], id="cookies stay apart"),
    ],
)
def test_header_fields_are_taken(fields: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    head = head_of(GET + HOST + fields + b"\r\n")
    assert head.headers == headers
    assert head.host == b"svc.example.com"


@pytest.mark.parametrize(
    ("fields", "status", "details"),
    [
        (b"NoColon\r\n", 400, "http1.codec_error"),
        (b"X : 1\r\n", 400, "http1.codec_error"),
        (b": 1\r\n", 400, "http1.codec_error"),
        (b"X(a): 1\r\n", 400, "http1.codec_error"),
        (b"X\xe9: 1\r\n", 400, "http1.codec_error"),
        (b":path: /evil\r\n", 400, "http1.codec_error"),
        (b"X: a\x01b\r\n", 400, "http1.invalid_characters"),
        (b"X: a\x00b\r\n", 400, "http1.invalid_characters"),
        (b"X: a\x7fb\r\n", 400, "http1.invalid_characters"),
        (b"Content-Length: 2\r\nContent-Length: 2\r\n", 400, "http1.codec_error"),
        (b"Content-Length: 2, 2\r\n", 400, "http1.codec_error"),
        (b"Content-Length: -1\r\n", 400, "http1.codec_error"),
        (b"Content-Length: +2\r\n", 400, "http1.codec_error"),
        (b"Content-Length: 18446744073709551616\r\n", 400, "http1.codec_error"),
        pytest.param(b"Content-Length: %b\r\n" % (b"1" * 5000), 400, "http1.codec_error", id="a length of many digits"),
        (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            400,
            "http1.content_length_and_chunked_not_allowed",
        ),
        (b"Transfer-Encoding: gzip, chunked\r\n", 501, "http1.invalid_transfer_encoding"),
        (b"Transfer-Encoding: identity\r\n", 501, "http1.invalid_transfer_encoding"),
        (b"Connection: x-forwarded-for\r\n", 400, "http1.connection_header_rejected"),
        (b"Connection: a,b,c,d,e,f,g,h,i,j\r\n", 400, "http1.connection_header_rejected"),
    ],
)
def test_header_fields_are_refused(fields: bytes, status: int, details: str) -> None:
    assert refusal_of(GET + HOST + fields + b"\r\n") == Refusal(status, details)


@pytest.mark.parametrize(
    ("line", "path", "host"),
    [
        (b"GET /a?b HTTP/1.1", b"/a?b", b"svc.example.com"),
        (b"GET  /a HTTP/1.1", b"/a", b"svc.example.com"),
        (b"GET http://other.example.com/p?q HTTP/1.1", b"/p?q", b"other.example.com"),
        (b"GET HTTP://other.example.com:8080 HTTP/1.1", b"/", b"other.example.com:8080"),
        (b"GET http://user@other.example.com/ HTTP/1.1", b"/", b"other.example.com"),
        (b"GET http://other.example.com?x=1 HTTP/1.1", b"?x=1", b"other.example.com"),
        (b"OPTIONS * HTTP/1.1", b"*", b"svc.example.com"),
        (b"CONNECT db.example.com:443 HTTP/1.1", None, b"db.example.com:443"),
        (b"PROPFIND / HTTP/1.1", b"/", b"svc.example.com"),
    ],
)
def test_targets_are_resolved(line: bytes, path: bytes | None, host: bytes) -> None:
    head = head_of(line + b"\r\n" + HOST + b"\r\n")
    assert (head.path, head.host) == (path, host)


@pytest.mark.parametrize(
    ("line", "status", "details"),
    [
        (b"get / HTTP/1.1", 400, "http1.codec_error"),
        (b"FOO / HTTP/1.1", 400, "http1.codec_error"),
        (b"GET /a b HTTP/1.1", 400, "http1.codec_error"),
        (b"GET /caf\xc3\xa9 HTTP/1.1", 400, "http1.codec_error"),
        (b"GET /a\x01b HTTP/1.1", 400, "http1.invalid_characters"),
        (b"GET foo HTTP/1.1", 400, "http1.codec_error"),
        (b"GET * HTTP/1.1", 400, "http1.invalid_url"),
        (b"GET ftp://svc.example.com/p HTTP/1.1", 400, "http1.invalid_scheme"),
        (b"CONNECT /x HTTP/1.1", 400, "http1.invalid_url"),
        pytest.param(b"CONNECT a:%b HTTP/1.1" % (b"1" * 5000), 400, "http1.invalid_url", id="a port of many digits"),
        (b"GET / http/1.1", 400, "http1.codec_error"),
        (b"GET / HTTP/1.0", 426, "low_version"),
        (b"GET / HTTP/1.2", 426, "low_version"),
        (b"GET /", 426, "low_version"),
    ],
)
def test_request_lines_are_refused(line: bytes, status: int, details: str) -> None:
    assert refusal_of(line + b"\r\n" + HOST + b"\r\n") == Refusal(status, details)


@pytest.mark.parametrize("host", [b"svc.exa mple.com", b"svc.example.com/x", b"a\\b"])
def test_an_authority_with_characters_that_none_may_have_is_refused(host: bytes) -> None:
    assert refusal_of(GET + b"Host: " + host + b"\r\n\r\n") == Refusal(400, "http.invalid_authority")


def test_repeated_hosts_are_joined() -> None:
    assert head_of(GET + HOST + HOST + b"\r\n").host == b"svc.example.com,svc.example.com"


def test_connection_takes_the_fields_it_names_along() -> None:
    head = head_of(GET + HOST + b"Connection: keep-alive, X-Drop\r\nX-Drop: 1\r\nX-Keep: 1\r\n\r\n")
    assert head.headers == [(b"connection", b"keep-alive"), (b"x-keep", b"1")]


def test_a_connection_that_names_nothing_else_goes_too() -> None:
    assert head_of(GET + HOST + b"Connection: X-Drop\r\nX-Drop: 1\r\n\r\n").headers == []


@pytest.mark.parametrize(
    ("te", "headers"),
    [
        (b"Trailers, gzip", [(b"connection", b"TE"), (b"te", b"trailers")]),
        (b"gzip", []),
    ],
)
def test_of_te_connection_keeps_trailers_alone(te: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    assert head_of(GET + HOST + b"Connection: TE\r\nTE: " + te + b"\r\n\r\n").headers == headers


def test_an_upgrade_keeps_the_fields_that_connection_names() -> None:
    fields = b"Connection: Upgrade, X-Forwarded-For, X-Keep\r\nUpgrade: websocket\r\nX-Keep: 1\r\n\r\n"
    assert [name for name, _ in head_of(GET + HOST + fields).headers] == [b"connection", b"upgrade", b"x-keep"]


def test_a_connect_keeps_the_fields_that_connection_names() -> None:
    head = head_of(b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"Connection: X-Forwarded-For\r\n\r\n")
    assert head.headers == [(b"connection", b"X-Forwarded-For")]


@pytest.mark.parametrize(
    ("head", "details"),
    [
        (GET + HOST + b"no colon\r\nX: \x01\r\n\r\n", "http1.invalid_characters"),
        (b"FOO /p HTTP/1.1\r\nX: \x01\r\n\r\n", "http1.invalid_characters"),
        (b"\x00GET /p HTTP/1.1\r\nX: \x01\r\n\r\n", "http1.codec_error"),
        (
            GET + b"Content-Length: -1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "http1.content_length_and_chunked_not_allowed",
        ),
        (b"GET /p \r\nno colon\r\n\r\n", "low_version"),
        (b"GET http:// HTTP/2.0\r\n\r\n", "http1.invalid_url"),
    ],
)
def test_of_several_faults_one_is_told(head: bytes, details: str) -> None:
    assert refusal_of(head).details == details


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(GET + b"no colon\r\nX", id="a field without a colon"),
        pytest.param(GET + b"X: \x01\r\nX", id="a control character"),
        pytest.param(b"GET /\x00 HTTP/1.1\r\nX", id="a control character behind the target"),
    ],
)
def test_faulty_fields_are_found_when_the_head_is_complete(part: bytes) -> None:
    assert read_request_head(part) is None


def test_a_control_character_parts_the_request_line() -> None:
    assert refusal_of(b"GET ws://a\x00b/ HTTP/1.1\r\nX").details == "http1.codec_error"


def test_how_a_head_begins_is_looked_at_before_its_size() -> None:
    assert refusal_of(b" " * 62_000).details == "http1.codec_error"


def test_blanks_of_a_request_line_may_be_tabs() -> None:
    assert head_of(b"GET\t/p \t HTTP/1.1 \t\r\n" + HOST + b"\r\n").path == b"/p"


def test_empty_values_of_a_list_leave_no_comma() -> None:
    head = head_of(GET + HOST + b"Accept:\r\nAccept: a\r\nAccept:\r\nAccept: b\r\n\r\n")
    assert head.headers == [(b"accept", b"a,b")]


@pytest.mark.parametrize(
    ("authority", "is_good"),
    [
        ("a", True),
        ("a.-1:80", True),
        ("user:!$@a", True),
        ("@a", True),
        ("[::1]:80", True),
        ("[1.2.3.4]", True),
        ("[fe80::1%eth0]", True),
        ("a_b", False),
        ("a%41", False),
        ("a:1:2", False),
        ("a:", False),
        (":80", False),
        ("u@", False),
        ("a@b@c", False),
        ("u[@a", False),
        ("[::1", False),
        ("[x]", False),
        ("[]", False),
        ("[::1]x", False),
        ("[::1%25eth0]", False),
    ],
)
def test_an_absolute_target_names_a_host(authority: str, is_good: bool) -> None:
    found = read_request_head(f"GET http://{authority}/ HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert isinstance(found, RequestHead) is is_good
    if isinstance(found, RequestHead):
        assert found.host == authority.rpartition("@")[2].encode()
    else:
        assert found == Refusal(400, "http1.invalid_url")


@pytest.mark.parametrize("target", [b"a_b:80", b"u@a:80", b"[x]:80", b"a%41:80", b"[::1:80", b"a:1:2"])
def test_a_connect_names_a_host_and_its_port(target: bytes) -> None:
    assert refusal_of(b"CONNECT " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n").details == "http1.invalid_url"


NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        pytest.param(b"X: 1\r\nTransfer-Encoding: gzip\r\n", 22 + 5 + 24, id="all of its own head"),
        pytest.param(b"X: a\rb\r\n", 22 + 6, id="no bare CR"),
        pytest.param(b"X: 1\r\nX\xe9: 1\r\nY: 1\r\n", 22 + 5 - 3, id="up to a name that is not ASCII"),
        pytest.param(b"X: 1\r\nno colon\r\n", 0, id="nothing of a head that cannot be read"),
    ],
)
def test_bytes_of_fields_are_counted(fields: bytes, size: int) -> None:
    data = GET + HOST + fields + b"\r\n"
    found = read_request_head(data)
    assert found is not None
    assert head_sizes(data + NEXT, found)[0] == size


def test_a_head_may_have_sixty_kibibytes_and_no_more() -> None:
    start, end = GET + HOST + b"X: ", b"\r\n\r\n"
    room = 60 * 1024 - len(start) - len(end)
    assert head_of(start + b"a" * room + end).size == 60 * 1024
    assert refusal_of(start + b"a" * (room + 1) + end) == Refusal(431, "http1.headers_too_large")


def test_a_head_may_have_a_hundred_fields_and_no_more() -> None:
    def request(count: int) -> bytes:
        return GET + HOST + b"".join(b"X-%d: 1\r\n" % number for number in range(count - 1)) + b"\r\n"

    assert len(head_of(request(100)).headers) == 99
    assert refusal_of(request(101)) == Refusal(431, "http1.too_many_headers")


@pytest.mark.parametrize(("action", "names"), [("ALLOW", [b"x_y", b"z"]), ("DROP_HEADER", [b"z"])])
def test_names_with_underscores_are_kept_or_dropped(action: str, names: list[bytes]) -> None:
    head = head_of(GET + HOST + b"X_Y: 1\r\nZ: 2\r\n\r\n", HeadLimits(underscores=action))
    assert [name for name, _ in head.headers] == names


def test_names_with_underscores_may_refuse_the_request() -> None:
    limits = HeadLimits(underscores="REJECT_REQUEST")
    assert refusal_of(GET + HOST + b"X_Y: 1\r\n\r\n", limits) == Refusal(400, "http1.unexpected_underscore")


@pytest.mark.parametrize(
    "request_",
    [
        GET + HOST + b"X: a\r\n b\r\nContent-Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.1\nHost: svc.example.com\n\n",
        b"\r\n\r\n" + GET + HOST + b"\r\n",
    ],
    ids=["folded, with a body", "bare LF", "leading empty lines"],
)
def test_a_head_cut_anywhere_waits_for_the_rest(request_: bytes) -> None:
    whole = head_of(request_)
    for cut in range(whole.size):
        assert read_request_head(request_[:cut]) is None, request_[:cut]
    assert head_of(request_[: whole.size]).headers == whole.headers


def test_what_comes_twice_is_remembered_and_there_is_an_end_of_it() -> None:
    memory: Memory[int] = Memory(longest=4, most=2)
    assert [memory.wants(data) for data in (b"a", b"a", b"large", b"large")] == [False, True, False, False]
    for number in range(10):
        data = b"%d" % number
        memory.wants(data)
        if memory.wants(data):
            memory[data] = number
    assert 1 <= len(memory) <= 2


def test_a_field_that_connection_names_is_gone_from_the_index_too() -> None:
    head = head_of(GET + HOST + b"Connection: x-own\r\nX-Own: 1\r\nAccept: */*\r\n\r\n")
    assert b"x-own" not in head.index
    assert head.index == dict(head.headers)


@pytest.mark.parametrize(
    ("line", "details"),
    [
        (b"X-Known", "http1.codec_error"),
        (b"X-Known : 1", "http1.codec_error"),
        (b"X-Known: \x01", "http1.invalid_characters"),
        (b"X-Known: \x7f", "http1.invalid_characters"),
    ],
)
def test_a_line_is_not_good_because_its_name_is_known(line: bytes, details: str) -> None:
    for number in range(3):
        assert head_of(GET + HOST + b"X-Known: \t%d \r\n\r\n" % number).headers == [(b"x-known", b"%d" % number)]
    assert refusal_of(GET + HOST + line + b"\r\n\r\n").details == details


@pytest.mark.parametrize("name", [b"If-Match", b"If-Range", b"Access-Control-Request-Private-Network"])
def test_conditions_are_lists_too(name: bytes) -> None:
    head = read_request_head(b"GET / HTTP/1.1\r\nHost: a\r\n" + name + b": x\r\n" + name + b": y\r\n\r\n")
    assert isinstance(head, RequestHead)
    assert head.headers == [(name.lower(), b"x,y")]


@pytest.mark.parametrize(("length", "details"), [(b"3", "http1.body_disallowed"), (b"0", None)])
def test_a_connect_has_no_body(length: bytes, details: str | None) -> None:
    head = read_request_head(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: " + length + b"\r\n\r\n")
    assert (head.details if isinstance(head, Refusal) else None) == details
