"""HttpTunnel: CONNECT (or POST) through an HTTP/1.1 upstream before the first byte of a TCP connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sandbox.proxy.failure import FailureKind, UpstreamFailure

if TYPE_CHECKING:
    from sandbox.plan.listener import TunnelingConfig
    from sandbox.proxy.stream_relay import StreamEnd

MAXIMUM_HEAD: Final = 61_440
SERVER_NAME_OPERATOR: Final = "%REQUESTED_SERVER_NAME%"


class HttpTunnel:
    """The request of one TCP proxy's tunnels."""

    __slots__ = ("_host", "_method")

    def __init__(self, plan: TunnelingConfig) -> None:
        self._host = plan.hostname
        self._method = "POST" if plan.use_post else "CONNECT"

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
        status, end.early = await answer.done
        end.waiting = None
        if status is None or not 200 <= status < 300:
            return _refused(status)
        if not end.is_lost:
            transport.pause_reading()
        return None


def _refused(status: int | None) -> UpstreamFailure:
    reason = None if status is None else f"tunnel_response:{status}"
    return UpstreamFailure(FailureKind.REMOTE_CONNECTION_FAILURE, transport_failure_reason=reason)


class _Answer:
    """Collects the head."""

    def __init__(self, done: asyncio.Future[tuple[int | None, bytes]]) -> None:
        self.done = done
        self._data = b""

    def take(self, data: bytes) -> None:
        """More bytes, or none at the end."""
        self._data += data
        head, separator, rest = self._data.partition(b"\r\n\r\n")
        if self.done.done():
            return
        if separator:
            self.done.set_result((_status(head), rest))
        elif not data or len(self._data) > MAXIMUM_HEAD:
            self.done.set_result((None, b""))


def _status(head: bytes) -> int | None:
    words = head.split(b"\r\n", 1)[0].split(b" ")
    is_http = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1].isdigit()
    return int(words[1]) if is_http else None
