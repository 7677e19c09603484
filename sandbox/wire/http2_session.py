"""The state of one HTTP/2 connection: streams, windows, and the frames that wait to be sent."""

from __future__ import annotations

from sandbox.wire import http2_frames as frames
from sandbox.wire.http2_events import CALLBACK_FAILED, Http2Error
from sandbox.wire.http2_rules import MessageRules

DEFAULT_STREAM_WINDOW = 16 * 1024 * 1024
DEFAULT_CONNECTION_WINDOW = 24 * 1024 * 1024
DEFAULT_CONCURRENT_STREAMS = 1024
MAX_FRAMES = 10_000
"""Frames that may wait to be sent, for a peer that does not read (``max_outbound_frames``)."""
MAX_CONTROL_FRAMES = 1000
"""Of these, answers to SETTINGS and PING, and RST_STREAM (``max_outbound_control_frames``)."""


class Http2Settings:
    """What one side announces; the defaults are Envoy's."""

    __slots__ = ("concurrent_streams", "connection_window", "stream_window")

    def __init__(
        self,
        concurrent_streams: int | None = None,
        stream_window: int | None = None,
        connection_window: int | None = None,
    ) -> None:
        self.concurrent_streams = concurrent_streams or DEFAULT_CONCURRENT_STREAMS
        self.stream_window = stream_window or DEFAULT_STREAM_WINDOW
        self.connection_window = connection_window or DEFAULT_CONNECTION_WINDOW


class Http2Stream:
    """One stream, and how many bytes of frames it took so far."""

    __slots__ = (
        "has_head",
        "header_bytes_received",
        "header_bytes_sent",
        "is_local_done",
        "is_remote_done",
        "receive_window",
        "rules",
        "send_window",
        "stream_id",
        "waiting",
        "wire_bytes_received",
        "wire_bytes_sent",
    )

    def __init__(self, stream_id: int, rules: MessageRules, send_window: int, receive_window: int) -> None:
        self.stream_id = stream_id
        self.rules = rules
        self.has_head = False
        """The peer's final head has come; what follows are trailers."""
        self.is_local_done = False
        self.is_remote_done = False
        self.send_window = send_window
        self.receive_window = ReceiveWindow(receive_window)
        self.waiting: tuple[bytes, bool] | None = None
        """Payload that the peer's windows do not let through yet, and whether the stream ends with it."""
        self.wire_bytes_received = 0
        self.wire_bytes_sent = 0
        self.header_bytes_received = 0
        self.header_bytes_sent = 0


class ReceiveWindow:
    """How much the peer may send; it is told of room when half of the window has been consumed (as nghttp2)."""

    __slots__ = ("_consumed", "_received", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._received = 0
        self._consumed = 0

    def receive(self, size: int) -> bool:
        """Whether so much more was allowed."""
        self._received += size
        return self._received <= self._size

    def consume(self, size: int) -> int:
        """By how much the window is to be opened; 0 for not yet."""
        self._consumed += size
        if self._consumed < self._size // 2:
            return 0
        opened, self._consumed = self._consumed, 0
        self._received -= opened
        return opened


class Http2Session:
    """What reading and writing share."""

    def __init__(self, *, is_client: bool, settings: Http2Settings) -> None:
        self.is_client = is_client
        self.settings = settings
        self.streams: dict[int, Http2Stream] = {}
        self.highest_peer_stream = 0
        self.next_stream = 1
        self.opened = 0
        self.send_window = frames.INITIAL_WINDOW
        self.receive_window = ReceiveWindow(max(settings.connection_window, frames.INITIAL_WINDOW))
        self.peer_initial_window = frames.INITIAL_WINDOW
        self.peer_concurrent_streams = DEFAULT_CONCURRENT_STREAMS
        self.is_acknowledged = False
        """The peer has acknowledged our settings."""
        self.has_said_goodbye = False
        """Our last GOAWAY is out: new streams of the peer are passed over."""
        self.was_told_goodbye = False
        self.data_frames_sent = 0
        self.pings_answered = 0
        self._urgent: list[bytes] = []
        """SETTINGS and PING go before everything else (``ob_urgent`` of nghttp2)."""
        self._regular: list[bytes] = []
        self._frames = 0
        self._control_frames = 0
        self._announce()

    def _announce(self) -> None:
        ours = self.settings
        announced = [(frames.ENABLE_PUSH, 0)] if self.is_client else []
        announced += [
            (frames.HEADER_TABLE_SIZE, 4096),
            (frames.ENABLE_CONNECT_PROTOCOL, 0),
            (frames.MAX_CONCURRENT_STREAMS, ours.concurrent_streams),
            (frames.INITIAL_WINDOW_SIZE, ours.stream_window),
        ]
        self._urgent.append((frames.PREFACE if self.is_client else b"") + frames.settings_frame(announced))
        if ours.connection_window > frames.INITIAL_WINDOW:
            self._regular.append(frames.window_update(0, ours.connection_window - frames.INITIAL_WINDOW))

    def open(self, stream_id: int, rules: MessageRules) -> Http2Stream:
        """A new stream, of either side."""
        stream = Http2Stream(stream_id, rules, self.peer_initial_window, self.settings.stream_window)
        self.streams[stream_id] = stream
        self.opened += 1
        return stream

    def close_if_done(self, stream: Http2Stream) -> None:
        """Both sides have ended it."""
        if stream.is_local_done and stream.is_remote_done:
            self.streams.pop(stream.stream_id, None)

    def is_idle(self, stream_id: int) -> bool:
        """Neither side has used this number yet."""
        is_ours = stream_id % 2 == (1 if self.is_client else 0)
        return stream_id >= self.next_stream if is_ours else stream_id > self.highest_peer_stream

    @property
    def wants_to_read(self) -> bool:
        """Not after a GOAWAY, of either side, when no stream is left."""
        return bool(self.streams) or not (self.has_said_goodbye or self.was_told_goodbye)

    # --- frames to send ---

    def queue(self, frame: bytes, stream: Http2Stream | None = None) -> None:
        """A frame that goes in its turn."""
        self._regular.append(frame)
        self._frames += 1
        if stream is not None:
            stream.wire_bytes_sent += len(frame)

    def queue_reset(self, stream_id: int, code: int, stream: Http2Stream | None = None) -> None:
        """RST_STREAM."""
        self.queue(frames.rst_stream(stream_id, code), stream)
        self._control_frames += 1

    def queue_urgent(self, frame: bytes) -> None:
        """SETTINGS or PING."""
        self._urgent.append(frame)
        self._frames += 1
        self._control_frames += 1

    def check_output(self) -> None:
        """Raises ``Http2Error`` where more waits to be sent than may; the peer gets it all the same."""
        if self._frames > MAX_FRAMES:
            raise Http2Error("codec_error:Too_many_frames_in_the_outbound_queue.")
        if self._control_frames > MAX_CONTROL_FRAMES:
            raise Http2Error("codec_error:Too_many_control_frames_in_the_outbound_queue.")

    def open_window(self, stream: Http2Stream | None, size: int) -> None:
        """``size`` bytes of payload are consumed; without a stream only for the connection."""
        opened = self.receive_window.consume(size)
        if opened:
            self.queue(frames.window_update(0, opened))
        if stream is not None and not stream.is_remote_done:
            opened = stream.receive_window.consume(size)
            if opened:
                self.queue(frames.window_update(stream.stream_id, opened), stream)

    def terminate(self, code: int, reason: bytes = b"") -> Http2Error:
        """The error after which GOAWAY is all that is sent, beside settings and answers to PING."""
        self._regular = [frames.go_away(self.highest_peer_stream, code, reason)]
        return Http2Error(CALLBACK_FAILED)

    def give_up(
        self, stream_id: int = 0, stream_details: str | None = None, *, details: str = CALLBACK_FAILED
    ) -> Http2Error:
        """The error after which nothing is sent any more, not even what waited (``on_invalid_frame``)."""
        self._regular, self._urgent = [], []
        return Http2Error(details, stream_id, stream_details)

    def take_output(self, *, is_blocked: bool) -> bytes:
        """Bytes to send now; where what was sent before is still blocked, these frames go on waiting with it."""
        if not is_blocked:
            self._frames = self._control_frames = 0
        if not self._urgent and not self._regular:
            return b""
        output = b"".join(self._urgent) + b"".join(self._regular)
        self._urgent, self._regular = [], []
        return output
