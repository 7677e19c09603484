"""Which streams an access log takes: response flags, CEL expressions, and all of several."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.access_log.command import FormatRefused
from sandbox.access_log.stream_info import StreamInfo
from sandbox.plan.access_log import AccessLogFilter, ExpressionFilter, ResponseFlagFilter

StreamPredicate = Callable[[StreamInfo], bool]


def compile_filter(log_filter: AccessLogFilter) -> StreamPredicate:
    """Whether a stream is logged. Raises FormatRefused for an expression that does not parse."""
    if log_filter.response_flag_filter is not None:
        return _compile_flags(log_filter.response_flag_filter)
    if log_filter.and_filter is not None:
        parts = tuple(compile_filter(part) for part in log_filter.and_filter.filters)
        return lambda info: all(part(info) for part in parts)
    extension = log_filter.extension_filter.typed_config if log_filter.extension_filter is not None else None
    if isinstance(extension, ExpressionFilter):
        from sandbox.access_log.cel import compile_expression

        return compile_expression(extension.expression)
    raise FormatRefused("the access log's filter is of a kind that is not emulated")


def _compile_flags(flag_filter: ResponseFlagFilter) -> StreamPredicate:
    if not flag_filter.flags:
        return lambda info: bool(info.response_flags)
    wanted = frozenset(flag_filter.flags)
    return lambda info: not wanted.isdisjoint(info.response_flags)
