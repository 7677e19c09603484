"""One request on an HTTP/2 connection to an upstream, seen by the router like a connection of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.proxy.http_upstream import FORWARDED_INFORMATIONAL
from sandbox.wire.http2_frames import INTERNAL_ERROR
from sandbox.wire.http2_head import HeadTooLarge, as_answer_to_upgrade, check_size, read_response_head
from sandbox.wire.http2_session import Http2Stream
from sandbox.wire.http_message import Header
from sandbox.wire.http_retries import Reset

if TYPE_CHECKING:
    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.proxy.host import Host
    from sandbox.proxy.http2_upstream import Http2ClientConnection
    from sandbox.proxy.upstream import Upstream
    from sandbox.proxy.upstream_callbacks import UpstreamCallbacks

MAX_HEAD_BYTES = 60 * 1024
MAX_HEADERS = 100
"""Envoy's defaults for responses, which Istio leaves alone."""
WRITE_LIMIT = 256 * 1024
"""Request bytes a stream may hold while the upstream's window is shut."""


class Http2ClientStream:
    """One request; for the router the same as an HTTP/1 connection that was lent for it."""

    is_http2 = True

    __slots__ = (
        "_connection",
        "_counted",
        "_ended",
        "_held",
        "_is_done",
        "_is_head_done",
        "_is_paused",
        "_protocol",
        "_unacknowledged",
        "pool",
        "requests",
        "stream_id",
        "user",
    )

    def __init__(self, connection: Http2ClientConnection, number: int) -> None:
        self._connection = connection
        self.pool = connection.pool
        self.requests = number
        self.stream_id = 0
        self.user: UpstreamCallbacks | None = None
        self._counted: Http2Stream | None = None
        self._ended = False
        self._held: list[bytes] = []
        self._is_done = False
        self._is_head_done = False
        self._is_paused = False
        self._protocol: bytes | None = None
        self._unacknowledged = 0

    @property
    def upstream(self) -> Upstream | None:
        """The connection below."""
        return self._connection.upstream

    @property
    def host(self) -> Host:
        """Where it leads."""
        return self.pool.host

    @property
    def wire_bytes_sent(self) -> int:
        """Of all its frames so far."""
        return 0 if self._counted is None else self._counted.wire_bytes_sent

    @property
    def wire_bytes_received(self) -> int:
        """Of all its frames so far."""
        return 0 if self._counted is None else self._counted.wire_bytes_received

    @property
    def header_bytes_received(self) -> int:
        """Of heads and trailers so far."""
        return 0 if self._counted is None else self._counted.header_bytes_received

    @property
    def header_bytes_sent(self) -> int:
        """Of the head and trailers so far."""
        return 0 if self._counted is None else self._counted.header_bytes_sent

    def count_from(self, info: StreamInfo) -> None:
        """Earlier tries of the same request count too."""
        counted = self._counted
        if counted is not None:
            counted.wire_bytes_sent += info.upstream_wire_bytes_sent
            counted.wire_bytes_received += info.upstream_wire_bytes_received
            counted.header_bytes_sent += info.upstream_header_bytes_sent
            counted.header_bytes_received += info.upstream_header_bytes_received

    # --- the request ---

    def send_request(
        self, user: UpstreamCallbacks, fields: list[Header], *, is_end: bool, protocol: bytes | None = None
    ) -> None:
        """Begins the request with its pseudo headers and others; with a ``protocol`` it asks for an upgrade."""
        self.user = user
        self._protocol = protocol
        self._counted = self._connection.open(self, fields, is_end=is_end)
        self.stream_id = self._counted.stream_id
        self._ended = is_end

    def send_data(self, data: bytes) -> None:
        """Payload of the request; the last of it goes together with the end."""
        if data and not self._is_done and not self._ended:
            self._held.append(data)

    def _send_held(self, *, is_end: bool) -> None:
        data = b"".join(self._held)
        self._held.clear()
        if data or is_end:
            connection = self._connection
            connection.codec.send_data(self.stream_id, data, is_end=is_end)
            is_held = connection.is_blocked or connection.codec.waiting_bytes(self.stream_id) > WRITE_LIMIT
            if not is_end and is_held and self.user is not None:
                self.user.on_upstream_writable(False)

    def send_trailers(self, headers: list[Header]) -> None:
        """Fields after the payload; they end the request."""
        if not self._is_done and not self._ended:
            self._send_held(is_end=False)
            self._ended = True
            self._connection.codec.send_headers(self.stream_id, headers, is_end=True)

    def end_request(self) -> None:
        """The request is complete."""
        if not self._is_done and not self._ended:
            self._ended = True
            self._send_held(is_end=True)
        self.flush()

    def flush(self) -> None:
        """Sends what there is."""
        if not self._is_done and not self._ended:
            self._send_held(is_end=False)
        self._connection.send()

    def read_early_bytes(self) -> None:
        """HTTP/2 has none."""

    def reset(self) -> None:
        """The user gives up; what it has said goes before."""
        if not self._is_done:
            self.user = None
            if not self._ended:
                self._send_held(is_end=False)
            self._connection.codec.reset(self.stream_id, INTERNAL_ERROR)
            self._finish()
            self._connection.send()

    def pause_reading(self, is_paused: bool) -> None:
        """Back-pressure of the client: what is not acknowledged keeps the upstream's window shut."""
        self._is_paused = is_paused
        if not is_paused:
            size, self._unacknowledged = self._unacknowledged, 0
            self._connection.codec.acknowledge(self.stream_id, size)
            self._connection.send()

    # --- the response ---

    def head_received(self, headers: list[Header], *, is_end: bool) -> None:
        """A block of headers: informational, or the final head."""
        user, counted = self.user, self._counted
        if user is None or counted is None:
            return
        try:
            check_size(headers, MAX_HEAD_BYTES, MAX_HEADERS)
        except HeadTooLarge:
            self._connection.codec.refuse_head(counted)
            self.broken(Reset.REMOTE_RESET)
            return
        head = read_response_head(headers)
        if 100 <= head.status < 200:
            if head.status in FORWARDED_INFORMATIONAL:
                user.on_upstream_informational(head)
            return
        self._is_head_done = True
        if self._protocol is not None:
            head = as_answer_to_upgrade(head, self._protocol)
        if is_end:
            self._response_complete(user)
        user.on_upstream_head(head, is_end)

    def data_received(self, data: bytes, size: int, *, is_end: bool) -> None:
        """Payload; ``size`` is what counts against the window."""
        user = self.user
        if user is None:
            self._connection.codec.acknowledge(self.stream_id, size)
            return
        if is_end:
            self._response_complete(user)
        if data:
            user.on_upstream_data(data)
        if self._is_paused and not is_end:
            self._unacknowledged += size
        else:
            self._connection.codec.acknowledge(self.stream_id, size)
        if is_end:
            user.on_upstream_end()

    def trailers_received(self, headers: list[Header]) -> None:
        """Fields after the payload: the end."""
        user = self.user
        if user is None:
            return
        self._response_complete(user)
        user.on_upstream_trailers(headers)
        user.on_upstream_end()

    def broken(self, reset: Reset) -> None:
        """RST_STREAM, GOAWAY before it, or the connection's end."""
        user, self.user = self.user, None
        if self._is_done:
            return
        self._finish()
        if user is not None:
            user.on_upstream_reset(reset)

    def writable(self) -> None:
        """The upstream's window lets all through again."""
        if self.user is not None:
            self.user.on_upstream_writable(True)

    def flushed(self) -> None:
        """All that one read brought has been told."""
        if self.user is not None:
            self.user.on_upstream_flush()

    def _response_complete(self, user: UpstreamCallbacks) -> None:
        """Nothing follows; what the upstream has not asked to hear to its end is broken off."""
        user.on_upstream_counted()
        if not self._ended:
            self._connection.codec.reset(self.stream_id, INTERNAL_ERROR)
            self._connection.send()
        self._finish()

    def _finish(self) -> None:
        self._is_done = True
        self._connection.finished(self)
