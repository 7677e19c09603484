"""What happens on an HTTP/2 connection, as its codec tells it."""

from __future__ import annotations

import msgspec

from sandbox.wire.http_message import Header

CALLBACK_FAILED = "codec_error:The_user_callback_function_failed"
"""What Envoy says of every stream of a connection that it gives up (nghttp2's words)."""
BAD_MAGIC = "codec_error:Received_bad_client_magic_byte_string"
TOO_MANY_CONTINUATIONS = "codec_error:Too_many_CONTINUATION_frames_following_a_HEADER_frame"


class Http2Error(Exception):
    """The connection cannot go on: what Envoy says of its streams, and of the one that is to blame."""

    def __init__(self, details: str = CALLBACK_FAILED, stream_id: int = 0, stream_details: str | None = None) -> None:
        super().__init__(stream_details or details)
        self.details = details
        self.stream_id = stream_id
        self.stream_details = stream_details


class StreamBegun(msgspec.Struct):
    """The head of a new request comes; server side. It may still turn out to be malformed."""

    stream_id: int


class HeadReceived(msgspec.Struct):
    """The head of a request or of a response (an informational one too)."""

    stream_id: int
    headers: list[Header]
    is_end: bool


class DataReceived(msgspec.Struct):
    """Payload; ``size`` is what counts against the window, padding included."""

    stream_id: int
    data: bytes
    size: int
    is_end: bool


class TrailersReceived(msgspec.Struct):
    """Fields after the payload: the end of the message."""

    stream_id: int
    headers: list[Header]


class StreamReset(msgspec.Struct):
    """The peer's RST_STREAM, or our own where the peer broke the rules of flow control."""

    stream_id: int
    code: int


class WindowOpened(msgspec.Struct):
    """The peer takes more payload; stream 0 is the connection."""

    stream_id: int


class GoingAway(msgspec.Struct):
    """The peer takes no request after this one."""

    last_stream_id: int


Event = StreamBegun | HeadReceived | DataReceived | TrailersReceived | StreamReset | WindowOpened | GoingAway
