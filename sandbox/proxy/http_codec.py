"""The seam between streams and codecs: what a stream asks of the client side of its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.proxy.http_connection_manager import HttpConnectionManagerRuntime
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.wire.http_message import Header


class DownstreamCodec(Protocol):
    """The side of a connection that carries this stream to the client; HTTP/1 today."""

    manager: HttpConnectionManagerRuntime
    connection: DownstreamConnection
    is_draining: bool
    """The connection is to be closed after this response."""
    is_http1: bool

    def write_informational(self, status: int, headers: list[Header], names: bytes | None) -> None:
        """A 1xx head."""

    def write_head(
        self, stream: HttpStream, status: int, headers: list[Header], is_end: bool, names: bytes | None
    ) -> None:
        """The response head; ``names``: a raw head whose case of names is to be kept."""

    def write_data(self, data: bytes) -> None:
        """Payload of the response."""

    def write_trailers(self, headers: list[Header]) -> None:
        """Fields after the payload."""

    def write_end(self) -> None:
        """The response is complete."""

    def stream_ended(self, stream: HttpStream, is_reset: bool, is_immediate: bool) -> None:
        """The stream is logged and done; ``is_immediate``: a close that follows does not wait."""

    def pause_request(self, is_paused: bool) -> None:
        """Back-pressure of the upstream."""

    def flush(self) -> None:
        """Sends what was written; until then it may be held."""

    def enter_tunnel(self) -> None:
        """The upgrade was accepted: bytes go through unread."""
