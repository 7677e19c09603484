"""The values behind those command operators that are more than a field of StreamInfo."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sandbox.access_log.grpc_status import HeaderMap, grpc_status, is_grpc
from sandbox.access_log.json_text import encode, structure_value
from sandbox.access_log.stream_info import CLIENT_RESET, DENIED, IDLE, OUTLIVED, StreamInfo
from sandbox.wire.http_message import Header

# --- text ---


def text(value: bytes | None) -> str | None:
    """Bytes of a header as text; what is not UTF-8 survives as surrogates."""
    return None if value is None else value.decode("utf-8", "surrogateescape")


def text_of_length(value: bytes | None, max_length: int) -> str | None:
    """At most ``max_length`` bytes."""
    return None if value is None else value[:max_length].decode("utf-8", "surrogateescape")


def truncated(value: str, max_length: int | None) -> str:
    """At most ``max_length`` bytes of its UTF-8."""
    if max_length is None:
        return value
    return value.encode("utf-8", "surrogateescape")[:max_length].decode("utf-8", "surrogateescape")


def path_text(path: bytes | None, with_query: bool, max_length: int | None) -> str | None:
    """A path with or without its query."""
    if path is None:
        return None
    return text((path if with_query else path.partition(b"?")[0])[:max_length])


def bare_text(value: str | None, max_length: int | None) -> str | None:
    """A path's text up to its query."""
    return None if value is None else truncated(value.partition("?")[0], max_length)


# --- headers ---


def header_map(headers: Sequence[Header]) -> dict[bytes, bytes]:
    """Header name to value; of a repeated name the first value, which is what Envoy's operators print.

    (Headers that are lists by Envoy's book were joined by the codec.)
    """
    found = dict(headers)
    return found if len(found) == len(headers) else dict(reversed(headers))


def joined_header_map(headers: Iterable[Header]) -> dict[bytes, bytes]:
    """Header name to all its values, joined with ``,``: what CEL sees."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found[name] = found[name] + b"," + value if name in found else value
    return found


def _size(headers: Iterable[Header]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


def request_headers_size(info: StreamInfo) -> int:
    """Names and values of all request headers, the pseudo headers among them."""
    pseudo = ((b":method", info.method), (b":path", info.path), (b":authority", info.authority))
    size = _size(info.request_headers) + sum(len(name) + len(value) for name, value in pseudo if value is not None)
    return size + (len(b":scheme") + len(info.scheme) if info.scheme is not None else 0)


def response_headers_size(info: StreamInfo) -> int:
    """Names and values of all response headers, ``:status`` among them."""
    return _size(info.response_headers) + (len(f":status{info.response_code}") if info.response_headers else 0)


def response_trailers_size(info: StreamInfo) -> int:
    """Names and values of the response's trailers."""
    return _size(info.response_trailers)


def request_id(info: StreamInfo) -> str | None:
    """``x-request-id`` of an HTTP request."""
    return next((text(value) for name, value in info.request_headers if name == b"x-request-id"), None)


def stream_grpc_status(info: StreamInfo, request: HeaderMap, response: HeaderMap, trailers: HeaderMap) -> int | None:
    """Only for gRPC requests."""
    if info.path is None or not is_grpc(request):
        return None
    return grpc_status(trailers, response, info.response_code)


# --- connection ---

_INVALID_IN_HOST: Final = re.compile(r"[^0-9A-Za-z.\-_]")


def server_name(info: StreamInfo) -> str | None:
    """The SNI; characters that no host name has become ``_``."""
    name = info.requested_server_name
    return None if not name else _INVALID_IN_HOST.sub("_", name)


def _host(info: StreamInfo, which: str) -> str | None:
    """The request's host: as the client named it (ORIG), as it is now (HOST), or the first of both there is."""
    if info.route_configuration is None:
        return None  # refused before filters saw its headers
    original = None
    if which != "HOST":
        original = next((value for name, value in info.request_headers if name == b"x-envoy-original-host"), None)
    return text(original if original is not None or which == "ORIG" else info.authority)


def server_name_first(info: StreamInfo, which: str) -> str | None:
    """The SNI, else the request's host."""
    name = server_name(info)
    return name if name is not None else _host(info, which)


def host_first(info: StreamInfo, which: str) -> str | None:
    """The request's host, else the SNI."""
    host = _host(info, which)
    return host if host is not None else server_name(info)


def alternative_cluster_name(info: StreamInfo) -> str | None:
    """istiod sets ``alt_stat_name`` to the name and a semicolon (which ends the name in its statistics)."""
    return f"{info.upstream_cluster_name};" if info.upstream_cluster_name else None


def upstream_host_name(info: StreamInfo) -> str | None:
    """The DNS name of the host, else its address."""
    return info.upstream_host_name or info.upstream_host


def upstream_host_name_without_port(info: StreamInfo) -> str | None:
    """The same without a port."""
    name = upstream_host_name(info)
    return None if name is None else re.sub(r":[0-9]+$", "", name)


def host_of_last_try_without_port(info: StreamInfo) -> str | None:
    """The host that was reached, without its port."""
    return address_without_port(host_of_last_try(info), None)


def host_of_last_try(info: StreamInfo) -> str | None:
    """The host that was reached; of TCP also one that was not."""
    return upstream_remote(info) if info.is_http else info.upstream_host or info.upstream_host_tried


def pool_ready_duration(info: StreamInfo) -> int | None:
    """Milliseconds that the last try waited for a connection, or for the news that there is none."""
    if info.upstream_wait_start is not None:
        return span(info.upstream_wait_start, info.upstream_wait_end, 1_000)
    return 0 if _asked_for_host(info) else None


def _asked_for_host(info: StreamInfo) -> bool:
    return info.upstream_host is not None or not (info.is_http or info.upstream_cluster_name is None)


def upstream_close_type(info: StreamInfo) -> str | None:
    """Of the upstream connection: only seen where a host was asked for, or there was no room for another."""
    if not info.is_http and "UR" in info.response_flags:
        return "RemoteReset"
    no_host = "UO" in info.response_flags or (not info.is_http and "NC" in info.response_flags)
    return "Normal" if no_host or _asked_for_host(info) else None


def downstream_close_type(info: StreamInfo) -> str:
    """Of the client's connection; an HTTP request is logged before its end is seen."""
    if info.tcp_end == CLIENT_RESET:
        return "RemoteReset"
    return "LocalReset" if not info.is_http and "UR" in info.response_flags else "Normal"


_LIMITS: Final[Mapping[str | None, str]] = {
    IDLE: "tcp_session_idle_timeout",
    OUTLIVED: "max_connection_duration_reached",
}
_LOCAL_CLOSES: Final[Mapping[str | None, str]] = {**_LIMITS, DENIED: "rbac_deny_close"}
_INITIALIZATION_FAILURES: Final = {"UF": 0, "UH": 1, "UO": 2, "NC": 3}
"""``TcpProxy::UpstreamFailureReason``."""


def local_close_reason(info: StreamInfo) -> str | None:
    """Why Envoy closed a TCP client's connection; spelled as Envoy does."""
    if info.is_http:
        return None
    if info.tcp_end in _LOCAL_CLOSES:
        return _LOCAL_CLOSES[info.tcp_end]
    for flag in info.response_flags:
        if flag in _INITIALIZATION_FAILURES:
            return f"tcp_initializion_failure:{_INITIALIZATION_FAILURES[flag]}"
    return None


def upstream_local_close_reason(info: StreamInfo) -> str | None:
    """Why Envoy closed the upstream's connection of a TCP client, where it stood and was no tunnel."""
    return None if info.is_http or info.upstream_connect_end is None else _LIMITS.get(info.tcp_end)


def filter_chain_name(info: StreamInfo) -> str | None:
    """istiod names only some chains."""
    return (info.filter_chain.name or None) if info.filter_chain is not None else None


def access_log_type(info: StreamInfo) -> str:
    """Lines are written at the end only; a listener's own, of connections without a filter chain, have no type."""
    if info.filter_chain is None and not info.is_http:
        return "NotSet"
    return "DownstreamEnd" if info.is_http else "TcpConnectionEnd"


def span(begin: float | None, end: float | None, per_second: int) -> int | None:
    """Time between two moments, cut to whole units; ``None`` where one is missing or they are out of order."""
    if begin is None or end is None or end < begin:
        return None
    return int((end - begin) * per_second + 1e-6)


# --- addresses ---


def upstream_local(info: StreamInfo) -> str | None:
    """Our end of the upstream connection."""
    return info.upstream_local_address


def upstream_remote(info: StreamInfo) -> str | None:
    """The other end; only where a connection came about. One by a Unix socket has no address of ours."""
    host = info.upstream_host
    if info.upstream_local_address is not None or host is None:
        return host
    return host if host.startswith("/") and info.upstream_connection_id else None


def upstream_endpoint_id(info: StreamInfo) -> str | None:
    """Only Envoy's own kind of address has one; an IP address has an empty one."""
    return None if info.upstream_local_address is None else ""


def downstream_local(info: StreamInfo) -> str | None:
    """Where the client meant to go."""
    return info.downstream_local_address


def downstream_remote(info: StreamInfo) -> str | None:
    """The client, perhaps as ``x-forwarded-for`` names it."""
    return info.downstream_remote_address


def downstream_direct_local(info: StreamInfo) -> str | None:
    """Where the connection really arrived."""
    return info.downstream_direct_local_address or info.downstream_local_address


def downstream_direct_remote(info: StreamInfo) -> str | None:
    """The peer of the connection."""
    return info.downstream_direct_remote_address or info.downstream_remote_address


def address_without_port(address: str | None, mask: int | None) -> str | None:
    """The IP, or with ``mask`` its network (``10.1.0.0/16``); no port, no brackets."""
    if address is None:
        return None
    ip = address.rpartition(":")[0].strip("[]") if not address.startswith("/") else address
    if mask is None:
        return ip
    try:
        bits = ipaddress.ip_address(ip).max_prefixlen
        return str(ipaddress.ip_network(f"{ip}/{min(mask, bits)}", strict=False))
    except ValueError:
        return None


def port_number(address: str | None) -> int | None:
    """The port alone."""
    port = "" if address is None else address.rpartition(":")[2]
    return int(port) if port.isdigit() else None


# --- certificates ---


def peer_certificate_pem(info: StreamInfo) -> str | None:
    """The client's certificate as URL-encoded PEM."""
    return _escaped_pem(info.downstream_peer_certificate)


def upstream_certificate_pem(info: StreamInfo) -> str | None:
    """The upstream's."""
    return _escaped_pem(None if info.upstream_tls is None else info.upstream_tls.peer_certificate)


def _escaped_pem(der: bytes | None) -> str | None:
    if der is None:
        return None
    body = base64.encodebytes(der).replace(b"\n", b"").decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    pem = "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])
    return "".join(_URL_ESCAPES.get(character, character) for character in pem)


_URL_ESCAPES: Final = {"\n": "%0A", " ": "%20", "+": "%2B", "/": "%2F", "=": "%3D"}


def peer_fingerprint_256(info: StreamInfo) -> str | None:
    """SHA-256 of the client's certificate, in hexadecimal."""
    der = info.downstream_peer_certificate
    return None if der is None else hashlib.sha256(der).hexdigest()


def peer_fingerprint_1(info: StreamInfo) -> str | None:
    """SHA-1 of the client's certificate, in hexadecimal."""
    der = info.downstream_peer_certificate
    return None if der is None else hashlib.sha1(der, usedforsecurity=False).hexdigest()


# --- metadata ---

FilterMetadata = Mapping[str, Mapping[str, object]]


def dynamic_metadata(info: StreamInfo) -> FilterMetadata | None:
    """What filters said of the stream."""
    return info.dynamic_metadata


def cluster_metadata(info: StreamInfo) -> FilterMetadata | None:
    """Metadata of the upstream cluster."""
    metadata = info.cluster.metadata if info.cluster is not None else None
    return metadata.filter_metadata if metadata is not None else None


def upstream_host_metadata(info: StreamInfo) -> FilterMetadata | None:
    """Metadata of the endpoint."""
    return info.upstream_host_metadata


def route_metadata(info: StreamInfo) -> FilterMetadata | None:
    """Metadata of the route."""
    metadata = info.route.metadata if info.route is not None else None
    return metadata.filter_metadata if metadata is not None else None


def listener_metadata(info: StreamInfo) -> FilterMetadata | None:
    """Metadata of the listener."""
    metadata = info.listener.metadata if info.listener is not None else None
    return metadata.filter_metadata if metadata is not None else None


def no_metadata(_info: StreamInfo) -> FilterMetadata | None:
    """Nothing carries it."""
    return None


def metadata_at(metadata: FilterMetadata | None, path: tuple[str, ...], max_length: int | None) -> object:
    """The value at a path, ready for the JSON encoder; only text is cut to ``max_length``."""
    value: object = metadata
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return truncated(value, max_length) if isinstance(value, str) else structure_value(value)


def filter_state(info: StreamInfo, key: str, member: str, max_length: int | None) -> object:
    """An object of the filter state, or one field of it."""
    value = (info.filter_state or {}).get(key)
    if member:
        value = value.get(member) if isinstance(value, Mapping) else None
    return truncated(value, max_length) if isinstance(value, str) else structure_value(value)


def as_text(value: object) -> str:
    """A structure inside text: strings as they are, all else as JSON, ``-`` for nothing."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else encode(value).decode()
