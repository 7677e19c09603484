"""HTTP/2 frames as bytes, and the numbers of RFC 9113 that appear in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD_BYTES: Final = 9
MAX_PAYLOAD: Final = 16384
"""Of a frame, either way: neither Envoy nor we allow the peer more, nor use more where it would."""
MAX_WINDOW: Final = 2**31 - 1
INITIAL_WINDOW: Final = 65535

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY_FLAG: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
ENABLE_CONNECT_PROTOCOL: Final = 8

NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FLOW_CONTROL_ERROR: Final = 3
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
CONNECT_ERROR: Final = 10


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


def settings_frame(settings: Iterable[tuple[int, int]]) -> bytes:
    """SETTINGS, in the order given."""
    payload = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in settings)
    return frame(SETTINGS, 0, 0, payload)


def window_update(stream_id: int, size: int) -> bytes:
    """WINDOW_UPDATE; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, size.to_bytes(4, "big"))


def rst_stream(stream_id: int, code: int) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def go_away(last_stream_id: int, code: int, reason: bytes = b"") -> bytes:
    """GOAWAY; ``reason`` is for people."""
    return frame(GOAWAY, 0, 0, last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + reason)


def header_frames(stream_id: int, block: bytes, *, is_end: bool) -> list[bytes]:
    """HEADERS, and CONTINUATION frames where one frame does not hold the block."""
    pieces = [block[at : at + MAX_PAYLOAD] for at in range(0, len(block), MAX_PAYLOAD)] or [b""]
    frames = []
    for number, piece in enumerate(pieces):
        kind, flags = (CONTINUATION, 0) if number else (HEADERS, END_STREAM if is_end else 0)
        frames.append(frame(kind, flags | (END_HEADERS if piece is pieces[-1] else 0), stream_id, piece))
    return frames


def settings_of(payload: bytes) -> list[tuple[int, int]]:
    """The entries of a SETTINGS frame; of a repeated one the last, at the place of the first (as nghttp2)."""
    entries: dict[int, int] = {}
    for at in range(0, len(payload), 6):
        entries[int.from_bytes(payload[at : at + 2], "big")] = int.from_bytes(payload[at + 2 : at + 6], "big")
    return list(entries.items())
