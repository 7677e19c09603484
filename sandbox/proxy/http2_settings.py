"""What the plan says of HTTP/2, as the codec wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.wire.http2_session import Http2Settings

if TYPE_CHECKING:
    from sandbox.plan.http_connection_manager import Http2ProtocolOptions


def settings_of(options: Http2ProtocolOptions | None) -> Http2Settings:
    """Envoy's defaults where nothing is said."""
    if options is None:
        return Http2Settings()
    return Http2Settings(
        options.max_concurrent_streams, options.initial_stream_window_size, options.initial_connection_window_size
    )
