"""Every operator prints what a real Envoy 1.39 printed for the same request."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sandbox.access_log.format import FormatRefused, LogEnvironment, compile_line
from sandbox.plan.access_log import SubstitutionFormatString
from sandbox.plan.base import DataSource
from tests.access_log.stream import http_stream, tcp_stream

ENVIRONMENT = LogEnvironment(hostname="node-1", variables={"FOO": "bar"})

HTTP = {
    "%REQ(X-LONG):3%": b'"abc"',
    "%REQ(DUP)%": b'"a"',
    "%REQ(NOPE?X-LONG)%": b'"abcdef"',
    "%REQ(NOPE?DUP):2%": b'"a"',
    "%REQ(X-EMPTY)%": b'""',
    "%REQ(NOPE)%": b"null",
    "%REQ(HOST)%": b'"svc.example.com:81"',
    "a%REQ(X-EMPTY)%b%REQ(NOPE)%": b'"ab-"',
    "%REQUEST_HEADER(:METHOD)%": b'"GET"',
    "%RESP(CONTENT-TYPE)%": b'"text/plain"',
    "%RESP(:STATUS)%": b'"200"',
    "%TRAILER(A)%": b"null",
    "%PATH(NQ)%": b'"/a/b"',
    "%PATH(NQ):3%": b'"/a/"',
    "%PATH%": b'"/a/b?a=1%20x&b&c=2"',
    "%PATH(WQ:ORIG)%": b"null",
    "%REQ_WITHOUT_QUERY(:PATH)%": b'"/a/b"',
    "%QUERY_PARAM(a)%": b'"1 x"',
    "%QUERY_PARAM(b)%": b'""',
    "%QUERY_PARAM(zz)%": b"null",
    "%QUERY_PARAM(a):1%": b'"1"',
    "%QUERY_PARAMS%": b'"a=1%20x&b&c=2"',
    "%QUERY_PARAMS(DECODED)%": b'"a=1%20x&b&c=2"',
    "%QUERY_PARAMS(ORIG):3%": b'"a=1"',
    "%RESPONSE_CODE%": b"200",
    "x%RESPONSE_CODE%": b'"x200"',
    "%RESPONSE_CODE_DETAILS%": b'"via_upstream"',
    "%RESPONSE_FLAGS%": b'"-"',
    "%RESPONSE_FLAGS_LONG%": b'"-"',
    "%START_TIME%": b'"2025-11-20T17:39:49.618Z"',
    "%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%": b'"2025/11/20 17:39:49.618"',
    "%START_TIME(%s)%": b'"1763660389"',
    "%START_TIME(%s.%6f)%": b'"1763660389.618000"',
    "%START_TIME(%E3S %Ez %Z %%)%": b'"49.618 +00:00 UTC %"',
    "%EMIT_TIME(%Y)%": b'"2025"',
    "%DURATION%": b"2",
    "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG)%": b"null",
    "%COMMON_DURATION(DS_CX_BEG:DS_CX_END)%": b"null",
    "%COMMON_DURATION(DS_CX_BEG:DS_RX_BEG)%": b"250",
    "%CONNECTION_ID%": b"7",
    "%UPSTREAM_CONNECTION_ID%": b"8",
    "%UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID%": b'""',
    "%DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID%": b'""',
    "%COMMON_DURATION(FOO:DS_RX_BEG)%": b"null",
    "%DOWNSTREAM_REMOTE_ADDRESS%": b'"10.244.0.10:35767"',
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%": b'"10.244.0.10"',
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%": b'"10.244.0.0/16"',
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(33)%": b'"10.244.0.10/32"',
    "%DOWNSTREAM_LOCAL_PORT%": b"80",
    "p%DOWNSTREAM_LOCAL_PORT%": b'"p80"',
    "%DOWNSTREAM_DIRECT_LOCAL_ADDRESS%": b'"203.0.113.10:80"',
    "%UPSTREAM_REMOTE_ADDRESS%": b'"203.0.113.10:80"',
    "%UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT%": b'"203.0.113.10"',
    "%UPSTREAM_CLUSTER%": b'"outbound|80||svc.example.com;"',
    "%UPSTREAM_CLUSTER_RAW%": b'"outbound|80||svc.example.com"',
    "%UPSTREAM_REQUEST_ATTEMPT_COUNT%": b"1",
    "%ROUTE_NAME%": b'"default"',
    "%METADATA(ROUTE:ns:k)%": b'"v"',
    "%METADATA(ROUTE:ns:n)%": b"7",
    "%METADATA(ROUTE:ns:o)%": b'{"a":"x\\"y","z":[1,true,null]}',
    "x%METADATA(ROUTE:ns:o)%": b'"x{\\"a\\":\\"x\\\\\\"y\\",\\"z\\":[1,true,null]}"',
    "%DYNAMIC_METADATA(istio.mixer:status)%": b"null",
    "%FILTER_STATE(x:PLAIN)%": b"null",
    "%REQUESTED_SERVER_NAME%": b"null",
    "%REQUESTED_SERVER_NAME(SNI_FIRST)%": b'"asked.example.com"',
    "%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%": b'"asked.example.com"',
    "%REQUESTED_SERVER_NAME(HOST_FIRST:HOST)%": b'"svc.example.com:81"',
    "%UPSTREAM_DETECTED_CLOSE_TYPE%": b'"Normal"',
    "%DOWNSTREAM_LOCAL_CLOSE_REASON%": b"null",
    "%UPSTREAM_CONNECTION_POOL_READY_DURATION%": b"1",
    "%UNIQUE_ID%": b'"00000000-0000-4000-8000-000000000000"',
    "%STREAM_ID%": b'"5eef9ce6-67f4-4c53-b67d-0a3ccf51226f"',
    "%ACCESS_LOG_TYPE%": b'"DownstreamEnd"',
    "%LOCAL_REPLY_BODY%": b'""',
    "%TRACE_ID%": b"null",
    "%VIRTUAL_CLUSTER_NAME%": b"null",
    "%HOSTNAME%": b'"node-1"',
    "%ENVIRONMENT(FOO):2%": b'"ba"',
    "%ENVIRONMENT(NOPE)%": b'"-"',
    "%GRPC_STATUS%": b"null",
    "100%% %PROTOCOL%": b'"100% HTTP/1.1"',
    "text": b'"text"',
    "": b'""',
}

UPSTREAM_CERTIFICATE = {
    "%UPSTREAM_PEER_CERT%": b'"-----BEGIN%20CERTIFICATE-----%0AMAA%3D%0A-----END%20CERTIFICATE-----%0A"',
    "%UPSTREAM_PEER_ISSUER%": b'"CN=ca"',
    "%UPSTREAM_PEER_IP_SAN%": b'"10.0.0.1,10.0.0.2"',
    "%UPSTREAM_LOCAL_URI_SAN%": b'"spiffe://own"',
    "%UPSTREAM_LOCAL_DNS_SAN%": b"null",
}


@pytest.mark.parametrize(("text", "printed"), UPSTREAM_CERTIFICATE.items(), ids=str)
def test_the_certificates_of_an_upstream_connection(text: str, printed: bytes) -> None:
    peer = SimpleNamespace(issuer="CN=ca", ip_addresses=("10.0.0.1", "10.0.0.2"))
    own = SimpleNamespace(uris=("spiffe://own",), dns_names=())
    info = http_stream()
    info.upstream_tls = SimpleNamespace(peer=peer, own=own, peer_certificate=b"0\0")

    assert compile_line(_json(text), ENVIRONMENT)(info) == b'{"k":' + printed + b"}\n"


def test_tcp_tells_the_host_that_could_not_be_reached() -> None:
    info = tcp_stream()
    info.upstream_host = "127.0.0.2:37531"

    assert compile_line(_json("%UPSTREAM_HOSTS_ATTEMPTED%"), ENVIRONMENT)(info) == b'{"k":"127.0.0.2:37531"}\n'


TCP = {
    "%RESPONSE_CODE%": b"0",
    "%RESPONSE_FLAGS%": b'"UF,URX"',
    "%RESPONSE_FLAGS_LONG%": b'"UpstreamConnectionFailure,UpstreamRetryLimitExceeded"',
    "%PROTOCOL%": b"null",
    "%DOWNSTREAM_LOCAL_CLOSE_REASON%": b'"tcp_initializion_failure:0"',
    "%UPSTREAM_DETECTED_CLOSE_TYPE%": b'"Normal"',
    "%UPSTREAM_CONNECTION_POOL_READY_DURATION%": b"0",
    "%STREAM_ID%": b'"00000000-0000-4000-8000-000000000000"',
    "%REQUESTED_SERVER_NAME(HOST_FIRST)%": b'"blocked.example.org"',
    "%REQUESTED_SERVER_NAME%": b'"blocked.example.org"',
    "%FILTER_CHAIN_NAME%": b'"PassthroughFilterChain"',
    "%ACCESS_LOG_TYPE%": b'"TcpConnectionEnd"',
    "%COMMON_DURATION(DS_CX_BEG:DS_CX_END:us)%": b"5e+05",
    "%UPSTREAM_REMOTE_ADDRESS%": b"null",
    "%ROUTE_NAME%": b"null",
}


def _json(operator: str) -> SubstitutionFormatString:
    return SubstitutionFormatString(json_format={"k": operator})


@pytest.mark.parametrize(("operator", "value"), HTTP.items(), ids=list(HTTP))
def test_operator_of_a_request_as_a_json_value(operator: str, value: bytes) -> None:
    assert compile_line(_json(operator), ENVIRONMENT)(http_stream()) == b'{"k":' + value + b"}\n"


@pytest.mark.parametrize(("operator", "value"), TCP.items(), ids=list(TCP))
def test_operator_of_a_connection_as_a_json_value(operator: str, value: bytes) -> None:
    assert compile_line(_json(operator), ENVIRONMENT)(tcp_stream()) == b'{"k":' + value + b"}\n"


GRPC = {
    "%GRPC_STATUS%": b"Unavailable",
    "%GRPC_STATUS(SNAKE_STRING)%": b"UNAVAILABLE",
    "%GRPC_STATUS(NUMBER)%": b"14",
    "%GRPC_STATUS_NUMBER%": b"14",
}


@pytest.mark.parametrize(("operator", "text"), GRPC.items(), ids=list(GRPC))
def test_grpc_status_is_read_from_trailers(operator: str, text: bytes) -> None:
    info = http_stream()
    info.request_headers = [(b"content-type", b"application/grpc+proto")]
    info.response_trailers = [(b"grpc-status", b"14")]
    log_format = SubstitutionFormatString(text_format_source=DataSource(inline_string=operator))
    assert compile_line(log_format, ENVIRONMENT)(info) == text


REFUSED = {
    "%NOPE%": "Not supported field in StreamInfo: NOPE",
    "%RESPONSE_FLAGS:2%": "RESPONSE_FLAGS does not take any parameters or length",
    "%RESPONSE_CODE(x)%": "RESPONSE_CODE does not take any parameters or length",
    "%REQ%": "REQ requires parameters",
    "%REQ()%": "REQ requires parameters",
    "%REQ(a?b?c)%": "More than 1 alternative header specified in token: a?b?c",
    "%REQ(a%": "Incorrect configuration: %REQ(a%. Couldn't find valid command at position 0",
    "100%": "Incorrect configuration: 100%. Couldn't find valid command at position 3",
    "%START_TIME:3%": "START_TIME does not allow length to be specified.",
    "%START_TIME(%n)%": "Invalid header configuration. Format string contains newline.",
    "%GRPC_STATUS(FOO)%": "GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER. Got: FOO",
    "%COMMON_DURATION(DS_RX_BEG)%": "Invalid common duration configuration: DS_RX_BEG.",
    "%FILTER_STATE(a:FOO)%": "Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.",
    "%PATH(XX)%": "Invalid PATH option: 'XX', only 'WQ'/'NQ' are allowed",
    "%DYNAMIC_METADATA()%": "DYNAMIC_METADATA requires parameters",
    "%CLUSTER_METADATA(x):5%": "CLUSTER_METADATA does not allow length to be specified.",
    "%METADATA%": " is not supported type of metadata",
    "%FILTER_STATE%": "Invalid filter state configuration, key cannot be empty.",
    "%QUERY_PARAMS(x)%": "Invalid QUERY_PARAMS option: 'x', only 'ORIG'/'DECODED' are allowed",
    "%REQ(x y)%": "Invalid header configuration. Format string contains invalid characters.",
    "%RESP(:x:y)%": "Invalid header configuration. Format string contains invalid characters.",
    "%REQUESTED_SERVER_NAME(SNI_ONLY:FOO)%": (
        "Invalid REQUESTED_SERVER_NAME option: 'FOO', only 'ORIG_OR_HOST'/'HOST'/'ORIG' are allowed"
    ),
    "%UPSTREAM_LOCAL_SUBJECT%": "Not supported field in StreamInfo: UPSTREAM_LOCAL_SUBJECT",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=list(REFUSED))
def test_what_envoy_refuses_is_refused_in_its_words(text: str, message: str) -> None:
    with pytest.raises(FormatRefused) as refused:
        compile_line(_json(text), ENVIRONMENT)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("query", "decoded"),
    [
        ("%41=%7e%2F%26", "A=~/&"),
        ("a=%20%7f%00%c3", "a=%20%7f%00%c3"),
        ("a=%2520", "a=%20"),
        ("%22%3c%3E%5C%5e%7B%7c%7D", "%22%3c%3E%5C%5e%7B%7c%7D"),
        ("a=%zz&%%41", "a=zz&A"),
        ("%4", "%4"),
        ("%%%", "%%"),
    ],
)
def test_only_visible_characters_of_a_query_are_decoded(query: str, decoded: str) -> None:
    stream = http_stream()
    stream.path = f"/?{query}".encode()
    assert compile_line(_json("%QUERY_PARAMS(DECODED)%"), ENVIRONMENT)(stream) == f'{{"k":"{decoded}"}}\n'.encode()


def test_empty_brackets_are_no_argument() -> None:
    assert compile_line(_json("%RESPONSE_CODE()%"), ENVIRONMENT)(http_stream()) == b'{"k":200}\n'


def test_a_request_refused_by_the_codec_has_no_host() -> None:
    info = http_stream()
    info.route_configuration = None
    assert compile_line(_json("%REQUESTED_SERVER_NAME(HOST_FIRST)%"), ENVIRONMENT)(info) == b'{"k":null}\n'


def test_a_host_that_was_not_reached_was_not_attempted() -> None:
    info = http_stream()
    info.upstream_local_address = None
    line = compile_line(_json("%UPSTREAM_HOSTS_ATTEMPTED%,%UPSTREAM_HOST%"), ENVIRONMENT)(info)
    assert line == b'{"k":"-,203.0.113.10:80"}\n'
