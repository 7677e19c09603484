"""Header operations of routes and clusters, compiled: removals, then settings, then additions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.access_log.format import LogEnvironment, compile_line
from sandbox.plan.access_log import SubstitutionFormatString
from sandbox.plan.base import DataSource
from sandbox.wire.headers import add_or_join
from sandbox.wire.http_message import Header

if TYPE_CHECKING:
    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.plan.base import HeaderValueOption

Value = Callable[["StreamInfo"], bytes]


class HeaderMutations:
    """What one level (route, weighted cluster, route configuration) does to a list of headers."""

    __slots__ = ("_adds", "_removed", "_sets", "written")

    def __init__(
        self, add: tuple[HeaderValueOption, ...], remove: tuple[str, ...], environment: LogEnvironment
    ) -> None:
        self._removed = frozenset(name.lower().encode() for name in remove)
        sets: list[tuple[bytes, Value, str, bool]] = []
        adds: list[tuple[bytes, Value, str, bool]] = []
        for option in add:
            if option.header is None:
                continue
            entry = (
                option.header.key.lower().encode(),
                compile_value(option.header.value, environment),
                option.append_action,
                option.keep_empty_value,
            )
            (sets if option.append_action.startswith("OVERWRITE") else adds).append(entry)
        self._sets = tuple(sets)
        self._adds = tuple(adds)
        self.written = frozenset(name for name, *_ in (*sets, *adds))
        """The fields that may be there afterwards."""

    def apply(self, headers: list[Header], info: StreamInfo) -> None:
        """Changes the list in place; values are all formatted first. What is set moves to the end, as in Envoy."""
        sets = [(name, value(info), action, keep) for name, value, action, keep in self._sets]
        adds = [(name, value(info), action, keep) for name, value, action, keep in self._adds]
        if self._removed:
            headers[:] = [header for header in headers if header[0] not in self._removed]
        for name, text, action, keep_empty in sets:
            if (text or keep_empty) and (action == "OVERWRITE_IF_EXISTS_OR_ADD" or _has(headers, name)):
                headers[:] = [header for header in headers if header[0] != name]
                headers.append((name, text))
        for name, text, action, keep_empty in adds:
            if (text or keep_empty) and (action != "ADD_IF_ABSENT" or not _has(headers, name)):
                add_or_join(headers, name, text)


def compile_mutations(
    add: tuple[HeaderValueOption, ...], remove: tuple[str, ...], environment: LogEnvironment
) -> HeaderMutations | None:
    """The operations, or ``None`` where there are none."""
    return HeaderMutations(add, remove, environment) if add or remove else None


def compile_value(text: str, environment: LogEnvironment) -> Value:
    """A header value with ``%OPERATORS%`` as a function of the stream."""
    if "%" not in text:
        constant = text.encode()
        return lambda _info: constant
    source = DataSource(inline_string=text)
    return compile_line(SubstitutionFormatString(text_format_source=source, omit_empty_values=True), environment)


def _has(headers: list[Header], name: bytes) -> bool:
    return any(existing == name for existing, _ in headers)
