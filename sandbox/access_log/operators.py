"""Every command operator of Envoy's formats: how its value is read from a StreamInfo.

A value is an expression in Python's own syntax over ``info`` and the header maps, so that a whole log line compiles
to one function without a call per operator (``sandbox.access_log.format`` puts the expressions together).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sandbox.access_log import operator_values as values
from sandbox.access_log.command import Command, FormatRefused
from sandbox.access_log.grpc_status import CAMEL_NAMES, SNAKE_NAMES, status_name
from sandbox.access_log.response_flags import long_text, short_text
from sandbox.access_log.timestamps import compile_time_format

Kind = Literal["text", "number", "structure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator compiled.

    ``source`` may use ``info`` (the StreamInfo), ``request``, ``response``, ``trailers`` (header name to value, in
    bytes) and its own ``names``; it gives ``str``, a number, a structure, or ``None`` for "not there".
    """

    source: str
    kind: Kind = "text"
    is_always_there: bool = False
    names: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEnvironment:
    """What operators may say of the machine: ``%HOSTNAME%`` and ``%ENVIRONMENT(X)%``."""

    hostname: str = "-"
    variables: Mapping[str, str] = field(default_factory=dict)


Builder = Callable[[Command, LogEnvironment], Operator]


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


# --- plain values ---

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
    "UPSTREAM_HOSTS_ATTEMPTED": (values.hosts_attempted, "text"),
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT": (values.hosts_attempted_without_port, "text"),
    "FILTER_CHAIN_NAME": (values.filter_chain_name, "text"),
    "ACCESS_LOG_TYPE": (values.access_log_type, "text"),
    "STREAM_ID": (values.stream_id, "text"),
    "QUERY_PARAMS": (values.query, "text"),
    "DOWNSTREAM_PEER_CERT": (values.peer_certificate_pem, "text"),
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
    "UPSTREAM_CONNECTION_POOL_READY_DURATION": ("info.start", "info.first_upstream_tx"),
}
_MOMENTS: Final = {
    "DS_RX_BEG": "info.start",
    "DS_RX_END": "info.last_downstream_rx",
    "US_CX_BEG": "info.upstream_connect_start",
    "US_CX_END": "info.upstream_connect_end",
    "US_HS_END": "info.upstream_handshake_end",
    "US_TX_BEG": "info.first_upstream_tx",
    "US_TX_END": "info.last_upstream_tx",
    "US_RX_BEG": "info.first_upstream_rx",
    "US_RX_END": "info.last_upstream_rx",
    "DS_TX_BEG": "info.first_downstream_tx",
    "DS_TX_END": "info.last_downstream_tx",
    "DS_CX_BEG": "(None if info.is_http else info.start)",
    "DS_CX_END": "(None if info.is_http else info.end)",
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
    "UPSTREAM_TLS_GROUP", "DOWNSTREAM_LOCAL_URI_SAN", "DOWNSTREAM_LOCAL_DNS_SAN", "DOWNSTREAM_LOCAL_IP_SAN",
    "DOWNSTREAM_LOCAL_SUBJECT", "DOWNSTREAM_PEER_DNS_SAN", "DOWNSTREAM_PEER_IP_SAN", "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_ISSUER", "DOWNSTREAM_PEER_SERIAL", "UPSTREAM_LOCAL_URI_SAN", "UPSTREAM_LOCAL_SUBJECT",
    "UPSTREAM_LOCAL_DNS_SAN", "UPSTREAM_LOCAL_IP_SAN", "UPSTREAM_PEER_URI_SAN", "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_IP_SAN", "UPSTREAM_PEER_SUBJECT", "UPSTREAM_PEER_ISSUER", "UPSTREAM_PEER_CERT",
    "UPSTREAM_DETECTED_CLOSE_TYPE", "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_LOCAL_CLOSE_REASON", "DOWNSTREAM_HANDSHAKE_DURATION", "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
)  # fmt: skip
"""Operators whose value this proxy does not have; Envoy logs ``-`` (``null``) too where it has none."""


def _attribute(attribute: str) -> Builder:
    operator = Operator(source=f"info.{attribute}")
    return lambda _command, _environment: operator


def _number(attribute: str) -> Builder:
    operator = Operator(source=f"info.{attribute}", kind="number", is_always_there=True)
    return lambda _command, _environment: operator


def _function(function: Callable[..., object], kind: Kind) -> Builder:
    name = f"_{function.__name__}"
    operator = Operator(source=f"{name}(info)", kind=kind, names={name: function})
    return lambda _command, _environment: operator


def _constant(value: str | None, *, is_always_there: bool = False) -> Operator:
    return Operator(source=repr(value), is_always_there=is_always_there)


def _never(_command: Command, _environment: LogEnvironment) -> Operator:
    return _constant(None)


# --- HTTP ---


def _response_code(_command: Command, _environment: LogEnvironment) -> Operator:
    return Operator(source="(info.response_code or 0)", kind="number", is_always_there=True)


def _details(command: Command, _environment: LogEnvironment) -> Operator:
    if command.argument == "ALLOW_WHITESPACES":
        return Operator(source="info.response_code_details")
    source = "(t if (t := info.response_code_details) is None or ' ' not in t else t.replace(' ', '_'))"
    return Operator(source=source)


def _failure_reason(_command: Command, _environment: LogEnvironment) -> Operator:
    source = "(None if not (t := info.upstream_transport_failure_reason) else t.replace(' ', '_'))"
    return Operator(source=source)


def _flags(function: Callable[[Any], str]) -> Builder:
    names = {f"_{function.__name__}": function}
    source = f"(_{function.__name__}(info.response_flags) if info.response_flags else '-')"
    operator = Operator(source=source, is_always_there=True, names=names)
    return lambda _command, _environment: operator


def _route_name(_command: Command, _environment: LogEnvironment) -> Operator:
    return Operator(source="(t.name or None if (t := info.route) is not None else None)")


def _headers(headers: str) -> Builder:
    """``(X?Y):Z``: the first header that is there; its values are joined with ``,``."""

    def build(command: Command, _environment: LogEnvironment) -> Operator:
        names = command.argument.split("?")
        if len(names) > 2:
            raise FormatRefused(f"More than 1 alternative header specified in token: {command.argument}")
        if any(character in command.argument for character in "\r\n\0"):
            raise FormatRefused("Invalid header configuration. Format string contains invalid characters.")
        source = _header_source(headers, names[0])
        if len(names) == 2:
            source = f"(t if (t := {source}) is not None else {_header_source(headers, names[1])})"
        if command.max_length is not None:
            return Operator(source=f"_text({source}, {command.max_length})", names={"_text": values.text_of_length})
        return Operator(source=f"(None if (t := {source}) is None else t.decode('utf-8', 'surrogateescape'))")

    return build


def _header_source(headers: str, name: str) -> str:
    lower = name.lower()
    if headers == "request":
        if lower in _PSEUDO_ATTRIBUTES:
            return f"info.{_PSEUDO_ATTRIBUTES[lower]}"
        if lower == "x-envoy-original-path":
            return "(t if (t := info.original_path) is not None else request.get(b'x-envoy-original-path'))"
    if headers == "response" and lower == ":status":
        return "(None if info.response_code is None else b'%d' % info.response_code)"
    return f"{headers}.get({lower.encode()!r})"


_PSEUDO_ATTRIBUTES: Final = {
    ":method": "method",
    ":path": "path",
    ":authority": "authority",
    "host": "authority",
    ":scheme": "scheme",
}


def _grpc_status(command: Command, _environment: LogEnvironment) -> Operator:
    form = "NUMBER" if command.name == "GRPC_STATUS_NUMBER" else command.argument or "CAMEL_STRING"
    names: dict[str, Any] = {"_grpc_status": values.stream_grpc_status, "_status_name": status_name}
    source = "_grpc_status(info, request, response, trailers)"
    if form == "NUMBER":
        return Operator(source=source, kind="number", names=names)
    if form not in ("CAMEL_STRING", "SNAKE_STRING"):
        raise FormatRefused(
            f"GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER. Got: {command.argument}"
        )
    names["_camel"], names["_snake"] = CAMEL_NAMES, SNAKE_NAMES
    return Operator(source=f"_status_name({source}, {'_camel' if form == 'CAMEL_STRING' else '_snake'})", names=names)


def _path(command: Command, _environment: LogEnvironment) -> Operator:
    """``PATH(X:Y):Z``: with (WQ) or without (NQ) the query; the original path, the present one, or either."""
    query, _, which = command.argument.partition(":")
    if query not in ("", "WQ", "NQ"):
        raise FormatRefused(f"Invalid PATH option: '{query}', only 'WQ'/'NQ' are allowed")
    if which not in ("", "ORIG", "PATH", "ORIG_OR_PATH"):
        raise FormatRefused(f"Invalid PATH option: '{which}', only 'ORIG'/'PATH'/'ORIG_OR_PATH' are allowed")
    original, present = _header_source("request", "x-envoy-original-path"), "info.path"
    either = f"(t if (t := {original}) is not None else {present})"
    source = {"ORIG": original, "PATH": present}.get(which, either)
    names = {"_path_text": values.path_text}
    return Operator(source=f"_path_text({source}, {query != 'NQ'}, {command.max_length})", names=names)


def _without_query(command: Command, environment: LogEnvironment) -> Operator:
    """Istio's formatter ``REQ_WITHOUT_QUERY(X?Y):Z``."""
    header = _headers("request")(Command(command.name, command.argument), environment)
    names = {**header.names, "_bare": values.bare_text}
    return Operator(source=f"_bare({header.source}, {command.max_length})", names=names)


def _query_parameter(command: Command, _environment: LogEnvironment) -> Operator:
    source = f"_query_parameter(info, {command.argument.encode()!r}, {command.max_length})"
    return Operator(source=source, names={"_query_parameter": values.query_parameter})


def _server_name(command: Command, _environment: LogEnvironment) -> Operator:
    option = command.argument.partition(":")[0] or "SNI_ONLY"
    if option == "SNI_ONLY":
        source = "(_server_name(info) if info.requested_server_name is not None else None)"
        return Operator(source=source, names={"_server_name": values.server_name})
    if option not in ("SNI_FIRST", "HOST_FIRST"):
        raise FormatRefused(
            f"Invalid REQUESTED_SERVER_NAME option: '{option}', only 'SNI_ONLY'/'SNI_FIRST'/'HOST_FIRST' are allowed"
        )
    name = "_sni_first" if option == "SNI_FIRST" else "_host_first"
    function = values.server_name_first if option == "SNI_FIRST" else values.host_first
    return Operator(source=f"{name}(info)", names={name: function})


# --- times ---


def _time(command: Command, _environment: LogEnvironment) -> Operator:
    moment = "info.start_wall"
    if command.name.startswith("EMIT"):
        moment = "(info.start_wall + ((info.end or info.start) - info.start))"
    name = f"_time_{abs(hash((command.name, command.argument)))}"
    formatter = compile_time_format(command.argument, is_local=command.name.endswith("LOCAL"))
    return Operator(source=f"{name}({moment})", is_always_there=True, names={name: formatter})


def _duration(begin: str, end: str) -> Builder:
    operator = _duration_operator(begin, end, 1_000)
    return lambda _command, _environment: operator


def _duration_operator(begin: str, end: str, per_second: int) -> Operator:
    source = f"_span({begin}, {end}, {per_second})"
    return Operator(source=source, kind="number", names={"_span": values.span})


def _total_duration(_command: Command, _environment: LogEnvironment) -> Operator:
    source = "(0 if info.end is None else int((info.end - info.start) * 1000 + 1e-6))"
    return Operator(source=source, kind="number", is_always_there=True)


def _common_duration(command: Command, _environment: LogEnvironment) -> Operator:
    parts = command.argument.split(":")
    if not 2 <= len(parts) <= 3:
        raise FormatRefused(f"Invalid common duration configuration: {command.argument}.")
    precision = parts[2] if len(parts) == 3 else "ms"
    per_second = {"ms": 10**3, "us": 10**6, "ns": 10**9}.get(precision)
    if per_second is None:
        raise FormatRefused(f"Invalid common duration precision: {precision}.")
    begin, end = _MOMENTS.get(parts[0]), _MOMENTS.get(parts[1])
    if begin is None or end is None:
        return _constant(None)  # a custom time point, which nothing sets
    return _duration_operator(begin, end, per_second)


# --- addresses, environment, metadata ---


def _address(read: Callable[..., str | None], form: str) -> Builder:
    def build(command: Command, _environment: LogEnvironment) -> Operator:
        names: dict[str, Any] = {f"_{read.__name__}": read}
        source = f"_{read.__name__}(info)"
        if form == "PORT":
            names["_port"] = values.port_number
            return Operator(source=f"_port({source})", kind="number", names=names)
        if form == "ADDRESS_WITHOUT_PORT":
            mask = int(command.argument) if command.argument.isdigit() else None
            names["_masked"] = values.address_without_port
            source = f"_masked({source}, {mask})"
        return Operator(source=source, names=names)

    return build


def _environment_variable(command: Command, environment: LogEnvironment) -> Operator:
    value = environment.variables.get(command.argument, "-")
    return _constant(values.truncated(value, command.max_length), is_always_there=True)


def _hostname(_command: Command, environment: LogEnvironment) -> Operator:
    return _constant(environment.hostname, is_always_there=True)


def _metadata(function: Callable[..., object]) -> Builder:
    def build(command: Command, _environment: LogEnvironment) -> Operator:
        path = tuple(command.argument.split(":"))
        source = f"_metadata_at(_{function.__name__}(info), {path!r}, {command.max_length})"
        names = {"_metadata_at": values.metadata_at, f"_{function.__name__}": function}
        return Operator(source=source, kind="structure", names=names)

    return build


_METADATA_KINDS: Final[Mapping[str, Callable[..., object]]] = {
    "DYNAMIC": values.dynamic_metadata,
    "CLUSTER": values.cluster_metadata,
    "UPSTREAM_HOST": values.upstream_host_metadata,
    "ROUTE": values.route_metadata,
    "LISTENER": values.listener_metadata,
    "VIRTUAL_HOST": values.no_metadata,
}


def _metadata_of_kind(command: Command, environment: LogEnvironment) -> Operator:
    kind, _, rest = command.argument.partition(":")
    function = _METADATA_KINDS.get(kind)
    if function is None:
        raise FormatRefused(f"{kind} is not supported type of metadata")
    return _metadata(function)(Command(command.name, rest, command.max_length), environment)


def _filter_state(command: Command, _environment: LogEnvironment) -> Operator:
    key, _, rest = command.argument.partition(":")
    form, _, member = rest.partition(":")
    if form not in ("", "PLAIN", "TYPED", "FIELD"):
        raise FormatRefused("Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.")
    if (form == "FIELD") != bool(member):
        raise FormatRefused("Invalid filter state serialize type, FIELD should be used with the field name.")
    if command.name.startswith("UPSTREAM"):
        return _constant(None)
    source = f"_filter_state(info, {key!r}, {member!r}, {command.max_length})"
    return Operator(source=source, kind="structure", names={"_filter_state": values.filter_state})


_HEADER_OPERATORS: Final = {
    "REQ": "request",
    "REQUEST_HEADER": "request",
    "RESP": "response",
    "RESPONSE_HEADER": "response",
    "TRAILER": "trailers",
    "RESPONSE_TRAILER": "trailers",
}

_ADDRESS_OPERATORS: Final = {
    f"{name}_{form}": _address(read, form)
    for name, read in _ADDRESSES.items()
    for form in ("ADDRESS", "ADDRESS_WITHOUT_PORT", "PORT")
}

_OPERATORS: Final[Mapping[str, Builder]] = {
    **_ADDRESS_OPERATORS,
    **{name: _attribute(attribute) for name, attribute in _TEXT_ATTRIBUTES.items()},
    **{name: _attribute(attribute) for name, attribute in _ADDRESS_ATTRIBUTES.items()},
    **{name: _number(attribute) for name, attribute in _NUMBER_ATTRIBUTES.items()},
    **{name: _function(function, kind) for name, (function, kind) in _FUNCTIONS.items()},
    **{name: _duration(*moments) for name, moments in _DURATIONS.items()},
    **{name: _headers(headers) for name, headers in _HEADER_OPERATORS.items()},
    **dict.fromkeys(_NEVER_THERE, _never),
    "RESPONSE_CODE": _response_code,
    "RESPONSE_CODE_DETAILS": _details,
    "UPSTREAM_TRANSPORT_FAILURE_REASON": _failure_reason,
    "RESPONSE_FLAGS": _flags(short_text),
    "RESPONSE_FLAGS_LONG": _flags(long_text),
    "ROUTE_NAME": _route_name,
    "GRPC_STATUS": _grpc_status,
    "GRPC_STATUS_NUMBER": _grpc_status,
    "PATH": _path,
    "REQ_WITHOUT_QUERY": _without_query,
    "QUERY_PARAM": _query_parameter,
    "REQUESTED_SERVER_NAME": _server_name,
    "CUSTOM_FLAGS": lambda _command, _environment: _constant("", is_always_there=True),
    "DOWNSTREAM_DETECTED_CLOSE_TYPE": lambda _command, _environment: _constant("Normal", is_always_there=True),
    "LOCAL_REPLY_BODY": lambda _command, _environment: _constant("", is_always_there=True),
    "UNIQUE_ID": _function(values.stream_id, "text"),
    "START_TIME": _time,
    "START_TIME_LOCAL": _time,
    "EMIT_TIME": _time,
    "EMIT_TIME_LOCAL": _time,
    "DURATION": _total_duration,
    "COMMON_DURATION": _common_duration,
    "BYTES_RETRANSMITTED": lambda _command, _environment: Operator(source="0", kind="number", is_always_there=True),
    "PACKETS_RETRANSMITTED": lambda _command, _environment: Operator(source="0", kind="number", is_always_there=True),
    "ENVIRONMENT": _environment_variable,
    "HOSTNAME": _hostname,
    "DYNAMIC_METADATA": _metadata(values.dynamic_metadata),
    "CLUSTER_METADATA": _metadata(values.cluster_metadata),
    "UPSTREAM_METADATA": _metadata(values.upstream_host_metadata),
    "METADATA": _metadata_of_kind,
    "FILTER_STATE": _filter_state,
    "UPSTREAM_FILTER_STATE": _filter_state,
}

_TAKES_LENGTH: Final = frozenset(
    {*_HEADER_OPERATORS, "DYNAMIC_METADATA", "CLUSTER_METADATA", "UPSTREAM_METADATA", "METADATA", "FILTER_STATE",
     "UPSTREAM_FILTER_STATE", "ENVIRONMENT", "PATH", "QUERY_PARAM", "REQ_WITHOUT_QUERY"}
)  # fmt: skip
_NEEDS_ARGUMENT: Final = _TAKES_LENGTH - {"PATH"} | {"COMMON_DURATION"}
_TAKES_ARGUMENT: Final = (
    _NEEDS_ARGUMENT
    | {"PATH", "GRPC_STATUS", "RESPONSE_CODE_DETAILS", "REQUESTED_SERVER_NAME"}
    | {"START_TIME", "START_TIME_LOCAL", "EMIT_TIME", "EMIT_TIME_LOCAL"}
    | {name for name in _ADDRESS_OPERATORS if name.endswith("WITHOUT_PORT")}
)
_PLAIN: Final = frozenset(_OPERATORS) - _TAKES_ARGUMENT
