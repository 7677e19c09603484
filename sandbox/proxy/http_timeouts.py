"""The clocks of one stream: idle, request, overall duration. Made only where one of them is configured."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from sandbox.proxy.timers import TOLERANCE_SECONDS

if TYPE_CHECKING:
    from sandbox.proxy.http_router import RouteRuntime
    from sandbox.proxy.http_stream import HttpStream


_DEADLINE_EXCEEDED = 4
"""gRPC's status."""


class HeadLimit(msgspec.Struct, frozen=True):
    """How long a client may take for a request's head, and what it is told then (with 408)."""

    seconds: float
    body: bytes
    details: str
    flags: tuple[str, ...] = ()


def head_limit(headers_timeout: float, idle_timeout: float, max_duration: float) -> HeadLimit | None:
    """The shortest of the times that a head counts for; 0 is none."""
    limits = (
        HeadLimit(headers_timeout, b"request header timeout", "request_header_timeout"),
        HeadLimit(idle_timeout, b"stream timeout", "stream_idle_timeout", ("SI",)),
        HeadLimit(max_duration, b"downstream duration timeout", "max_duration_timeout"),
    )
    return min((limit for limit in limits if limit.seconds > 0), key=lambda limit: limit.seconds, default=None)


class StreamTimers:
    """Timers of the connection manager for one stream; times in seconds, 0 is none."""

    __slots__ = ("_activity", "_duration", "_idle", "_loop", "_request", "_stream", "idle_timeout")

    def __init__(self, stream: HttpStream) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._activity = self._loop.time()
        self._idle: asyncio.TimerHandle | None = None
        self._request: asyncio.TimerHandle | None = None
        self._duration: asyncio.TimerHandle | None = None
        self.idle_timeout = 0.0

    def follow(self, route: RouteRuntime) -> None:
        """The route's own times count from now on."""
        if route.idle_timeout is not None:
            self.start_idle(route.idle_timeout)
        if route.max_stream_duration is not None:
            self.start_duration(route.max_stream_duration)

    @classmethod
    def of_manager(cls, stream: HttpStream) -> StreamTimers:
        """The clocks of the stream's connection manager, started."""
        manager = stream.manager
        timers = cls(stream)
        timers.start_idle(manager.stream_idle_timeout)
        if manager.request_timeout > 0 and not stream.is_request_complete:
            timers.start_request(manager.request_timeout)
        timers.start_duration(manager.max_stream_duration)
        return timers

    def start_idle(self, timeout: float) -> None:
        """(Re)starts the idle clock with this limit."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self.idle_timeout = timeout
        if timeout > 0:
            self._idle = self._loop.call_later(timeout, self._on_idle)

    def start_request(self, timeout: float) -> None:
        """The request must be complete by then."""
        self._request = self._loop.call_later(timeout, self._on_request)

    def start_duration(self, timeout: float) -> None:
        """The stream must have ended by then (a later call replaces an earlier one; 0 is none)."""
        if self._duration is not None:
            self._duration.cancel()
            self._duration = None
        if timeout > 0:
            self._duration = self._loop.call_later(timeout, self._on_duration)

    def touch(self) -> None:
        """Something was read or written."""
        self._activity = self._loop.time()

    def request_complete(self) -> None:
        """The request's last byte is in."""
        self.touch()
        if self._request is not None:
            self._request.cancel()
            self._request = None

    def stop(self) -> None:
        """The stream has ended."""
        for timer in (self._idle, self._request, self._duration):
            if timer is not None:
                timer.cancel()
        self._idle = self._request = self._duration = None

    def _on_idle(self) -> None:
        left = self._activity + self.idle_timeout - self._loop.time()
        if left > TOLERANCE_SECONDS:
            self._idle = self._loop.call_later(left, self._on_idle)
            return
        self._idle = None
        stream = self._stream
        stream.info.response_flags.append("SI")
        stream.timed_out(504 if stream.is_request_complete else 408, b"stream timeout", "stream_idle_timeout")

    def _on_request(self) -> None:
        self._request = None
        self._stream.timed_out(408, b"request timeout", "request_overall_timeout")

    def _on_duration(self) -> None:
        self._duration = None
        stream = self._stream
        status = 504 if stream.is_request_complete else 408
        stream.timed_out(status, b"downstream duration timeout", "max_duration_timeout", grpc_status=_DEADLINE_EXCEEDED)
