"""CEL filters decide as a real Envoy 1.39 decided for the same request (every verdict was recorded)."""

from __future__ import annotations

import pytest

from sandbox.access_log.cel import compile_expression
from sandbox.access_log.command import FormatRefused
from sandbox.access_log.stream_info import StreamInfo
from sandbox.plan.listener import FilterChain
from sandbox.plan.route import Route, VirtualHost
from tests.access_log.stream import http_stream, tcp_stream


def _stream() -> StreamInfo:
    info = StreamInfo(100.0, 1_763_660_389.618)
    info.end = info.last_downstream_rx = 100.0
    info.is_http = True
    info.method, info.scheme, info.protocol = b"GET", b"http", "HTTP/1.1"
    info.path, info.authority = b"/a/login?x=1", b"svc.example.com"
    info.request_headers = [
        (b"user-agent", b"ua/1"),
        (b"x-user-type", b"dev"),
        (b"dup", b"a"),
        (b"dup", b"b"),
        (b"x-request-id", b"5eef9ce6"),
        (b"x-forwarded-proto", b"http"),
    ]
    info.response_headers = [(b"content-length", b"5"), (b"x-r", b"v"), (b"server", b"envoy")]
    info.response_code, info.response_code_details, info.bytes_sent = 200, "direct_response", 5
    info.route, info.virtual_host = Route(name="r1"), VirtualHost(name="v")
    info.filter_chain = FilterChain(name="fc")
    info.downstream_local_address, info.downstream_remote_address = "127.0.0.1:18555", "127.0.0.1:35767"
    return info


TRUE = (
    "response.code == 200",
    "response.code == 200u",
    "response.code == 200.0",
    "response.code < 300 && request.method == 'GET'",
    "response.code_details == 'direct_response'",
    "response.flags == 0",
    "has(response.code)",
    "has(response.grpc_status)",
    "has(request.useragent)",
    "has(request.id)",
    "request.headers['x-user-type'] == 'dev'",
    "request.headers['X-User-Type'] == 'dev'",
    "'x-user-type' in request.headers",
    "'X-User-Type' in request.headers",
    "!('missing' in request.headers)",
    "request.headers['missing'] == 'dev' || response.code == 200",
    "response.code == 200 || request.headers['missing'] == 'dev'",
    "request.url_path == '/a/login'",
    "request.url_path.contains('login')",
    "request.path == '/a/login?x=1'",
    "request.path.startsWith('/a')",
    "request.path.endsWith('x=1')",
    "request.path.matches('lo.in')",
    "request.query == 'x=1'",
    "request.host == 'svc.example.com'",
    "request.scheme == 'http'",
    "request.method in ['GET', 'POST']",
    "request.protocol == 'HTTP/1.1'",
    "request.size == 0",
    "request.size == 0u",
    "request.total_size > 10",
    "request.duration < duration('10s')",
    "request.time > timestamp('2020-01-01T00:00:00Z')",
    "response.size == 5",
    "response.total_size > 5",
    "connection.requested_server_name == ''",
    "has(connection.requested_server_name)",
    "!connection.mtls",
    "connection.mtls == false",
    "source.address.startsWith('127.0.0.1')",
    "source.address.contains(':')",
    "source.port > 0",
    "destination.port == 18555",
    "destination.address == '127.0.0.1:18555'",
    "xds.route_name == 'r1'",
    "xds.virtual_host_name == 'v'",
    "xds.filter_chain_name == 'fc'",
    "has(xds.filter_chain_name)",
    "xds.listener_direction == 2",
    "has(connection.id)",
    "1 == 1.0",
    "1 == 1u",
    "1 < 1.5",
    "'a' != 1",
    "1 + 1 == 2",
    "7 / 2 == 3",
    "-7 / 2 == -3",
    "-7 % 3 == -1",
    "7 % 3 == 1",
    "size('héé') == 3",
    "size(request.headers) > 2",
    "'abc'.size() == 3",
    "size([1,2]) == 2",
    "int('12') == 12",
    "int(' +12 ') == 12",
    "double('0x1p3') == 8.0",
    "metadata.filter_metadata.size() == 0",
    "size(request) == 0",
    "int(1.9) == 1",
    "double('1.5') == 1.5",
    "type(1) == int",
    "type('a') == string",
    "{'a': 1}['a'] == 1",
    "{'a': 1}.a == 1",
    "'a' in {'a': 1}",
    "['a', 'b'][1] == 'b'",
    "true ? true : false",
    "null == null",
    "response.headers['x-r'] == 'v'",
    "response.headers[':status'] == '200'",
    "request.headers[':path'] == '/a/login?x=1'",
    "request.headers[':authority'] == 'svc.example.com'",
    "request.headers['host'] == 'svc.example.com'",
    "request.headers['dup'] == 'a,b'",
    "request.useragent == 'ua/1'",
    "duration('1h30m') == duration('90m')",
    "b'a' == b'a'",
    "r'a\\d' == 'a\\\\d'",
    "'\\x41\\u0042' == 'AB'",
    "\"a'b\" == 'a\\'b'",
    "has(upstream.request_attempt_count)",
    "upstream.request_attempt_count == 0",
    "has(response.code_details)",
    "!!true",
    "--1 == 1",
    "(response.code >= 200) == true",
    "response.code in [200, 201]",
    "request.time == request.time",
    "size(response.headers) > 0",
    "request.headers == request.headers",
)

TIME = "timestamp('2024-02-29T23:05:07.089Z')"
TIMES = (
    f"{TIME}.getFullYear() == 2024",
    f"{TIME}.getMonth() == 1",
    f"{TIME}.getDate() == 29 && {TIME}.getDayOfMonth() == 28",
    f"{TIME}.getDayOfWeek() == 4 && {TIME}.getDayOfYear() == 59",
    f"{TIME}.getHours() == 23 && {TIME}.getMinutes() == 5 && {TIME}.getSeconds() == 7",
    f"{TIME}.getMilliseconds() == 89",
    f"{TIME}.getHours('+01:30') == 0 && {TIME}.getDate('Europe/Berlin') == 1",
    "duration('90061.5s').getHours() == 25 && duration('90061.5s').getMinutes() == 1501",
    "duration('-1.5s').getSeconds() == -1 && duration('1.25s').getMilliseconds() == 250",
    "bool('true') && bytes('a') == b'a'",
)
FALSE = (
    "response.code >= 400",
    "response.flags",
    "int('1_0') == 10",
    "int('\u0661') == 1",
    "double('1_0') == 10.0",
    "9223372036854775807 + 1 > 0",
    "upstream_filter_state.size() == 0",
    "has(request.referer)",
    "has(request.nope)",
    "has(nope.x)",
    "request.headers['missing'] == 'dev'",
    "request.headers['missing'] != 'dev'",
    "!(request.headers['missing'] == 'dev')",
    "'missing' in request.headers",
    "request.headers['missing'] == 'dev' && response.code == 500",
    "response.code == 500 && request.headers['missing'] == 'dev'",
    "request.path.matches('^lo.in')",
    "request.method in ['POST']",
    "connection.mtls",
    "has(connection.tls_version)",
    "has(upstream.address)",
    "upstream.address == ''",
    "has(upstream.port)",
    "has(xds.cluster_name)",
    "xds.cluster_name == ''",
    "xds.listener_direction == 0",
    "'a' == 1",
    "'a' < 1",
    "true == 1",
    "'a' + 'b' == 'ab'",
    "[1] + [2] == [1, 2]",
    "1 / 0 == 1",
    "{'a': 1}.b == 1",
    "['a', 'b'][5] == 'b'",
    "response.code ? true : false",
    "request == null",
    "metadata.filter_metadata['x']['y'] == 'z'",
    "has(metadata.filter_metadata)",
    "response.trailers['a'] == 'b'",
    "'a' in response.trailers",
    "response.code",
    '"yes"',
    "has(response.backend_latency)",
    "has(upstream.transport_failure_reason)",
    "filter_state['x'] == 'y'",
    "has(filter_state.x)",
    "xds.node.id == 'n'",
    "connection.termination_details == ''",
    "has(connection.termination_details)",
    f"{TIME}.getHours('Nowhere/At_All') == 23",
    "request.path.getHours() == 1",
    "bool('yes')",
)


@pytest.mark.parametrize("expression", [*TRUE, *TIMES])
def test_the_stream_is_logged(expression: str) -> None:
    assert compile_expression(expression)(_stream()) is True


@pytest.mark.parametrize("expression", FALSE)
def test_the_stream_is_not_logged(expression: str) -> None:
    assert compile_expression(expression)(_stream()) is False


REFUSED = {
    "response.code >=": "mismatched input '<EOF>'",
    "": "mismatched input '<EOF>'",
    "1 +": "mismatched input '<EOF>'",
    "a ? b": "expecting ':'",
    "a # b": "token recognition error",
    "[1, 2].exists(x, x == 1)": "Comprehension support is disabled",
    "string(1) == '1'": "No overload found in reference resolve step for string",
    "cel.bind(x, 1, x == 1)": "No overload found in reference resolve step for bind",
    "getHours(1, 2, 3) == 1": "No overload found in reference resolve step for getHours",
    "nope(1)": "No overload found in reference resolve step for nope",
    "request.path.lowerAscii() == 'x'": "No overload found in reference resolve step for lowerAscii",
    'has(request.headers["x"])': "has() argument must be a field selection",
    "request.path.matches('^/a[')": "unsupported RE2 pattern for matches",
}


@pytest.mark.parametrize(("expression", "message"), REFUSED.items(), ids=list(REFUSED))
def test_what_envoy_refuses_is_refused(expression: str, message: str) -> None:
    with pytest.raises(FormatRefused) as refused:
        compile_expression(expression)
    assert message in str(refused.value)


@pytest.mark.parametrize("info", [http_stream(), tcp_stream()], ids=["a request", "a connection"])
def test_an_upstream_that_was_asked_has_an_empty_reason_for_failing(info: StreamInfo) -> None:
    assert compile_expression("upstream.transport_failure_reason == ''")(info)


def test_a_connection_has_no_request() -> None:
    info = tcp_stream()
    assert compile_expression("response.code >= 400 || connection.requested_server_name == 'blocked.example.org'")(info)
    assert not compile_expression("request.headers['x'] == 'y'")(info)
    assert compile_expression("xds.cluster_name == 'BlackHoleCluster' && response.flags != 0")(info)
