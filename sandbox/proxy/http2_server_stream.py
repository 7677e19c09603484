"""One HTTP/2 stream of a client, as ``HttpStream`` sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sandbox.proxy.http_stream import HttpStream
from sandbox.wire.http_message import Header

if TYPE_CHECKING:
    from sandbox.proxy.http2_downstream import Http2ServerConnection

WRITE_LIMIT = 256 * 1024
"""Response bytes a stream may hold while the client's window is shut."""


class Http2ServerStream:
    """``DownstreamCodec`` of one stream."""

    __slots__ = (
        "_held",
        "_is_paused",
        "_owner",
        "_unacknowledged",
        "codec_stream",
        "connection",
        "is_http1",
        "is_remote_done",
        "is_sent",
        "manager",
        "stream",
        "stream_id",
    )

    def __init__(self, owner: Http2ServerConnection, stream_id: int) -> None:
        self._owner = owner
        self.manager = owner.manager
        self.connection = owner.connection
        self.stream_id = stream_id
        self.codec_stream = owner.codec.streams[stream_id]
        self.is_http1 = False
        self.is_remote_done = False
        """The client has said END_STREAM, and we have come to it."""
        self.is_sent = False
        self._held: list[bytes] = []
        self._is_paused = False
        self._unacknowledged = 0
        self.stream = HttpStream(self, time.monotonic(), time.time())
        self.stream.info.protocol = "HTTP/2"

    @property
    def is_draining(self) -> bool:
        """One stream's end never closes the connection."""
        return False

    @is_draining.setter
    def is_draining(self, value: bool) -> None:
        if value and self.manager.node.draining:
            self._owner.drain()

    # --- to the client ---

    def write_informational(self, status: int, headers: list[Header], names: bytes | None) -> None:
        """See DownstreamCodec."""
        fields = [(b":status", b"%03d" % status), *(field for field in headers if field[0] != b"keep-alive")]
        self._owner.codec.send_headers(self.stream_id, fields, is_end=False)
        self._owner.send()

    def write_head(
        self, stream: HttpStream, status: int, headers: list[Header], is_end: bool, names: bytes | None
    ) -> None:
        """See DownstreamCodec."""
        # Each codec keeps its own upstream's spelling: HTTP/1 reads a number, of HTTP/2's there are three digits.
        form = b"%03d" if self.stream.info.upstream_protocol == "HTTP/2" else b"%d"
        fields = [(b":status", form % status), *headers]
        self.is_sent = is_end
        self._owner.codec.send_headers(self.stream_id, fields, is_end=is_end)
        self.count_bytes()

    def count_bytes(self) -> None:
        """Takes over what the frames of the stream amount to so far, where a log or a metric asks."""
        counted = self.codec_stream
        if self.manager.counts_downstream_wire:
            info = self.stream.info
            info.request_headers_bytes = counted.header_bytes_received
            info.wire_bytes_received = counted.wire_bytes_received
            if self._owner.is_receiving and not self.is_remote_done:
                return  # an early end is logged before anything is sent
            info.response_headers_bytes = counted.header_bytes_sent
            info.wire_bytes_sent = counted.wire_bytes_sent

    def write_data(self, data: bytes) -> None:
        """See DownstreamCodec."""
        self._held.append(data)

    def write_trailers(self, headers: list[Header]) -> None:
        """Fields after the payload; they end the response."""
        self._send_held(is_end=False)
        if not self.is_sent:
            self.is_sent = True
            self._owner.codec.send_headers(self.stream_id, headers, is_end=True)
            self.count_bytes()

    def write_end(self) -> None:
        """See DownstreamCodec."""
        if self.is_sent:
            return
        info = self.stream.info
        # Envoy's HTTP/1 upstream codec tells the end apart from the last payload, so it has a frame of its own.
        if self._held and info.upstream_protocol == "HTTP/1.1" and info.response_code_details == "via_upstream":
            self._send_held(is_end=False)
        self.is_sent = True
        self._send_held(is_end=True)

    def _send_held(self, *, is_end: bool) -> None:
        data = b"".join(self._held)
        self._held.clear()
        if data or is_end:
            self._owner.codec.send_data(self.stream_id, data, is_end=is_end)
            self.count_bytes()

    def flush(self) -> None:
        """See DownstreamCodec."""
        if not self.is_sent:
            self._send_held(is_end=False)
        self._owner.send()
        if self._owner.is_blocked or self._owner.codec.waiting_bytes(self.stream_id) > WRITE_LIMIT:
            self.stream.downstream_writable(False)

    def enter_tunnel(self) -> None:
        """See DownstreamCodec."""

    def stream_ended(self, stream: HttpStream, is_reset: bool, is_immediate: bool) -> None:
        """See DownstreamCodec."""
        self._owner.stream_ended(self, is_reset=is_reset)

    # --- back-pressure of the upstream ---

    def pause_request(self, is_paused: bool) -> None:
        """See DownstreamCodec: what is not acknowledged keeps the client's window shut."""
        self._is_paused = is_paused
        if not is_paused:
            size, self._unacknowledged = self._unacknowledged, 0
            self._owner.codec.acknowledge(self.stream_id, size)
            self._owner.send()

    def consumed(self, size: int) -> None:
        """Payload has gone on."""
        if self._is_paused:
            self._unacknowledged += size
        else:
            self._owner.codec.acknowledge(self.stream_id, size)
