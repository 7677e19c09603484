"""The attributes that CEL expressions may name: request, response, connection, upstream, xds (Envoy's vocabulary)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sandbox.access_log import operator_values as values
from sandbox.access_log import query_values
from sandbox.access_log.grpc_status import grpc_status
from sandbox.access_log.response_flags import BITS
from sandbox.access_log.stream_info import StreamInfo
from sandbox.wire.http_message import Header

MISSING: Final = object()
"""What ``get`` gives for an attribute that the stream does not have."""

Reader = Callable[[StreamInfo], Any]


class MessageFields(dict[str, Any]):
    """Of a protobuf message: an empty one can be read, but ``has()`` does not find it."""


class Attributes(Mapping[str, Any]):
    """One group of attributes, read when asked for; ``None`` counts as not there."""

    __slots__ = ("_info", "_readers")

    def __init__(self, readers: Mapping[str, Reader], info: StreamInfo) -> None:
        self._readers = readers
        self._info = info

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or ``default``."""
        reader = self._readers.get(key)
        value = None if reader is None else reader(self._info)
        return default if value is None else value

    def __getitem__(self, key: str) -> Any:
        value = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return (key for key in self._readers if self.get(key) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class HeaderAttributes(Mapping[str, str]):
    """Headers by name in any case; repeated ones joined with ``,``."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Mapping[bytes, bytes]) -> None:
        self._headers = headers

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or ``default``."""
        name = str(key).lower().encode()
        value = self._headers.get(b":authority" if name == b"host" else name)
        return default if value is None else value.decode("utf-8", "surrogateescape")

    def __getitem__(self, key: str) -> str:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return str(value)

    def __iter__(self) -> Iterator[str]:
        return (name.decode("utf-8", "surrogateescape") for name in self._headers)

    def __len__(self) -> int:
        return len(self._headers)


def _request_headers(info: StreamInfo) -> HeaderAttributes | None:
    if not info.is_http:
        return None
    pseudo = (
        (b":authority", info.authority),
        (b":method", info.method),
        (b":path", info.path),
        (b":scheme", info.scheme),
    )
    headers: list[Header] = [(name, value) for name, value in pseudo if value is not None]
    return HeaderAttributes(values.joined_header_map(headers + list(info.request_headers)))


def _response_headers(info: StreamInfo) -> HeaderAttributes | None:
    if not info.is_http:
        return None
    status: list[Header] = [(b":status", b"%d" % info.response_code)] if info.response_code is not None else []
    return HeaderAttributes(values.joined_header_map(status + list(info.response_headers)))


def _response_trailers(info: StreamInfo) -> HeaderAttributes | None:
    return HeaderAttributes(values.joined_header_map(info.response_trailers)) if info.is_http else None


def _header(name: bytes) -> Reader:
    return lambda info: next((values.text(value) for key, value in info.request_headers if key == name), None)


def _url_path(info: StreamInfo) -> str | None:
    return values.path_text(info.path, False, None)


def _query(info: StreamInfo) -> str | None:
    return None if info.path is None else query_values.query(info, False, None) or ""


def _content_length(info: StreamInfo) -> int | None:
    if not info.is_http:
        return None
    length = _header(b"content-length")(info)
    return int(length) if length is not None and length.isdigit() else info.bytes_received


def _total_request_size(info: StreamInfo) -> int | None:
    return info.bytes_received + values.request_headers_size(info) if info.is_http else None


def _total_response_size(info: StreamInfo) -> int:
    return info.bytes_sent + values.response_headers_size(info) + values.response_trailers_size(info)


def _flags(info: StreamInfo) -> int:
    return sum(BITS.get(flag, 0) for flag in info.response_flags)


def _grpc_status(info: StreamInfo) -> int | None:
    """Of every stream with a status, whether it is gRPC or not."""
    trailers, headers = values.header_map(info.response_trailers), values.header_map(info.response_headers)
    return grpc_status(trailers, headers, info.response_code)


def _between(begin: str, end: str) -> Reader:
    def read(info: StreamInfo) -> timedelta | None:
        first, last = getattr(info, begin), getattr(info, end)
        return None if first is None or last is None else timedelta(seconds=last - first)

    return read


def _time(info: StreamInfo) -> datetime:
    return datetime.fromtimestamp(info.start_wall, UTC)


def _port(read: Callable[[StreamInfo], str | None]) -> Reader:
    return lambda info: values.port_number(read(info))


def _metadata(read: Callable[[StreamInfo], values.FilterMetadata | None]) -> Reader:
    def metadata(info: StreamInfo) -> Mapping[str, object] | None:
        found = read(info)
        return None if found is None else {"filter_metadata": found}

    return metadata


REQUEST: Final[Mapping[str, Reader]] = {
    "path": lambda info: values.text(info.path),
    "url_path": _url_path,
    "query": _query,
    "host": lambda info: values.text(info.authority),
    "scheme": lambda info: values.text(info.scheme),
    "method": lambda info: values.text(info.method),
    "headers": _request_headers,
    "referer": _header(b"referer"),
    "useragent": _header(b"user-agent"),
    "id": _header(b"x-request-id"),
    "time": _time,
    "protocol": lambda info: info.protocol,
    "duration": _between("start", "end"),
    "size": _content_length,
    "total_size": _total_request_size,
}
RESPONSE: Final[Mapping[str, Reader]] = {
    "code": lambda info: info.response_code,
    "code_details": lambda info: info.response_code_details,
    "flags": _flags,
    "grpc_status": _grpc_status,
    "headers": _response_headers,
    "trailers": _response_trailers,
    "size": lambda info: info.bytes_sent,
    "total_size": _total_response_size,
    "backend_latency": _between("last_upstream_tx", "first_upstream_rx"),
}
CONNECTION: Final[Mapping[str, Reader]] = {
    "id": lambda info: info.connection_id,
    "mtls": lambda info: info.downstream_tls_version is not None and info.downstream_peer_subject is not None,
    "requested_server_name": lambda info: values.server_name(info) or "",
    "tls_version": lambda info: info.downstream_tls_version,
    "subject_peer_certificate": lambda info: info.downstream_peer_subject,
    "uri_san_peer_certificate": lambda info: info.downstream_peer_uri_san,
    "sha256_peer_certificate_digest": values.peer_fingerprint_256,
    "termination_details": lambda info: info.connection_termination_details,
    "transport_failure_reason": lambda info: info.downstream_transport_failure_reason,
}


def _transport_failure_reason(info: StreamInfo) -> str | None:
    """Empty where an upstream was asked and did not fail."""
    was_asked = info.upstream_request_attempt_count > 0 if info.is_http else info.upstream_cluster_name is not None
    return info.upstream_transport_failure_reason or ("" if was_asked else None)


def _pool_ready_duration(info: StreamInfo) -> timedelta | None:
    """Until there was a connection, or the news that there is none."""
    if info.upstream_wait_start is None:
        begin, end = info.start, info.first_upstream_tx
    else:
        begin, end = info.upstream_wait_start, info.upstream_wait_end
    return None if end is None else timedelta(seconds=end - begin)


UPSTREAM: Final[Mapping[str, Reader]] = {
    "address": lambda info: info.upstream_host,
    "port": _port(lambda info: info.upstream_host),
    "local_address": values.upstream_local,
    "tls_version": lambda info: info.upstream_tls_version,
    "transport_failure_reason": _transport_failure_reason,
    "request_attempt_count": lambda info: info.upstream_request_attempt_count,
    "cx_pool_ready_duration": _pool_ready_duration,
}
SOURCE: Final[Mapping[str, Reader]] = {
    "address": values.downstream_remote,
    "port": _port(values.downstream_remote),
}
DESTINATION: Final[Mapping[str, Reader]] = {
    "address": values.downstream_local,
    "port": _port(values.downstream_local),
}
XDS: Final[Mapping[str, Reader]] = {
    "cluster_name": lambda info: info.upstream_cluster_name,
    "cluster_metadata": _metadata(values.cluster_metadata),
    "route_name": lambda info: info.route.name if info.route is not None else None,
    "route_metadata": _metadata(values.route_metadata),
    "virtual_host_name": lambda info: info.virtual_host.name if info.virtual_host is not None else None,
    "upstream_host_metadata": _metadata(values.upstream_host_metadata),
    "filter_chain_name": lambda info: info.filter_chain.name if info.filter_chain is not None else None,
    "listener_metadata": _metadata(values.listener_metadata),
    "listener_direction": lambda _info: 2,
}


def _group(readers: Mapping[str, Reader]) -> Reader:
    return lambda info: Attributes(readers, info)


ROOTS: Final[Mapping[str, Reader]] = {
    "request": _group(REQUEST),
    "response": _group(RESPONSE),
    "connection": _group(CONNECTION),
    "upstream": _group(UPSTREAM),
    "source": _group(SOURCE),
    "destination": _group(DESTINATION),
    "xds": _group(XDS),
    "metadata": lambda info: MessageFields(filter_metadata=info.dynamic_metadata or {}),
    "filter_state": lambda info: info.filter_state or {},
    "upstream_filter_state": lambda info: {} if values.upstream_local(info) is not None else None,
}

_DURATION: Final = re.compile(r"([-+]?)((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:h|ms|us|µs|ns|m|s))+")
_DURATION_PART: Final = re.compile(r"([0-9.]+)(h|ms|us|µs|ns|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def parse_duration(text: str) -> timedelta | None:
    """Go's spelling (``1h30m``, ``1.5s``); ``None`` for other text."""
    if text == "0":
        return timedelta()
    if _DURATION.fullmatch(text) is None:
        return None
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    return timedelta(seconds=-seconds if text.startswith("-") else seconds)
