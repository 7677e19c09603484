"""HttpTunnel: CONNECT or POST through an HTTP/1.1 upstream before the first byte of a TCP connection.

A tunnel by CONNECT carries bytes as they are; one by POST is a request and a response whose bodies are the bytes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sandbox.proxy.failure import FailureKind, UpstreamFailure
from sandbox.proxy.http_upstream import FORWARDED_INFORMATIONAL
from sandbox.proxy.stream_relay import StreamEnd
from sandbox.wire.http1_body import BodyError, BodyReader, ChunkedBody, LengthBody, UntilCloseBody, chunk
from sandbox.wire.http1_response import read_response_head
from sandbox.wire.http_message import ResponseHead

if TYPE_CHECKING:
    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.plan.listener import TunnelingConfig

SERVER_NAME_OPERATOR: Final = "%REQUESTED_SERVER_NAME%"


LAST_CHUNK: Final = b"0\r\n\r\n"
BODILESS: Final = (204, 304)


class TunnelEnd(StreamEnd):
    """The upstream's side of a tunnel by CONNECT, and what its HTTP comes to on the wire."""

    def __init__(self) -> None:
        super().__init__()
        self.wire_sent = 0
        self.wire_received = 0

    @property
    def has_no_halves(self) -> bool:
        """See StreamEnd: the end of either body ends the request, and so the tunnel."""
        return True

    def write(self, data: bytes) -> None:
        """See StreamEnd."""
        self.wire_sent += len(data)
        super().write(data)

    def data_received(self, data: bytes) -> None:
        """See StreamEnd."""
        if self.waiting is None and self.relay is not None:
            self.wire_received += len(data)
        super().data_received(data)


class PostEnd(TunnelEnd):
    """The upstream's side of a tunnel by POST: payload in chunks one way, a response's body the other."""

    def __init__(self) -> None:
        super().__init__()
        self.body: BodyReader = UntilCloseBody()

    def write(self, data: bytes) -> None:
        """See StreamEnd."""
        super().write(chunk(data))

    def write_eof(self) -> None:
        """See StreamEnd: the request is complete."""
        super().write(LAST_CHUNK)
        super().write_eof()

    def data_received(self, data: bytes) -> None:
        """See StreamEnd: only payload goes on; the tunnel ends with the response."""
        relay = self.relay
        if self.waiting is not None or relay is None:
            super().data_received(data)
            return
        try:
            payload, _ = self.body.feed(data)
        except BodyError as error:
            payload, self.body = error.payload, LengthBody(0)
        self.wire_received += len(data) - len(payload)
        if payload:
            super().data_received(payload)
        if self.body.is_done:
            relay.close()


class HttpTunnel:
    """The request of one TCP proxy's tunnels."""

    __slots__ = ("_host", "_method")

    def __init__(self, plan: TunnelingConfig) -> None:
        self._host = plan.hostname
        self._method = "POST" if plan.use_post else "CONNECT"

    def new_end(self) -> TunnelEnd:
        """For the connection to the upstream."""
        return PostEnd() if self._method == "POST" else TunnelEnd()

    def request(self, server_name: str | None) -> bytes:
        """What goes upstream first."""
        host = self._host.replace(SERVER_NAME_OPERATOR, server_name or "-")
        if self._method == "POST":
            return f"POST / HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        return f"CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()

    async def open(self, end: StreamEnd, server_name: str | None) -> UpstreamFailure | None:
        """Asks, and waits for the answer's head; ``None`` for a 2xx, what follows the head is the tunnel's.

        Informational heads are passed over; a response to POST that is over with its head is none to begin with.
        """
        transport = end.transport
        if transport is None or not isinstance(end, TunnelEnd):
            return _refused(None)
        answer = _Answer(asyncio.get_running_loop().create_future())
        end.waiting = answer.take
        request = self.request(server_name)
        end.wire_sent += len(request)
        transport.write(request)
        end.resume()
        try:
            head, end.early = await answer.done
        except asyncio.CancelledError:
            end.close()
            raise
        finally:
            end.waiting = None
        end.wire_received += answer.heads_size
        if head is None or not 200 <= head.status < 300:
            end.wire_received += len(end.early)
            return _refused(head)
        if isinstance(end, PostEnd):
            end.body = _body_of(head)
            if end.body.is_done:
                return _refused(head)
        if not end.is_lost:
            transport.pause_reading()
        return None


def count_wire_bytes(info: StreamInfo, end: StreamEnd) -> None:
    """Envoy counts heads, bodies as they are on the wire, and the payload once more."""
    if isinstance(end, TunnelEnd):
        info.upstream_wire_bytes_sent = end.wire_sent + info.bytes_received
        info.upstream_wire_bytes_received = end.wire_received + info.bytes_sent


def _refused(head: ResponseHead | None) -> UpstreamFailure:
    reason = None if head is None or not head.status else f"tunnel_response:{head.status}"
    return UpstreamFailure(FailureKind.REMOTE_CONNECTION_FAILURE, transport_failure_reason=reason)


class _Answer:
    """Collects the head."""

    def __init__(self, done: asyncio.Future[tuple[ResponseHead | None, bytes]]) -> None:
        self.done = done
        self.heads_size = 0
        self._data = b""

    def take(self, data: bytes) -> None:
        """More bytes, or none at the end."""
        self._data += data
        while not self.done.done():
            head = read_response_head(self._data, at_end=not data)
            if head is None:
                return
            if not isinstance(head, ResponseHead):
                self.heads_size += len(self._data)
                self.done.set_result((None, b""))
                return
            self.heads_size += head.size
            self._data = self._data[head.size :]
            if head.status not in FORWARDED_INFORMATIONAL:
                self.done.set_result((head, self._data))


def _body_of(head: ResponseHead) -> BodyReader:
    if head.status in BODILESS:
        return LengthBody(0)
    if head.is_chunked:
        return ChunkedBody()
    return UntilCloseBody() if head.content_length is None else LengthBody(head.content_length)
