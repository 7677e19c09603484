"""Every command operator of Envoy's formats, by name.

An operator's value is an expression in Python's own syntax over ``info`` and the header maps, so that a whole log line
compiles to one function without a call per operator (``sandbox.access_log.format`` puts the expressions together).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sandbox.access_log import certificate_operators, http_operators, stream_operators
from sandbox.access_log import operator_values as values
from sandbox.access_log.command import Command, FormatRefused
from sandbox.access_log.operator import (
    Builder,
    Kind,
    LogEnvironment,
    Operator,
    attribute,
    constant,
    function,
    never,
    number,
)
from sandbox.access_log.response_flags import long_text, short_text

__all__ = ["LogEnvironment", "Operator", "compile_operator"]


def compile_operator(command: Command, environment: LogEnvironment) -> Operator:
    """Raises FormatRefused with Envoy's words for what Envoy does not take."""
    builder = _OPERATORS.get(command.name)
    if builder is None:
        raise FormatRefused(f"Not supported field in StreamInfo: {command.name}")
    if command.name in _PLAIN and (command.argument or command.max_length is not None):
        raise FormatRefused(f"{command.name} does not take any parameters or length")
    if command.name in _NEEDS_ARGUMENT and not command.argument:
        raise FormatRefused(f"{command.name} requires parameters")
    if command.name not in _TAKES_LENGTH and command.max_length is not None:
        raise FormatRefused(f"{command.name} does not allow length to be specified.")
    return builder(command, environment)


_TEXT_ATTRIBUTES: Final = {
    "PROTOCOL": "protocol",
    "UPSTREAM_PROTOCOL": "upstream_protocol",
    "CONNECTION_TERMINATION_DETAILS": "connection_termination_details",
    "UPSTREAM_CLUSTER_RAW": "upstream_cluster_name",
    "UPSTREAM_HOST": "upstream_host",
    "DOWNSTREAM_TLS_VERSION": "downstream_tls_version",
    "DOWNSTREAM_TLS_CIPHER": "downstream_tls_cipher",
    "DOWNSTREAM_PEER_URI_SAN": "downstream_peer_uri_san",
    "DOWNSTREAM_PEER_SUBJECT": "downstream_peer_subject",
    "UPSTREAM_TLS_VERSION": "upstream_tls_version",
    "UPSTREAM_TLS_CIPHER": "upstream_tls_cipher",
    "UPSTREAM_PEER_URI_SAN": "upstream_peer_uri_san",
    "UPSTREAM_PEER_DNS_SAN": "upstream_peer_dns_san",
    "UPSTREAM_PEER_SUBJECT": "upstream_peer_subject",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON": "downstream_transport_failure_reason",
}

_NUMBER_ATTRIBUTES: Final = {
    "BYTES_RECEIVED": "bytes_received",
    "BYTES_SENT": "bytes_sent",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED": "wire_bytes_received",
    "DOWNSTREAM_WIRE_BYTES_SENT": "wire_bytes_sent",
    "UPSTREAM_WIRE_BYTES_RECEIVED": "upstream_wire_bytes_received",
    "UPSTREAM_WIRE_BYTES_SENT": "upstream_wire_bytes_sent",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED": "request_headers_bytes",
    "DOWNSTREAM_HEADER_BYTES_SENT": "response_headers_bytes",
    "UPSTREAM_HEADER_BYTES_RECEIVED": "upstream_header_bytes_received",
    "UPSTREAM_HEADER_BYTES_SENT": "upstream_header_bytes_sent",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": "upstream_request_attempt_count",
    "CONNECTION_ID": "connection_id",
    "UPSTREAM_CONNECTION_ID": "upstream_connection_id",
}

_FUNCTIONS: Final[Mapping[str, tuple[Callable[..., object], Kind]]] = {
    "UPSTREAM_CLUSTER": (values.alternative_cluster_name, "text"),
    "UPSTREAM_HOST_NAME": (values.upstream_host_name, "text"),
    "UPSTREAM_HOST_NAME_WITHOUT_PORT": (values.upstream_host_name_without_port, "text"),
    "UPSTREAM_HOSTS_ATTEMPTED": (values.host_of_last_try, "text"),
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT": (values.host_of_last_try_without_port, "text"),
    "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID": (values.upstream_endpoint_id, "text"),
    "DOWNSTREAM_DETECTED_CLOSE_TYPE": (values.downstream_close_type, "text"),
    "UPSTREAM_DETECTED_CLOSE_TYPE": (values.upstream_close_type, "text"),
    "UPSTREAM_CONNECTION_POOL_READY_DURATION": (values.pool_ready_duration, "number"),
    "DOWNSTREAM_LOCAL_CLOSE_REASON": (values.local_close_reason, "text"),
    "UPSTREAM_LOCAL_CLOSE_REASON": (values.upstream_local_close_reason, "text"),
    "FILTER_CHAIN_NAME": (values.filter_chain_name, "text"),
    "ACCESS_LOG_TYPE": (values.access_log_type, "text"),
    "DOWNSTREAM_PEER_CERT": (values.peer_certificate_pem, "text"),
    "UPSTREAM_PEER_CERT": (values.upstream_certificate_pem, "text"),
    "DOWNSTREAM_PEER_FINGERPRINT_256": (values.peer_fingerprint_256, "text"),
    "DOWNSTREAM_PEER_FINGERPRINT_1": (values.peer_fingerprint_1, "text"),
    "REQUEST_HEADERS_BYTES": (values.request_headers_size, "number"),
    "RESPONSE_HEADERS_BYTES": (values.response_headers_size, "number"),
    "RESPONSE_TRAILERS_BYTES": (values.response_trailers_size, "number"),
}

_DURATIONS: Final = {
    "REQUEST_DURATION": ("info.start", "info.last_downstream_rx"),
    "REQUEST_TX_DURATION": ("info.start", "info.last_upstream_tx"),
    "RESPONSE_DURATION": ("info.start", "info.first_upstream_rx"),
    "RESPONSE_TX_DURATION": ("info.first_upstream_rx", "info.last_downstream_tx"),
}

_ADDRESSES: Final = {
    "UPSTREAM_LOCAL": values.upstream_local,
    "UPSTREAM_REMOTE": values.upstream_remote,
    "DOWNSTREAM_LOCAL": values.downstream_local,
    "DOWNSTREAM_REMOTE": values.downstream_remote,
    "DOWNSTREAM_DIRECT_LOCAL": values.downstream_direct_local,
    "DOWNSTREAM_DIRECT_REMOTE": values.downstream_direct_remote,
}
_ADDRESS_ATTRIBUTES: Final = {
    "UPSTREAM_LOCAL_ADDRESS": "upstream_local_address",
    "DOWNSTREAM_LOCAL_ADDRESS": "downstream_local_address",
    "DOWNSTREAM_REMOTE_ADDRESS": "downstream_remote_address",
}

_NEVER_THERE: Final = (
    "VIRTUAL_CLUSTER_NAME", "TRACE_ID", "SPAN_ID", "ROUNDTRIP_DURATION", "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT", "DOWNSTREAM_TLS_SESSION_ID", "DOWNSTREAM_TLS_GROUP", "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_GROUP", "DOWNSTREAM_PEER_EMAIL_SAN", "DOWNSTREAM_HANDSHAKE_DURATION",
)  # fmt: skip
"""Operators whose value this proxy does not have; Envoy logs ``-`` (``null``) too where it has none."""

_EMPTY: Final = (
    "CUSTOM_FLAGS", "LOCAL_REPLY_BODY", "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
)  # fmt: skip
"""Operators that are always there, and say nothing here; only Envoy's own kind of address has an endpoint."""

_HEADER_OPERATORS: Final = {
    "REQ": "request",
    "REQUEST_HEADER": "request",
    "RESP": "response",
    "RESPONSE_HEADER": "response",
    "TRAILER": "trailers",
    "RESPONSE_TRAILER": "trailers",
}

_ADDRESS_OPERATORS: Final = {
    f"{name}_{form}": stream_operators.address(read, form)
    for name, read in _ADDRESSES.items()
    for form in ("ADDRESS", "ADDRESS_WITHOUT_PORT", "PORT")
}

_OPERATORS: Final[Mapping[str, Builder]] = {
    **_ADDRESS_OPERATORS,
    **{name: attribute(field) for name, field in _TEXT_ATTRIBUTES.items()},
    **{name: attribute(field) for name, field in _ADDRESS_ATTRIBUTES.items()},
    **{name: number(field) for name, field in _NUMBER_ATTRIBUTES.items()},
    **{name: function(read, kind) for name, (read, kind) in _FUNCTIONS.items()},
    **{name: stream_operators.duration(*moments) for name, moments in _DURATIONS.items()},
    **{name: http_operators.headers(which) for name, which in _HEADER_OPERATORS.items()},
    **dict.fromkeys(_NEVER_THERE, never),
    **dict.fromkeys(_EMPTY, lambda _command, _environment: constant("", is_always_there=True)),
    "RESPONSE_CODE": http_operators.response_code,
    "RESPONSE_CODE_DETAILS": http_operators.details,
    "UPSTREAM_TRANSPORT_FAILURE_REASON": http_operators.failure_reason,
    "RESPONSE_FLAGS": http_operators.flags(short_text),
    "RESPONSE_FLAGS_LONG": http_operators.flags(long_text),
    "ROUTE_NAME": http_operators.route_name,
    "GRPC_STATUS": http_operators.grpc_status,
    "GRPC_STATUS_NUMBER": http_operators.grpc_status,
    "PATH": http_operators.path,
    "REQ_WITHOUT_QUERY": http_operators.without_query,
    "QUERY_PARAM": http_operators.query_parameter,
    "QUERY_PARAMS": http_operators.query_parameters,
    "REQUESTED_SERVER_NAME": http_operators.server_name,
    "STREAM_ID": http_operators.stream_id,
    "UNIQUE_ID": http_operators.unique_id,
    **certificate_operators.BUILDERS,
    "START_TIME": stream_operators.time,
    "START_TIME_LOCAL": stream_operators.time,
    "EMIT_TIME": stream_operators.time,
    "EMIT_TIME_LOCAL": stream_operators.time,
    "DURATION": stream_operators.total_duration,
    "COMMON_DURATION": stream_operators.common_duration,
    "BYTES_RETRANSMITTED": lambda _command, _environment: Operator(source="0", kind="number", is_always_there=True),
    "PACKETS_RETRANSMITTED": lambda _command, _environment: Operator(source="0", kind="number", is_always_there=True),
    "ENVIRONMENT": stream_operators.environment_variable,
    "HOSTNAME": stream_operators.hostname,
    "DYNAMIC_METADATA": stream_operators.metadata(values.dynamic_metadata),
    "CLUSTER_METADATA": stream_operators.metadata(values.cluster_metadata),
    "UPSTREAM_METADATA": stream_operators.metadata(values.upstream_host_metadata),
    "METADATA": stream_operators.metadata_of_kind,
    "FILTER_STATE": stream_operators.filter_state,
    "UPSTREAM_FILTER_STATE": stream_operators.filter_state,
}

_TAKES_LENGTH: Final = frozenset(
    {*_HEADER_OPERATORS, "DYNAMIC_METADATA", "METADATA", "FILTER_STATE", "UPSTREAM_FILTER_STATE", "ENVIRONMENT",
     "PATH", "QUERY_PARAM", "QUERY_PARAMS", "REQ_WITHOUT_QUERY"}
)  # fmt: skip
_NEEDS_ARGUMENT: Final = frozenset(
    {*_HEADER_OPERATORS, "DYNAMIC_METADATA", "CLUSTER_METADATA", "UPSTREAM_METADATA", "ENVIRONMENT", "QUERY_PARAM",
     "REQ_WITHOUT_QUERY", "COMMON_DURATION"}
)  # fmt: skip
_TAKES_ARGUMENT: Final = (
    _NEEDS_ARGUMENT
    | _TAKES_LENGTH
    | {"GRPC_STATUS", "RESPONSE_CODE_DETAILS", "REQUESTED_SERVER_NAME"}
    | {"START_TIME", "START_TIME_LOCAL", "EMIT_TIME", "EMIT_TIME_LOCAL"}
    | certificate_operators.TIMES
    | {name for name in _ADDRESS_OPERATORS if name.endswith("WITHOUT_PORT")}
)
_PLAIN: Final = frozenset(_OPERATORS) - _TAKES_ARGUMENT
