"""Operators of HTTP streams: headers, paths, status, details."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from sandbox.access_log import operator_values as values
from sandbox.access_log import query_values
from sandbox.access_log.command import Command, FormatRefused
from sandbox.access_log.grpc_status import CAMEL_NAMES, SNAKE_NAMES, status_name
from sandbox.access_log.operator import Builder, LogEnvironment, Operator


def response_code(_command: Command, _environment: LogEnvironment) -> Operator:
    """``0`` where the stream ended before a response."""
    return Operator(source="(info.response_code or 0)", kind="number", is_always_there=True)


def details(command: Command, _environment: LogEnvironment) -> Operator:
    """White space as ``_``, unless ``ALLOW_WHITESPACES``."""
    if command.argument == "ALLOW_WHITESPACES":
        return Operator(source="info.response_code_details")
    source = "(t if (t := info.response_code_details) is None or ' ' not in t else t.replace(' ', '_'))"
    return Operator(source=source)


def failure_reason(_command: Command, _environment: LogEnvironment) -> Operator:
    """Why connecting upstream failed."""
    source = "(None if not (t := info.upstream_transport_failure_reason) else t.replace(' ', '_'))"
    return Operator(source=source)


def flags(function: Callable[[Any], str]) -> Builder:
    """Response flags, short or long; ``-`` for none."""
    names = {f"_{function.__name__}": function}
    source = f"(_{function.__name__}(info.response_flags) if info.response_flags else '-')"
    operator = Operator(source=source, is_always_there=True, names=names)
    return lambda _command, _environment: operator


def route_name(_command: Command, _environment: LogEnvironment) -> Operator:
    """The route's name, if it has one."""
    return Operator(source="(t.name or None if (t := info.route) is not None else None)")


_VARIED: Final = frozenset({":path", "x-envoy-original-path", "x-request-id"})
_HEADER_NAME: Final = re.compile(r":?[!#$%&'*+\-.^_`|~0-9A-Za-z]*")


def headers(which: str) -> Builder:
    """``(X?Y):Z``: the first header that is there; its values are joined with ``,``."""

    def build(command: Command, _environment: LogEnvironment) -> Operator:
        names = command.argument.split("?")
        if len(names) > 2:
            raise FormatRefused(f"More than 1 alternative header specified in token: {command.argument}")
        if not all(_HEADER_NAME.fullmatch(name) for name in names):
            raise FormatRefused("Invalid header configuration. Format string contains invalid characters.")
        is_varied = not _VARIED.isdisjoint(name.lower() for name in names)
        source = _header_source(which, names[0])
        if len(names) == 2:
            source = f"(t if (t := {source}) is not None else {_header_source(which, names[1])})"
        if command.max_length is not None:
            return Operator(source=f"_text({source}, {command.max_length})", names={"_text": values.text_of_length})
        return Operator(source=f"(None if (t := {source}) is None else t.decode())", raw=source, is_varied=is_varied)

    return build


def _header_source(headers: str, name: str) -> str:
    lower = name.lower()
    if headers == "request":
        if lower in _PSEUDO_ATTRIBUTES:
            return f"info.{_PSEUDO_ATTRIBUTES[lower]}"
        if lower == "x-envoy-original-path":
            return "(t if (t := info.original_path) is not None else request.get(b'x-envoy-original-path'))"
    if headers == "response" and lower == ":status":
        return "(None if (t := info.response_code) is None or (t < 200 and t != 101) else b'%d' % t)"
    return f"{headers}.get({lower.encode()!r})"


_PSEUDO_ATTRIBUTES: Final = {
    ":method": "method",
    ":path": "path",
    ":authority": "authority",
    "host": "authority",
    ":scheme": "scheme",
}


def grpc_status(command: Command, _environment: LogEnvironment) -> Operator:
    """``GRPC_STATUS(X)``: CAMEL_STRING, SNAKE_STRING or NUMBER."""
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


def path(command: Command, _environment: LogEnvironment) -> Operator:
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
    return Operator(source=f"_path_text({source}, {query != 'NQ'}, {command.max_length})", names=names, is_varied=True)


def without_query(command: Command, environment: LogEnvironment) -> Operator:
    """Istio's formatter ``REQ_WITHOUT_QUERY(X?Y):Z``."""
    header = headers("request")(Command(command.name, command.argument), environment)
    names = {**header.names, "_bare": values.bare_text}
    return Operator(source=f"_bare({header.source}, {command.max_length})", names=names)


def query_parameters(command: Command, _environment: LogEnvironment) -> Operator:
    """``QUERY_PARAMS(X):Z``: the whole query, as it came or with its escapes undone."""
    if command.argument not in ("", "ORIG", "DECODED"):
        raise FormatRefused(f"Invalid QUERY_PARAMS option: '{command.argument}', only 'ORIG'/'DECODED' are allowed")
    source = f"_query(info, {command.argument == 'DECODED'}, {command.max_length})"
    return Operator(source=source, names={"_query": query_values.query})


def query_parameter(command: Command, _environment: LogEnvironment) -> Operator:
    """``QUERY_PARAM(X):Z``: the first value."""
    source = f"_query_parameter(info, {command.argument.encode()!r}, {command.max_length})"
    return Operator(source=source, names={"_query_parameter": query_values.query_parameter})


def unique_id(_command: Command, environment: LogEnvironment) -> Operator:
    """A new identifier for each line."""
    return Operator(source="_new_id()", is_always_there=True, is_varied=True, names={"_new_id": environment.new_id})


def stream_id(_command: Command, environment: LogEnvironment) -> Operator:
    """``x-request-id`` of a request, an identifier of its own for a connection."""
    names = {"_new_id": environment.new_id, "_request_id": values.request_id}
    return Operator(source="(_request_id(info) if info.is_http else _new_id())", names=names, is_varied=True)


def server_name(command: Command, _environment: LogEnvironment) -> Operator:
    """``REQUESTED_SERVER_NAME(X:Y)``: the SNI, or the host first or second; Y is ORIG, HOST, or either."""
    option, which, *_ = (*command.argument.split(":"), "", "")
    if which not in ("", "ORIG_OR_HOST", "HOST", "ORIG"):
        raise FormatRefused(
            f"Invalid REQUESTED_SERVER_NAME option: '{which}', only 'ORIG_OR_HOST'/'HOST'/'ORIG' are allowed"
        )
    if option in ("", "SNI_ONLY"):
        source = "(_server_name(info) if info.requested_server_name is not None else None)"
        return Operator(source=source, names={"_server_name": values.server_name})
    if option not in ("SNI_FIRST", "HOST_FIRST"):
        raise FormatRefused(
            f"Invalid REQUESTED_SERVER_NAME option: '{option}', only 'SNI_ONLY'/'SNI_FIRST'/'HOST_FIRST' are allowed"
        )
    name = "_sni_first" if option == "SNI_FIRST" else "_host_first"
    function = values.server_name_first if option == "SNI_FIRST" else values.host_first
    return Operator(source=f"{name}(info, {which!r})", names={name: function})
