"""What a connection tells whoever has sent a request over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.wire.http_message import Header, ResponseHead
    from sandbox.wire.http_retries import Reset


class UpstreamCallbacks:
    """The user of a connection, from its request to the end of the response; what it does not define is passed over."""

    __slots__ = ()

    def on_upstream_informational(self, head: ResponseHead) -> None:
        """100, 102, 103: the final head is still to come."""

    def on_upstream_head(self, head: ResponseHead, is_end: bool) -> None:
        """The final head; ``is_end``: there is no body, and the connection is already released."""

    def on_upstream_data(self, data: bytes) -> None:
        """Payload."""

    def on_upstream_flush(self) -> None:
        """All that one read brought has been told."""

    def on_upstream_trailers(self, headers: list[Header]) -> None:
        """Fields after the payload; the end follows."""

    def on_upstream_counted(self) -> None:
        """The connection's counters of bytes are final; the next request will begin them anew."""

    def on_upstream_end(self) -> None:
        """The response is complete; the connection is already released."""

    def on_upstream_reset(self, reset: Reset) -> None:
        """The connection broke before the response was complete."""

    def on_upstream_writable(self, is_writable: bool) -> None:
        """Back-pressure of the upstream: stop or go on sending."""
