"""Compiles an access log of the plan to one function: from StreamInfo to the bytes of a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from sandbox.access_log.command import Command, FormatRefused, parse_format
from sandbox.access_log.filters import StreamPredicate, compile_filter
from sandbox.access_log.json_text import SMALL_NUMBERS, TEXTS, encode, encode_any, json_number, json_text
from sandbox.access_log.operator_values import as_text, header_map
from sandbox.access_log.operators import LogEnvironment, Operator, compile_operator
from sandbox.access_log.stream_info import StreamInfo
from sandbox.plan.access_log import AccessLog, FileAccessLog, SubstitutionFormatString

__all__ = ["CompiledAccessLog", "FormatRefused", "LogEnvironment", "compile_access_log", "compile_line"]

LineFunction = Callable[[StreamInfo], bytes]

_NO_ENVIRONMENT: Final = LogEnvironment()
ENVOY_TEXT: Final = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" '
    '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n'
)
"""What Envoy writes when it is told no format."""


class CompiledAccessLog:
    """One access log ready to write: its file, and the line for a stream."""

    __slots__ = ("line", "path")

    def __init__(self, path: str, line: LineFunction, stream_filter: StreamPredicate | None) -> None:
        self.path = path
        self.line: Callable[[StreamInfo], bytes | None] = line
        """The line with its end, or ``None`` where the log's filter keeps the stream out."""
        if stream_filter is not None:
            self.line = lambda info: line(info) if stream_filter(info) else None


def compile_access_log(log: AccessLog, environment: LogEnvironment = _NO_ENVIRONMENT) -> CompiledAccessLog | None:
    """``None`` for logs that are no files (gRPC, OpenTelemetry).

    Raises FormatRefused for a format or a filter that Envoy would refuse, and with it the whole listener.
    """
    file_log = log.typed_config
    if not isinstance(file_log, FileAccessLog):
        return None
    stream_filter = compile_filter(log.filter) if log.filter is not None else None
    return CompiledAccessLog(file_log.path, compile_line(file_log.log_format, environment), stream_filter)


def compile_line(log_format: SubstitutionFormatString | None, environment: LogEnvironment) -> LineFunction:
    """The line's function; without a format it is Envoy's default text."""
    if log_format is not None and log_format.json_format is not None:
        return _compile_json(log_format.json_format, "" if log_format.omit_empty_values else "-", environment)
    source = log_format.text_format_source if log_format is not None else None
    text = ENVOY_TEXT if source is None else source.inline_string
    if text is None and source is not None:
        text = (source.inline_bytes or b"").decode("utf-8", "surrogateescape")
    absent = "" if log_format is not None and log_format.omit_empty_values else "-"
    return _compile_text(text or "", absent, environment)


_FUNCTIONS: Final = {
    "as_text": as_text,
    "encode": encode,
    "header_map": header_map,
    "json_number": json_number,
    "json_text": json_text,
    "small_number": SMALL_NUMBERS.get,
    "text": TEXTS.get,
}


class _Names:
    """The names that the source of one line function refers to."""

    def __init__(self, environment: LogEnvironment, absent: str) -> None:
        self.environment = environment
        self.absent = absent
        """What is printed for a missing value inside text."""
        self.values: dict[str, Any] = dict(_FUNCTIONS)
        self._count = 0

    def operator(self, command: Command) -> Operator:
        operator = compile_operator(command, self.environment)
        self.values.update(operator.names)
        return operator

    def temporary(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def line_function(self, expression: str, finish: str) -> LineFunction:
        """A function of ``info`` that gives a line: ``finish`` says what is done with the expression's value.

        A header that is not UTF-8 makes it fail; then the line is made once more, in the slower way that can.
        """
        lenient_values = {**self.values, "encode": encode_any}
        lenient = _defined(
            expression.replace(".decode()", f".decode{_ANY_BYTES}"),
            finish.replace(".encode()", f".encode{_ANY_BYTES}"),
            "finally: pass",
            lenient_values,
        )
        values = {**self.values, "lenient": lenient}
        return _defined(expression, finish, "except UnicodeError: return lenient(info)", values)


def _defined(expression: str, finish: str, rescue: str, values: dict[str, Any]) -> LineFunction:
    lines = ["def line(info):", "  try:"]
    for headers, attribute in _HEADER_MAPS.items():
        if re.search(rf"\b{headers}\b", expression):
            lines += [
                f"    {headers} = dict(info.{attribute})",
                f"    if len({headers}) != len(info.{attribute}): {headers} = header_map(info.{attribute})",
            ]
    lines += [f"    return {finish.format(expression)}", f"  {rescue}"]
    exec(compile("\n".join(lines), "<access log format>", "exec"), values)
    function: LineFunction = values["line"]
    return function


_TEXT: Final = "({}).encode()"
_JSON: Final = "{}"
_ANY_BYTES: Final = "('utf-8', 'surrogateescape')"

_HEADER_MAPS: Final = {
    "request": "request_headers",
    "response": "response_headers",
    "trailers": "response_trailers",
}


# --- text ---


def _compile_text(text: str, absent: str, environment: LogEnvironment) -> LineFunction:
    names = _Names(environment, absent)
    return names.line_function(_text_expression(parse_format(text), names), _TEXT)


def _text_expression(parts: list[str | Command], names: _Names) -> str:
    """An expression that gives ``str``: a template and the tuple of its values."""
    template: list[str] = []
    values: list[str] = []
    for part in parts:
        if isinstance(part, str):
            template.append(part.replace("%", "%%"))
        else:
            template.append("%s")
            values.append(_text_value(names.operator(part), names))
    if not values:
        return repr("".join(template).replace("%%", "%"))
    return f"{''.join(template)!r} % ({', '.join(values)},)"


def _text_value(operator: Operator, names: _Names) -> str:
    if operator.is_always_there:
        return operator.source
    name = names.temporary()
    present = f"as_text({name})" if operator.kind == "structure" else name
    return f"({names.absent!r} if ({name} := {operator.source}) is None else {present})"


# --- JSON ---


def _compile_json(json_format: Mapping[str, object], absent: str, environment: LogEnvironment) -> LineFunction:
    """``absent`` stands for missing values beside other text; a value by itself is ``null`` whatever was said."""
    names = _Names(environment, absent)
    template: list[bytes] = []
    values: list[str] = []
    for part in (*_json_parts(json_format, names), b"\n"):
        if isinstance(part, bytes):
            template.append(part.replace(b"%", b"%%"))
        else:
            template.append(b"%b")
            values.append(part)
    return names.line_function(f"{b''.join(template)!r} % ({''.join(value + ', ' for value in values)})", _JSON)


JsonPart = bytes | str
"""JSON that is the same in every line, or an expression that gives some."""


def _json_parts(value: object, names: _Names) -> Iterator[JsonPart]:
    """The parts of a line; the keys of objects are sorted, as by Envoy."""
    if isinstance(value, Mapping):
        yield from _json_group(
            b"{}", ((encode(str(key)) + b":", member) for key, member in sorted(value.items())), names
        )
    elif isinstance(value, (list, tuple)):
        yield from _json_group(b"[]", ((b"", member) for member in value), names)
    elif isinstance(value, str):
        yield _json_string(value, names)
    elif value is None or isinstance(value, bool):
        yield encode(value)
    elif isinstance(value, (int, float)):
        yield json_number(value)
    else:
        raise FormatRefused(
            f"Only string values or nested structs are supported in the JSON access log format: {value}"
        )


def _json_group(brackets: bytes, members: Iterable[tuple[bytes, object]], names: _Names) -> Iterator[JsonPart]:
    yield brackets[:1]
    for place, (key, member) in enumerate(members):
        yield b"," * (place > 0) + key
        yield from _json_parts(member, names)
    yield brackets[1:]


def _json_string(text: str, names: _Names) -> JsonPart:
    """A lone operator keeps its type; with anything beside it the value is a string."""
    parts = parse_format(text)
    if len(parts) != 1 or isinstance(parts[0], str):
        return f"encode({_text_expression(parts, names)})"
    operator = names.operator(parts[0])
    if operator.kind == "structure" or operator.is_varied:
        return f"encode({operator.source})"
    name = names.temporary()
    if operator.kind == "number":
        return f"(small_number({name} := {operator.source}) or json_number({name}))"
    return f"(text({name} := {operator.raw or operator.source}) or json_text({name}))"
