"""Operators of times, addresses, metadata and the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.access_log import operator_values as values
from sandbox.access_log.command import Command, FormatRefused
from sandbox.access_log.operator import Builder, LogEnvironment, Operator, constant
from sandbox.access_log.timestamps import compile_time_format

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
    "DS_CX_BEG": "info.connection_start",
    "DS_CX_END": "(None if info.is_http else info.end)",
}


def time(command: Command, _environment: LogEnvironment) -> Operator:
    """``START_TIME(format)``, ``EMIT_TIME(format)``, in UTC or local time."""
    moment = "info.start_wall"
    if command.name.startswith("EMIT"):
        moment = "(info.start_wall + ((info.end or info.start) - info.start))"
    name = f"_time_{abs(hash((command.name, command.argument)))}"
    formatter = compile_time_format(command.argument, is_local=command.name.endswith("LOCAL"))
    return Operator(source=f"{name}({moment})", is_always_there=True, is_varied=True, names={name: formatter})


def duration(begin: str, end: str) -> Builder:
    """Milliseconds between two moments."""
    operator = _duration_operator(begin, end, 1_000)
    return lambda _command, _environment: operator


def _duration_operator(begin: str, end: str, per_second: int) -> Operator:
    source = f"_span({begin}, {end}, {per_second})"
    return Operator(source=source, kind="number", names={"_span": values.span})


def total_duration(_command: Command, environment: LogEnvironment) -> Operator:
    """Milliseconds from the first byte to the end, or to the present."""
    if environment.clock is not None:
        source = "int(((_clock() if info.end is None else info.end) - info.start) * 1000 + 1e-6)"
        return Operator(source=source, kind="number", is_always_there=True, names={"_clock": environment.clock})
    source = "(0 if info.end is None else int((info.end - info.start) * 1000 + 1e-6))"
    return Operator(source=source, kind="number", is_always_there=True)


def common_duration(command: Command, _environment: LogEnvironment) -> Operator:
    """``COMMON_DURATION(START:END:PRECISION)``."""
    parts = command.argument.split(":")
    if not 2 <= len(parts) <= 3:
        raise FormatRefused(f"Invalid common duration configuration: {command.argument}.")
    precision = parts[2] if len(parts) == 3 else "ms"
    per_second = {"ms": 10**3, "us": 10**6, "ns": 10**9}.get(precision)
    if per_second is None:
        raise FormatRefused(f"Invalid common duration precision: {precision}.")
    begin, end = _MOMENTS.get(parts[0]), _MOMENTS.get(parts[1])
    if begin is None or end is None:
        return constant(None)  # a custom time point, which nothing sets
    return _duration_operator(begin, end, per_second)


def address(read: Callable[..., str | None], form: str) -> Builder:
    """An address: whole, without port (perhaps masked), or the port."""

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


def environment_variable(command: Command, environment: LogEnvironment) -> Operator:
    """``ENVIRONMENT(X):Z``; ``-`` where it is not set."""
    value = environment.variables.get(command.argument, "-")
    return constant(values.truncated(value, command.max_length), is_always_there=True)


def hostname(_command: Command, environment: LogEnvironment) -> Operator:
    """The machine's name."""
    return constant(environment.hostname, is_always_there=True)


def metadata(function: Callable[..., object]) -> Builder:
    """``X_METADATA(NAMESPACE:KEY*):Z``."""

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


def metadata_of_kind(command: Command, environment: LogEnvironment) -> Operator:
    """``METADATA(KIND:NAMESPACE:KEY*):Z``."""
    kind, _, rest = command.argument.partition(":")
    function = _METADATA_KINDS.get(kind)
    if function is None:
        raise FormatRefused(f"{kind} is not supported type of metadata")
    return metadata(function)(Command(command.name, rest, command.max_length), environment)


def filter_state(command: Command, _environment: LogEnvironment) -> Operator:
    """``FILTER_STATE(KEY:TYPE:FIELD):Z``."""
    key, _, rest = command.argument.partition(":")
    form, _, member = rest.partition(":")
    if not key:
        raise FormatRefused("Invalid filter state configuration, key cannot be empty.")
    if form not in ("", "PLAIN", "TYPED", "FIELD"):
        raise FormatRefused("Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.")
    if (form == "FIELD") != bool(member):
        raise FormatRefused("Invalid filter state serialize type, FIELD should be used with the field name.")
    if command.name.startswith("UPSTREAM"):
        return constant(None)
    source = f"_filter_state(info, {key!r}, {member!r}, {command.max_length})"
    return Operator(source=source, kind="structure", names={"_filter_state": values.filter_state})
