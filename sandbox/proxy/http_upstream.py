"""One HTTP/1 connection to an upstream: writes requests, reads responses, tells its user what happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from sandbox.wire.headers import tells_upgrade
from sandbox.wire.http1_body import LAST_CHUNK, BodyError, BodyReader, ChunkedBody, LengthBody, UntilCloseBody, chunk
from sandbox.wire.http1_lines import field_bytes
from sandbox.wire.http1_response import FIELDS_REFUSED, RESPONSE_LIMITS, ResponseHeadReader
from sandbox.wire.http_message import Header, Refusal, ResponseHead
from sandbox.wire.http_retries import Reset

if TYPE_CHECKING:
    from sandbox.proxy.host import Host
    from sandbox.proxy.http_connection_pool import HttpConnectionPool
    from sandbox.proxy.upstream import Upstream
    from sandbox.proxy.upstream_callbacks import UpstreamCallbacks

_HEADS = ResponseHeadReader()
FORWARDED_INFORMATIONAL = frozenset({100, 102, 103, 104})
"""Other 1xx heads are dropped."""


class Http1ClientConnection(asyncio.Protocol):
    """A pooled connection; at most one request at a time."""

    is_http2 = False

    __slots__ = (
        "_body",
        "_buffer",
        "_expects_no_body",
        "_head",
        "_held",
        "_is_chunked_request",
        "_is_head_done",
        "_is_request_done",
        "_is_tunnel",
        "_is_upgrade",
        "generation",
        "header_bytes",
        "idle_since",
        "is_closed",
        "must_close",
        "pool",
        "requests",
        "transport",
        "upstream",
        "user",
        "wire_bytes_received",
        "wire_bytes_sent",
    )

    def __init__(self, pool: HttpConnectionPool) -> None:
        self.pool = pool
        self.transport: asyncio.Transport | None = None
        self.upstream: Upstream | None = None
        self.user: UpstreamCallbacks | None = None
        self.is_closed = False
        self.generation = 0
        self.requests = 0
        self.idle_since = 0.0
        self.wire_bytes_received = 0
        self.wire_bytes_sent = 0
        self._head: ResponseHead | None = None
        self.header_bytes = 0
        self._buffer = b""
        self._held: list[bytes] = []
        """Parts of a request not yet written: what one event brings goes out in one piece."""
        self._body: BodyReader | None = None
        self._is_head_done = False
        self._is_request_done = False
        self._is_chunked_request = False
        self._is_upgrade = False
        self._is_tunnel = False
        self._expects_no_body = False
        self.must_close = False

    @property
    def host(self) -> Host:
        """Where it leads."""
        return self.pool.host

    @property
    def header_bytes_received(self) -> int:
        """Of all heads, as Envoy counts them."""
        head, self._head = self._head, None
        if head is not None:
            self.header_bytes += field_bytes(head.raw)
        return self.header_bytes

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's

    def connected(self, upstream: Upstream) -> None:
        """The connection stands (TLS included)."""
        self.upstream = upstream
        self.transport = upstream.transport
        if self.pool.max_connection_duration > 0:
            asyncio.get_running_loop().call_later(self.pool.max_connection_duration, self._too_old)

    def _too_old(self) -> None:
        self.must_close = True
        if self.user is None:
            self.close()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.user is None:
            # before the first request its bytes are kept for it; on an idle connection nobody asked for them
            if self.requests == 0:
                self._buffer += data
            else:
                self.close()
            return
        user = self.user
        self.wire_bytes_received += len(data)
        if self._is_head_done:
            self._read_body(data)
        else:
            self._read_head(self._buffer + data if self._buffer else data)
        if self.user is user:
            user.on_upstream_flush()

    def eof_received(self) -> bool:
        """See asyncio.Protocol: Envoy knows no half-closed HTTP/1."""
        self._ended()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._ended()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.user is not None:
            self.user.on_upstream_writable(False)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.user is not None:
            self.user.on_upstream_writable(True)

    # --- the request ---

    def send_head(
        self, user: UpstreamCallbacks, head: bytes, is_chunked: bool, is_head_method: bool, is_upgrade: bool
    ) -> None:
        """Begins a request; its body follows by ``send_data``, its end by ``end_request``."""
        self.user = user
        self._is_head_done = False
        self._is_request_done = False
        self._is_chunked_request = is_chunked
        self._expects_no_body = is_head_method
        self._is_upgrade = is_upgrade
        self._head = None
        self.header_bytes = 0
        self.wire_bytes_sent = len(head)
        self.wire_bytes_received = 0
        self._held.append(head)

    def send_data(self, data: bytes) -> None:
        """Payload of the request."""
        if data and self.transport is not None and not self.is_closed:
            framed = chunk(data) if self._is_chunked_request else data
            self.wire_bytes_sent += len(framed)
            self._held.append(framed)

    def send_trailers(self, headers: list[Header]) -> None:
        """Envoy drops trailers towards HTTP/1 unless told otherwise, and Istio does not tell."""

    def end_request(self) -> None:
        """The request is complete; what the upstream already said (before it was asked) is read now."""
        self._is_request_done = True
        if self._is_chunked_request:
            self.wire_bytes_sent += len(LAST_CHUNK)
            self._held.append(LAST_CHUNK)
        self.flush()

    def flush(self) -> None:
        """Writes what is held."""
        held = self._held
        if held:
            if self.transport is not None and not self.is_closed:
                self.transport.write(held[0] if len(held) == 1 else b"".join(held))
            held.clear()

    def read_early_bytes(self) -> None:
        """Reads what came before the request was sent."""
        if self._buffer and not self._is_head_done:
            early, self._buffer = self._buffer, b""
            self.data_received(early)

    def reset(self) -> None:
        """The user gives up: the connection is closed, nothing is called back."""
        if self.user is None:
            return
        self.flush()
        self.user = None
        self.must_close = True
        self.close()
        self.pool.release(self)

    def pause_reading(self, is_paused: bool) -> None:
        """Back-pressure of the client."""
        if self.transport is not None and not self.is_closed:
            if is_paused:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    # --- the response ---

    def _read_head(self, data: bytes) -> None:
        while True:
            head = _HEADS.read(data)
            if head is None:
                self._buffer = data
                return
            self._buffer = b""
            if type(head) is Refusal:
                if head is FIELDS_REFUSED:
                    self.header_bytes += field_bytes(data.partition(b"\r\n\r\n")[0], RESPONSE_LIMITS.max_count)
                self._break(Reset.PROTOCOL_ERROR)
                return
            data = data[head.size :]
            if head.is_simple and len(data) == head.content_length and not self._expects_no_body:
                self._whole_response(head, data)
                return
            assert self.user is not None
            if 100 <= head.status < 200 and head.status != 101:
                if head.status in FORWARDED_INFORMATIONAL:
                    self.user.on_upstream_informational(head)
                self._head = head
                self.header_bytes = self.header_bytes_received
                if not data:
                    return
                continue
            break
        self._final_head(head, data)

    # hot: most responses come in one piece
    def _whole_response(self, head: ResponseHead, payload: bytes) -> None:
        """What ``_final_head`` and ``_read_body`` do, without a reader for the body."""
        user = self.user
        assert user is not None
        self._is_head_done = True
        self._body = None
        self._head = head
        user.on_upstream_head(head, False)
        if self.user is user:
            user.on_upstream_counted()
            self.user = None
            if not self._is_request_done:
                self.must_close = True
            self.pool.release(self)
            user.on_upstream_data(payload)
            user.on_upstream_end()

    def _final_head(self, head: ResponseHead, rest: bytes) -> None:
        user = self.user
        assert user is not None
        self._is_head_done = True
        connection = head.marked.get(b"connection")
        if not head.is_http11:
            self.must_close = connection is None or b"keep-alive" not in connection.lower()
        elif (connection is not None and b"close" in connection.lower()) or (
            b"proxy-connection" in head.marked and b"close" in head.marked[b"proxy-connection"].lower()
        ):
            self.must_close = True
        body = self._body_of(head)
        self._body = body
        self._is_tunnel = head.status == 101 and body is not None
        self._head = head
        if body is None or body.is_done:
            self._finish(rest)
            user.on_upstream_head(head, True)
            return
        user.on_upstream_head(head, False)
        if rest and self.user is user:
            self._read_body(rest)

    def _body_of(self, head: ResponseHead) -> BodyReader | None:
        status = head.status
        if status == 101 and self._is_upgrade and tells_upgrade(head.marked):
            return UntilCloseBody()
        if self._expects_no_body or 100 <= status < 200 or status in (204, 304):
            return None
        if head.is_chunked:
            return ChunkedBody()
        if head.content_length is not None:
            return LengthBody(head.content_length)
        self.must_close = True
        return UntilCloseBody()

    def _read_body(self, data: bytes) -> None:
        body, user = self._body, self.user
        assert body is not None
        assert user is not None
        try:
            payload, rest = body.feed(data)
        except BodyError as error:
            if error.payload:
                user.on_upstream_data(error.payload)
            self._break(Reset.PROTOCOL_ERROR)
            return
        if not body.is_done:
            if payload:
                user.on_upstream_data(payload)
            return
        self._finish(rest)
        if payload:
            user.on_upstream_data(payload)
        user.on_upstream_end()

    def _finish(self, rest: bytes) -> None:
        """The response is complete: the connection goes back to its pool, or is closed."""
        if self.user is not None:
            self.user.on_upstream_counted()
        self.user = None
        if rest or not self._is_request_done:
            self.must_close = True
        self.pool.release(self)

    def _break(self, reset: Reset) -> None:
        user, self.user = self.user, None
        self.must_close = True
        self.close()
        if user is not None:
            self.pool.release(self)
            user.on_upstream_reset(reset)

    def _ended(self) -> None:
        """The upstream ended the connection, or it broke."""
        if self.is_closed:
            return
        self.is_closed = True
        if self.transport is not None:
            self.transport.close()
        if self.upstream is None:
            return  # still connecting: the connector reports it
        user, self.user = self.user, None
        self.pool.connection_closed(self)
        if user is None:
            return
        self.pool.release(self)
        if isinstance(self._body, UntilCloseBody) and self._is_head_done:
            if self._is_tunnel:
                user.on_upstream_reset(Reset.CONNECTION_TERMINATION)
            else:
                user.on_upstream_counted()
                user.on_upstream_end()
        elif self._is_head_done or self._buffer:
            user.on_upstream_reset(Reset.PROTOCOL_ERROR)
        else:
            user.on_upstream_reset(Reset.CONNECTION_TERMINATION)

    def closed_early(self) -> None:
        """It was closed before its first user came; a user that came has been told nothing yet."""
        user, self.user = self.user, None
        self.pool.connection_closed(self)
        if user is not None:
            self.pool.release(self)
            user.on_upstream_reset(Reset.PROTOCOL_ERROR if self._buffer else Reset.CONNECTION_TERMINATION)

    # --- the connection ---

    def close(self) -> None:
        """Ends it from our side."""
        if self.is_closed:
            return
        self.is_closed = True
        if self.transport is not None:
            self.transport.close()
        self.pool.connection_closed(self)
