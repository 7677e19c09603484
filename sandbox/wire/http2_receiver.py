"""From bytes to events: which frames an HTTP/2 peer may send, and what a breach costs (``nghttp2_session.c``).

A breach ends in one of two ways, as in Envoy. Where nghttp2 ends the session by itself, GOAWAY tells the peer why.
Where it only reports an invalid frame, Envoy gives the connection up without another word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import hpack
from hpack.exceptions import HPACKError

from sandbox.wire import http2_frames as frames
from sandbox.wire.hpack_encoder import HpackEncoder
from sandbox.wire.http2_events import (
    BAD_MAGIC,
    TOO_MANY_CONTINUATIONS,
    DataReceived,
    Event,
    GoingAway,
    HeadReceived,
    Http2Error,
    StreamBegun,
    StreamReset,
    TrailersReceived,
    WindowOpened,
)
from sandbox.wire.http2_floods import FloodGuard
from sandbox.wire.http2_rules import InvalidMessage, MessageRules
from sandbox.wire.http2_session import Http2Session, Http2Stream
from sandbox.wire.http_message import Header

DECODED_HEADERS_LIMIT = 1024 * 1024
"""Of the decoder alone; the proxy's own limit is lower and ends one stream, not the connection."""
MAX_CONTINUATIONS = 8
LONGEST_STRING = 65536
"""Of one name or value (nghttp2's ``NGHTTP2_HD_MAX_NV``): a longer one is a fault of compression."""
UNKNOWN = "http2.unknown.nghttp2.error"
_EXACT_SIZES = {frames.PRIORITY: 5, frames.RST_STREAM: 4, frames.WINDOW_UPDATE: 4, frames.PING: 8}


class Http2Receiver:
    """The reading side of one connection."""

    def __init__(self, session: Http2Session, encoder: HpackEncoder) -> None:
        self._session = session
        self._encoder = encoder
        self._decoder = hpack.Decoder(DECODED_HEADERS_LIMIT)
        self._floods = FloodGuard(session)
        self._buffer = b""
        self._needs_preface = not session.is_client
        self._has_settings = False
        self._is_head_checked = False
        """Of the frame that is not complete yet."""
        self._block: _HeaderBlock | None = None
        self._handlers: dict[int, Callable[[int, int, bytes], Iterator[Event]]] = {
            frames.DATA: self._data,
            frames.HEADERS: self._headers,
            frames.RST_STREAM: self._rst_stream,
            frames.SETTINGS: self._settings,
            frames.PUSH_PROMISE: self._push_promise,
            frames.PING: self._ping,
            frames.GOAWAY: self._go_away,
            frames.WINDOW_UPDATE: self._window_update,
        }

    def receive(self, data: bytes) -> Iterator[Event]:
        """Events of each complete frame, before the next frame is looked at. Raises ``Http2Error``."""
        if not self._session.wants_to_read:
            return
        self._buffer += data
        if self._needs_preface and not self._take_preface():
            return
        held, self._buffer = self._buffer, b""
        place = 0
        while len(held) - place >= frames.FRAME_HEAD_BYTES:
            start = place + frames.FRAME_HEAD_BYTES
            length, kind, flags = int.from_bytes(held[place : place + 3], "big"), held[place + 3], held[place + 4]
            stream_id = int.from_bytes(held[place + 5 : start], "big") & frames.MAX_WINDOW
            if not self._is_head_checked:
                self._check_head(length, kind, flags, stream_id)
            self._is_head_checked = len(held) < start + length
            if self._is_head_checked:
                break
            place = start + length
            yield from self._complete(kind, flags, stream_id, held[start:place])
        self._buffer = held[place:]
        self._session.check_output()

    def _complete(self, kind: int, flags: int, stream_id: int, payload: bytes) -> Iterator[Event]:
        if self._block is not None:
            return self._continued(flags, payload)
        handler = self._handlers.get(kind)
        return handler(flags, stream_id, payload) if handler is not None else iter(())

    def _take_preface(self) -> bool:
        if not frames.PREFACE.startswith(self._buffer[: len(frames.PREFACE)]):
            raise self._session.give_up(details=BAD_MAGIC)
        if len(self._buffer) < len(frames.PREFACE):
            return False
        self._needs_preface = False
        self._buffer = self._buffer[len(frames.PREFACE) :]
        return True

    def _check_head(self, length: int, kind: int, flags: int, stream_id: int) -> None:
        session = self._session
        if not self._has_settings and (kind != frames.SETTINGS or flags & frames.ACK):
            raise session.terminate(frames.PROTOCOL_ERROR, b"SETTINGS expected")
        self._has_settings = True
        if length > frames.MAX_PAYLOAD:
            raise session.terminate(frames.FRAME_SIZE_ERROR, b"too large frame size")
        if self._block is not None:
            if kind != frames.CONTINUATION or stream_id != self._block.stream_id:
                reason = b"unexpected non-CONTINUATION frame or stream_id is invalid"
                raise session.terminate(frames.PROTOCOL_ERROR, reason)
            return
        if kind == frames.CONTINUATION:
            raise session.terminate(frames.PROTOCOL_ERROR, b"CONTINUATION: unexpected")
        is_settings_broken = kind == frames.SETTINGS and (length % 6 or (flags & frames.ACK and length))
        if length != _EXACT_SIZES.get(kind, length) or is_settings_broken or (kind == frames.GOAWAY and length < 8):
            raise session.terminate(frames.FRAME_SIZE_ERROR)
        if kind == frames.DATA:
            self._check_data(stream_id)
        self._floods.count(kind, flags, length, stream_id)

    # --- payload ---

    def _check_data(self, stream_id: int) -> None:
        session = self._session
        if stream_id == 0:
            raise session.terminate(frames.PROTOCOL_ERROR, b"DATA: stream_id == 0")
        if session.is_idle(stream_id):
            raise session.terminate(frames.PROTOCOL_ERROR, b"DATA: stream in idle")
        stream = session.streams.get(stream_id)
        if stream is None:
            return
        if stream.is_remote_done:
            raise session.terminate(frames.STREAM_CLOSED, b"DATA: stream in half-closed(remote)")
        if session.is_client and not stream.has_head and not stream.rules.awaits_final:
            raise session.terminate(frames.PROTOCOL_ERROR, b"DATA: stream not opened")

    def _data(self, flags: int, stream_id: int, payload: bytes) -> Iterator[Event]:
        session = self._session
        size = len(payload)
        if not session.receive_window.receive(size):
            raise session.terminate(frames.FLOW_CONTROL_ERROR)
        stream = session.streams.get(stream_id)
        if stream is None:
            session.open_window(None, size)
            return
        data = self._unpadded(flags, payload, b"DATA")
        is_end = bool(flags & frames.END_STREAM)
        code = self._data_error(stream, data, size, is_end=is_end)
        if code is not None:
            session.open_window(None, size)
            session.streams.pop(stream_id)
            session.queue_reset(stream_id, code, stream)
            yield StreamReset(stream_id, code)
            return
        stream.wire_bytes_received += frames.FRAME_HEAD_BYTES + size
        stream.is_remote_done = is_end
        session.close_if_done(stream)
        yield DataReceived(stream_id, data, size, is_end)

    def _data_error(self, stream: Http2Stream, data: bytes, size: int, *, is_end: bool) -> int | None:
        """The code of a stream that its payload ends."""
        if not stream.receive_window.receive(size):
            return frames.FLOW_CONTROL_ERROR
        if data and not stream.rules.data(len(data)):
            return frames.PROTOCOL_ERROR
        if is_end:
            try:
                stream.rules.end()
            except InvalidMessage:
                return frames.PROTOCOL_ERROR
        return None

    def _unpadded(self, flags: int, payload: bytes, name: bytes) -> bytes:
        if not flags & frames.PADDED:
            return payload
        if not payload:
            raise self._session.terminate(frames.PROTOCOL_ERROR, name + b": insufficient padding space")
        end = len(payload) - payload[0]
        if end < 1:
            raise self._session.terminate(frames.PROTOCOL_ERROR, name + b": invalid padding")
        return payload[1:end]

    # --- heads and trailers ---

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> Iterator[Event]:
        session = self._session
        block = self._unpadded(flags, payload, b"HEADERS")
        depends_on_itself = False
        if flags & frames.PRIORITY_FLAG:
            if len(block) < 5:
                raise session.terminate(frames.FRAME_SIZE_ERROR)
            depends_on_itself = int.from_bytes(block[:4], "big") & frames.MAX_WINDOW == stream_id
            block = block[5:]
        stream = session.streams.get(stream_id)
        if stream is None:
            stream = self._begin(stream_id, depends_on_itself=depends_on_itself)
            if stream is not None:
                yield StreamBegun(stream_id)
        elif stream.is_remote_done:
            raise session.give_up(stream_id, UNKNOWN)
        self._block = _HeaderBlock(stream_id, stream, bool(flags & frames.END_STREAM))
        yield from self._continued(flags, block, len(payload))

    def _begin(self, stream_id: int, *, depends_on_itself: bool) -> Http2Stream | None:
        """A stream of the peer's; ``None`` where its headers are read only for the sake of compression."""
        session = self._session
        if stream_id == 0 or (session.is_idle(stream_id) and (session.is_client or stream_id % 2 == 0)):
            raise session.give_up()
        if session.is_client or stream_id <= session.highest_peer_stream or stream_id % 2 == 0:
            return None
        is_full = len(session.streams) >= session.settings.concurrent_streams
        if depends_on_itself or (is_full and session.is_acknowledged):
            raise session.give_up()
        session.highest_peer_stream = stream_id
        if session.has_said_goodbye:
            return None
        if is_full:
            session.queue_reset(stream_id, frames.REFUSED_STREAM)
            return None
        return session.open(stream_id, MessageRules())

    def _continued(self, flags: int, piece: bytes, size: int | None = None) -> Iterator[Event]:
        block = self._block
        assert block is not None
        block.add(piece, len(piece) if size is None else size)
        if block.pieces > MAX_CONTINUATIONS + 1:
            raise Http2Error(TOO_MANY_CONTINUATIONS)
        if size is None:
            self._floods.count(frames.CONTINUATION, flags, len(piece), block.stream_id)
        if not flags & frames.END_HEADERS:
            return
        self._block = None
        try:
            headers: list[Header] = [
                (bytes(name), bytes(value)) for name, value in self._decoder.decode(block.data, True)
            ]
        except (HPACKError, ValueError, KeyError):
            raise self._session.terminate(frames.COMPRESSION_ERROR) from None
        if len(block.data) > LONGEST_STRING and any(
            len(value) > LONGEST_STRING for field in headers for value in field
        ):
            raise self._session.terminate(frames.COMPRESSION_ERROR)
        if block.stream is not None:
            yield from self._block_complete(block, block.stream, headers)

    def _block_complete(self, block: _HeaderBlock, stream: Http2Stream, headers: list[Header]) -> Iterator[Event]:
        session = self._session
        is_end = block.is_end
        try:
            if stream.has_head:
                stream.rules.trailers(headers, is_end=is_end)
            elif session.is_client:
                stream.rules.response_head(headers, is_end=is_end)
            else:
                stream.rules.request_head(headers, is_end=is_end)
        except InvalidMessage as invalid:
            raise session.give_up(stream.stream_id, invalid.details) from None
        size = frames.FRAME_HEAD_BYTES + block.size
        stream.wire_bytes_received += size
        stream.header_bytes_received += size
        is_trailers = stream.has_head
        stream.has_head = not stream.rules.awaits_final
        stream.is_remote_done = is_end
        session.close_if_done(stream)
        if is_trailers:
            yield TrailersReceived(stream.stream_id, headers)
        else:
            yield HeadReceived(stream.stream_id, headers, is_end)

    # --- the rest ---

    def _rst_stream(self, flags: int, stream_id: int, payload: bytes) -> Iterator[Event]:
        session = self._session
        if stream_id == 0 or session.is_idle(stream_id):
            raise session.give_up()
        stream = session.streams.pop(stream_id, None)
        if stream is not None:
            stream.wire_bytes_received += frames.FRAME_HEAD_BYTES + len(payload)
            yield StreamReset(stream_id, int.from_bytes(payload, "big"))

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> Iterator[Event]:
        session = self._session
        if stream_id:
            raise session.give_up()
        if flags & frames.ACK:
            if session.is_acknowledged:
                raise session.give_up()
            session.is_acknowledged = True
            return
        opened = False
        for key, value in frames.settings_of(payload):
            opened |= self._setting(key, value)
        session.queue_urgent(frames.frame(frames.SETTINGS, frames.ACK, 0))
        if opened:
            yield WindowOpened(0)

    def _setting(self, key: int, value: int) -> bool:
        """Takes one of the peer's settings in; whether it opens windows."""
        session = self._session
        if key == frames.HEADER_TABLE_SIZE:
            self._encoder.set_peer_maximum(value)
        elif key == frames.MAX_CONCURRENT_STREAMS:
            session.peer_concurrent_streams = value
        elif key == frames.INITIAL_WINDOW_SIZE:
            return self._initial_window(value)
        elif key in (frames.ENABLE_PUSH, frames.ENABLE_CONNECT_PROTOCOL):
            if value > (0 if key == frames.ENABLE_PUSH and session.is_client else 1):
                raise session.give_up()
        elif key == frames.MAX_FRAME_SIZE and not frames.MAX_PAYLOAD <= value < 2**24:
            raise session.give_up()
        return False

    def _initial_window(self, value: int) -> bool:
        session = self._session
        difference = value - session.peer_initial_window
        if value > frames.MAX_WINDOW:
            raise session.give_up()
        session.peer_initial_window = value
        for stream in session.streams.values():
            stream.send_window += difference
            if stream.send_window > frames.MAX_WINDOW:
                raise session.give_up()
        return difference > 0

    def _push_promise(self, flags: int, stream_id: int, payload: bytes) -> Iterator[Event]:
        raise self._session.give_up()
        yield  # a generator, like the others

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> Iterator[Event]:
        if stream_id:
            raise self._session.give_up()
        if flags & frames.ACK:
            self._session.pings_answered += 1
        else:
            self._session.queue_urgent(frames.frame(frames.PING, frames.ACK, 0, payload))
        yield from ()

    def _go_away(self, flags: int, stream_id: int, payload: bytes) -> Iterator[Event]:
        session = self._session
        last = int.from_bytes(payload[:4], "big") & frames.MAX_WINDOW
        if stream_id or (last and last % 2 != (1 if session.is_client else 0)):
            raise session.give_up()
        session.was_told_goodbye = True
        yield GoingAway(last)

    def _window_update(self, flags: int, stream_id: int, payload: bytes) -> Iterator[Event]:
        session = self._session
        size = int.from_bytes(payload, "big") & frames.MAX_WINDOW
        if stream_id and session.is_idle(stream_id):
            raise session.give_up()
        if stream_id == 0:
            session.send_window += size
            if not size or session.send_window > frames.MAX_WINDOW:
                raise session.give_up()
            yield WindowOpened(0)
            return
        stream = session.streams.get(stream_id)
        if stream is None:
            return
        stream.send_window += size
        if not size or stream.send_window > frames.MAX_WINDOW:
            raise session.give_up(stream_id, UNKNOWN)
        yield WindowOpened(stream_id)


class _HeaderBlock:
    """HEADERS and what CONTINUATION adds."""

    __slots__ = ("data", "is_end", "pieces", "size", "stream", "stream_id")

    def __init__(self, stream_id: int, stream: Http2Stream | None, is_end: bool) -> None:
        self.stream_id = stream_id
        self.stream = stream
        self.is_end = is_end
        self.data = b""
        self.size = 0
        self.pieces = 0

    def add(self, piece: bytes, size: int) -> None:
        """The next frame; ``size`` is its whole payload."""
        self.data += piece
        self.size += size
        self.pieces += 1
