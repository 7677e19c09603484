"""RequestBody: the payload of one request on its way to an upstream, and what is kept of it for another try."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.proxy.http2_client_stream import Http2ClientStream
    from sandbox.proxy.http_codec import DownstreamCodec
    from sandbox.proxy.http_upstream import Http1ClientConnection

BUFFER_LIMIT = 1024 * 1024
"""Bytes of the retry buffer where the listener does not say (``per_connection_buffer_limit_bytes``)."""


class RequestBody:
    """Payload goes on to the connection; what another try would need is kept while it is not too large.

    That of an upgrade is held back until the upstream agrees (``paused_for_websocket_`` in ``upstream_request.cc``).
    """

    __slots__ = ("_data", "_is_held", "_is_paused", "_keeps", "_limit", "_pause", "_size")

    def __init__(self, codec: DownstreamCodec, pause: Callable[[bool], None], *, keeps: bool, is_held: bool) -> None:
        """``pause`` makes the client wait, and go on."""
        self._pause = pause
        self._data: list[bytes] = []
        self._size = 0
        self._keeps = keeps
        self._is_held = is_held
        self._is_paused = False
        self._limit = codec.connection.listener.per_connection_buffer_limit_bytes or BUFFER_LIMIT

    def take(self, data: bytes, connection: Http1ClientConnection | Http2ClientStream | None) -> bool:
        """False where it has become more than is kept: without an upstream yet, the client waits."""
        is_sent = connection is not None and not self._is_held
        if connection is not None and is_sent:
            connection.send_data(data)
            if not self._keeps:
                return True
        self._data.append(data)
        self._size += len(data)
        if self._size <= self._limit:
            return True
        self._keeps = False
        if is_sent:
            self._forget()
        elif not self._is_paused:
            self._is_paused = True
            self._pause(True)
        return False

    def send(self, connection: Http1ClientConnection | Http2ClientStream) -> None:
        """To the connection of a new try, what has come so far."""
        if self._is_held:
            return
        for data in self._data:
            connection.send_data(data)
        if not self._keeps:
            self._forget()
        if self._is_paused:
            self._is_paused = False
            self._pause(False)

    def release(self, connection: Http1ClientConnection | Http2ClientStream) -> None:
        """The upstream has agreed to the upgrade: no other try follows."""
        self._is_held = self._keeps = False
        self.send(connection)

    def _forget(self) -> None:
        self._data.clear()
        self._size = 0
