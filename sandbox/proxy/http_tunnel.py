"""HttpTunnel: CONNECT (or POST) through an HTTP/1.1 upstream before the first byte of a TCP connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sandbox.proxy.failure import FailureKind, UpstreamFailure

if TYPE_CHECKING:
    from sandbox.plan.listener import TunnelingConfig
    from sandbox.proxy.stream_relay import StreamEnd

MAXIMUM_HEAD: Final = 61_440
TUNNEL_REFUSED: Final = UpstreamFailure(FailureKind.REMOTE_CONNECTION_FAILURE)
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

    async def open(self, end: StreamEnd, server_name: str | None) -> bool:
        """Asks, and waits for the answer's head; True for a 2xx. What follows the head is the tunnel's."""
        if end.transport is None:
            return False
        answer = _Answer(asyncio.get_running_loop().create_future())
        end.waiting = answer.take
        end.transport.write(self.request(server_name))
        end.resume()
        is_open, rest = await answer.done
        if is_open and end.transport is not None and not end.is_lost:
            end.transport.pause_reading()
        end.early = rest
        end.waiting = None
        return is_open


class _Answer:
    """Collects the head."""

    def __init__(self, done: asyncio.Future[tuple[bool, bytes]]) -> None:
        self.done = done
        self._data = b""

    def take(self, data: bytes) -> None:
        """More bytes, or none at the end."""
        self._data += data
        head, separator, rest = self._data.partition(b"\r\n\r\n")
        if self.done.done():
            return
        if separator:
            words = head.split(b"\r\n", 1)[0].split(b" ")
            is_open = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1][:1] == b"2"
            self.done.set_result((is_open, rest))
        elif not data or len(self._data) > MAXIMUM_HEAD:
            self.done.set_result((False, b""))
