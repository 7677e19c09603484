"""A stream for the tests of this folder: one request that was answered by an upstream."""

from __future__ import annotations

from sandbox.access_log.stream_info import StreamInfo
from sandbox.plan.base import Metadata
from sandbox.plan.listener import FilterChain
from sandbox.plan.route import Route, RouteConfiguration, VirtualHost


def http_stream() -> StreamInfo:
    """``GET http://svc.example.com:81/a/b?a=1%20x&b&c=2``, answered 200 after 2.5 ms."""
    info = StreamInfo(100.0, 1_763_660_389.618)
    info.end = 100.0025
    info.is_http = True
    info.connection_id, info.upstream_connection_id = 7, 8
    info.connection_start = 99.75
    info.method, info.scheme, info.protocol = b"GET", b"http", "HTTP/1.1"
    info.path, info.authority = b"/a/b?a=1%20x&b&c=2", b"svc.example.com:81"
    info.request_headers = [
        (b"user-agent", b"ua/1"),
        (b"x-long", b"abcdef"),
        (b"dup", b"a"),
        (b"dup", b"b"),
        (b"x-empty", b""),
        (b"x-user-type", b"dev"),
        (b"x-envoy-original-host", b"asked.example.com"),
        (b"x-request-id", b"5eef9ce6-67f4-4c53-b67d-0a3ccf51226f"),
    ]
    info.response_headers = [(b"content-type", b"text/plain"), (b"x-envoy-upstream-service-time", b"1")]
    info.response_code, info.response_code_details = 200, "via_upstream"
    info.bytes_sent, info.upstream_request_attempt_count = 2, 1
    info.downstream_remote_address, info.downstream_local_address = "10.244.0.10:35767", "203.0.113.10:80"
    info.upstream_cluster_name, info.upstream_host = "outbound|80||svc.example.com", "203.0.113.10:80"
    info.upstream_local_address = "10.244.0.10:54384"
    metadata = Metadata(filter_metadata={"ns": {"k": "v", "n": 7, "o": {"z": [1, True, None], "a": 'x"y'}}})
    info.route = Route(name="default", metadata=metadata)
    info.route_configuration = RouteConfiguration(name="80")
    info.upstream_wait_start, info.upstream_wait_end = 100.0005, 100.002
    info.virtual_host = VirtualHost(name="svc.example.com:80")
    info.filter_chain = FilterChain(name="")
    return info


def tcp_stream() -> StreamInfo:
    """A TCP connection that found no healthy host."""
    info = StreamInfo(100.0, 1_763_660_389.0)
    info.end = 100.5
    info.connection_start = 100.0
    info.requested_server_name = "blocked.example.org"
    info.response_flags = ["UF", "URX"]
    info.upstream_cluster_name = "BlackHoleCluster"
    info.filter_chain = FilterChain(name="PassthroughFilterChain")
    return info
