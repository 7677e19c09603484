"""The router's timeouts for one request: the route's, and that of each try."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sandbox.wire.decimal_number import decimal_number
from sandbox.wire.headers import header_value, set_header

if TYPE_CHECKING:
    from sandbox.proxy.http_router import RouteRuntime
    from sandbox.proxy.http_router_filter import RouterFilter
    from sandbox.proxy.http_stream import HttpStream

_STREAM_DURATION = b"x-envoy-upstream-stream-duration-ms"
_MOST_MILLISECONDS = 2**64 - 1
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_LONGEST_GRPC_NUMBER = 99_999_999


def needs_timeouts(stream: HttpStream, route: RouteRuntime) -> bool:
    """Whether any clock may run for this request; what it says of its stream's life goes no further."""
    if _STREAM_DURATION in stream.head.marked:
        stream.headers[:] = [header for header in stream.headers if header[0] != _STREAM_DURATION]
        return True
    if route.timeout > 0 or route.per_try_timeout > 0:
        return True
    return stream.is_grpc and route.max_grpc_timeout is not None


class RequestTimeouts:
    """The clocks, and the headers that tell the upstream of two of them; seconds, 0 is none."""

    __slots__ = (
        "_duration",
        "_filter",
        "_global",
        "_is_waiting_for_end",
        "_per_try",
        "global_timeout",
        "per_try_timeout",
        "stream_duration",
    )

    def __init__(self, router_filter: RouterFilter, route: RouteRuntime) -> None:
        self._filter = router_filter
        self._global: asyncio.TimerHandle | None = None
        self._per_try: asyncio.TimerHandle | None = None
        self._duration: asyncio.TimerHandle | None = None
        self._is_waiting_for_end = False
        self.global_timeout = route.timeout
        self.per_try_timeout = route.per_try_timeout
        stream = router_filter.stream
        asked_duration = decimal_number(stream.head.marked.get(_STREAM_DURATION, b""), _MOST_MILLISECONDS)
        self.stream_duration = (asked_duration or 0) / 1000
        if stream.is_grpc and route.max_grpc_timeout is not None:
            asked = grpc_timeout(header_value(stream.headers, b"grpc-timeout"))
            limit = route.max_grpc_timeout
            self.global_timeout = min(asked, limit) if limit and asked else (asked or limit)
        if 0 < self.global_timeout <= self.per_try_timeout:
            self.per_try_timeout = 0.0

    def set_headers(self, elapsed: float) -> None:
        """``x-envoy-expected-rq-timeout-ms`` (and ``grpc-timeout``) for the next try."""
        expected = round((self.per_try_timeout or self.global_timeout) * 1000)
        if expected <= 0:
            return
        if self.global_timeout > 0:
            left = round((self.global_timeout - elapsed) * 1000)
            expected = min(expected, left) if left > 0 else 1
        stream = self._filter.stream
        if not stream.manager.suppresses_envoy_headers:
            set_header(stream.headers, b"x-envoy-expected-rq-timeout-ms", b"%d" % expected)
        if stream.is_grpc and self._filter.route.max_grpc_timeout is not None:
            set_header(stream.headers, b"grpc-timeout", grpc_timeout_text(expected))

    def request_completed(self, *, has_connection: bool) -> None:
        """The request's last byte is in: the route's clock starts."""
        self.start_global()
        if self._is_waiting_for_end and has_connection:
            self._start_try()

    def start_global(self) -> None:
        """Starts the route's clock."""
        if self._global is None and self.global_timeout > 0:
            self._global = asyncio.get_running_loop().call_later(self.global_timeout, self._filter.on_timeout)

    def try_started(self, *, is_request_complete: bool) -> None:
        """A connection has taken the request."""
        self._end_duration()
        if self.stream_duration > 0:
            loop = asyncio.get_running_loop()
            self._duration = loop.call_later(self.stream_duration, self._on_duration)
        if is_request_complete:
            self._start_try()
        else:
            self._is_waiting_for_end = True

    def _start_try(self) -> None:
        self.try_ended()
        if self.per_try_timeout > 0:
            self._per_try = asyncio.get_running_loop().call_later(self.per_try_timeout, self._on_per_try)

    def try_ended(self) -> None:
        """This try is over."""
        self._is_waiting_for_end = False
        if self._per_try is not None:
            self._per_try.cancel()
            self._per_try = None

    def _on_per_try(self) -> None:
        self._filter.on_try_timeout(is_duration=False)

    def _on_duration(self) -> None:
        self._filter.on_try_timeout(is_duration=True)

    def _end_duration(self) -> None:
        if self._duration is not None:
            self._duration.cancel()
            self._duration = None

    def response_started(self, *, is_upgrade: bool) -> None:
        """A head that is passed on: no try follows; an accepted upgrade has no timeout any more."""
        self.try_ended()
        if is_upgrade:
            self.stop()
            self.global_timeout = self.per_try_timeout = 0.0  # whatever ends afterwards starts no clock

    def stop(self) -> None:
        """The request is over."""
        self.try_ended()
        self._end_duration()
        if self._global is not None:
            self._global.cancel()
            self._global = None


def grpc_timeout(value: bytes | None) -> float:
    """Seconds of a ``grpc-timeout`` header; 0 where there is none or it is malformed."""
    if not value or len(value) > 9 or not value[:-1].isdigit() or value[-1:] not in _UNITS:
        return 0.0
    return int(value[:-1]) * _UNITS[value[-1:]]


def grpc_timeout_text(milliseconds: int) -> bytes:
    """As a ``grpc-timeout`` header: at most eight digits, milliseconds where they fit."""
    number = milliseconds
    for unit, following in ((b"m", 1000), (b"S", 60), (b"M", 60)):
        if number <= _LONGEST_GRPC_NUMBER:
            return b"%d%b" % (number, unit)
        number //= following
    return b"%dH" % number
