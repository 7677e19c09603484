"""HttpTunnel: CONNECT or POST through an HTTP/1.1 upstream before the first byte of a TCP connection.

A tunnel by CONNECT carries bytes as they are; one by POST is a request and a response whose bodies are the bytes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sandbox.proxy.failure import FailureKind, UpstreamFailure
from sandbox.proxy.stream_relay import StreamEnd
from sandbox.wire.http1_body import BodyError, BodyReader, ChunkedBody, LengthBody, UntilCloseBody, chunk
from sandbox.wire.http1_response import read_response_head
from sandbox.wire.http_message import ResponseHead

if TYPE_CHECKING:
    from sandbox.plan.listener import TunnelingConfig

MAXIMUM_HEAD: Final = 61_440
SERVER_NAME_OPERATOR: Final = "%REQUESTED_SERVER_NAME%"


LAST_CHUNK: Final = b"0\r\n\r\n"


class PostEnd(StreamEnd):
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

    def new_end(self) -> StreamEnd:
        """For the connection to the upstream."""
        return PostEnd() if self._method == "POST" else StreamEnd()

    def request(self, server_name: str | None) -> bytes:
        """What goes upstream first."""
        host = self._host.replace(SERVER_NAME_OPERATOR, server_name or "-")
        if self._method == "POST":
            return f"POST / HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        return f"CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()

    async def open(self, end: StreamEnd, server_name: str | None) -> UpstreamFailure | None:
        """Asks, and waits for the answer's head; ``None`` for a 2xx, what follows the head is the tunnel's."""
        transport = end.transport
        if transport is None:
            return _refused(None)
        answer = _Answer(asyncio.get_running_loop().create_future())
        end.waiting = answer.take
        transport.write(self.request(server_name))
        end.resume()
        head, end.early = await answer.done
        end.waiting = None
        if head is None or not 200 <= head.status < 300:
            return _refused(None if head is None else head.status)
        if isinstance(end, PostEnd):
            end.body = _body_of(head)
        if not end.is_lost:
            transport.pause_reading()
        return None


def _refused(status: int | None) -> UpstreamFailure:
    reason = None if status is None else f"tunnel_response:{status}"
    return UpstreamFailure(FailureKind.REMOTE_CONNECTION_FAILURE, transport_failure_reason=reason)


class _Answer:
    """Collects the head."""

    def __init__(self, done: asyncio.Future[tuple[ResponseHead | None, bytes]]) -> None:
        self.done = done
        self._data = b""

    def take(self, data: bytes) -> None:
        """More bytes, or none at the end."""
        self._data += data
        if self.done.done():
            return
        if b"\r\n\r\n" in self._data:
            head = read_response_head(self._data)
            known = head if isinstance(head, ResponseHead) else None
            self.done.set_result((known, b"" if known is None else self._data[known.size :]))
        elif not data or len(self._data) > MAXIMUM_HEAD:
            self.done.set_result((None, b""))


def _body_of(head: ResponseHead) -> BodyReader:
    if head.is_chunked:
        return ChunkedBody()
    return UntilCloseBody() if head.content_length is None else LengthBody(head.content_length)
