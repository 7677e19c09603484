"""HTTP/2 framing for either side of the proxy: h2's state machine, with Envoy's settings and one frame at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hpack.exceptions import HPACKError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import Frame, SettingsFrame, WindowUpdateFrame

from sandbox.wire.http_message import Header

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD_BYTES = 9
DEFAULT_STREAM_WINDOW = 16 * 1024 * 1024
DEFAULT_CONNECTION_WINDOW = 24 * 1024 * 1024
DEFAULT_CONCURRENT_STREAMS = 1024
INITIAL_WINDOW = 65535
DECODED_HEADERS_LIMIT = 1024 * 1024
"""Of the decoder alone; the proxy's own limit is lower and ends one stream, not the connection."""
_DATA, _HEADERS, _SETTINGS, _CONTINUATION = 0, 1, 4, 9
_REPAY_BYTES = 1024 * 1024

NO_ERROR = int(h2.errors.ErrorCodes.NO_ERROR)
INTERNAL_ERROR = int(h2.errors.ErrorCodes.INTERNAL_ERROR)
REFUSED_STREAM = int(h2.errors.ErrorCodes.REFUSED_STREAM)
PROTOCOL_ERROR = int(h2.errors.ErrorCodes.PROTOCOL_ERROR)
CANCEL = int(h2.errors.ErrorCodes.CANCEL)

Event = h2.events.Event


class Http2Error(Exception):
    """The peer broke the protocol: the connection cannot go on."""


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


class Http2Codec:
    """One connection. ``receive`` gives events frame by frame; after any call ``take_output`` has the bytes to send.

    Header fields are not looked at: their rules are the caller's, because an HTTP proxy answers them in its own way.
    """

    def __init__(self, *, is_client: bool, settings: Http2Settings | None = None) -> None:
        self._settings = settings or Http2Settings()
        self._is_client = is_client
        configuration = h2.config.H2Configuration(
            client_side=is_client,
            header_encoding=None,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = h2.connection.H2Connection(configuration)
        self._h2.decoder.max_header_list_size = DECODED_HEADERS_LIMIT
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=is_client,
            initial_values={
                codes.MAX_CONCURRENT_STREAMS: self._settings.concurrent_streams,
                codes.INITIAL_WINDOW_SIZE: self._settings.stream_window,
            },
        )
        self._buffer = b""
        self._needs_preface = not is_client
        self._has_settings = False
        self._window_is_open = False
        self._waiting: dict[int, deque[tuple[bytes, bool]]] = {}
        """Payload that the peer's windows do not let through yet, and whether the stream ends with it."""
        self._abandoned: set[int] = set()
        self._owed = 0
        self._passed_over = b""
        self._output: list[bytes] = []
        self._initiate()

    def _initiate(self) -> None:
        self._h2.initiate_connection()
        self._h2.data_to_send()  # its own list of settings; ours is Envoy's, in Envoy's order
        codes = h2.settings.SettingCodes
        announced: dict[int, int] = {int(codes.ENABLE_PUSH): 0} if self._is_client else {}
        announced |= {
            int(codes.HEADER_TABLE_SIZE): 4096,
            int(codes.ENABLE_CONNECT_PROTOCOL): 0,
            int(codes.MAX_CONCURRENT_STREAMS): self._settings.concurrent_streams,
            int(codes.INITIAL_WINDOW_SIZE): self._settings.stream_window,
        }
        frame = SettingsFrame(0, settings=announced)
        self._output.append((PREFACE if self._is_client else b"") + frame.serialize())
        if self._is_client:
            self._open_window()

    def _open_window(self) -> None:
        self._window_is_open = True
        if self._settings.connection_window > INITIAL_WINDOW:
            self._h2.increment_flow_control_window(self._settings.connection_window - INITIAL_WINDOW)

    # --- reading ---

    def receive(self, data: bytes) -> Iterator[Event]:
        """Events of each complete frame, before the next frame is looked at. Raises ``Http2Error``."""
        self._buffer += data
        while self._buffer:
            try:
                frame = self._next_frame()
                if frame is None:
                    return
                events = self._h2.receive_data(frame)
            except (h2.exceptions.H2Error, HyperframeError, HPACKError, ValueError, KeyError) as error:
                raise Http2Error(str(error)) from None
            if not self._window_is_open and self._has_settings:
                self._open_window()  # after the acknowledgement of the peer's settings
            yield from events

    def _next_frame(self) -> bytes | None:
        if self._needs_preface:
            if not PREFACE.startswith(self._buffer[: len(PREFACE)]):
                raise Http2Error("no preface")
            if len(self._buffer) < len(PREFACE):
                return None
            self._needs_preface = False
            return self._take(len(PREFACE))
        while len(self._buffer) >= FRAME_HEAD_BYTES:
            length = int.from_bytes(self._buffer[:3], "big")
            if not self._has_settings and self._buffer[3] != _SETTINGS:
                self._h2.close_connection(PROTOCOL_ERROR, b"SETTINGS expected")
                raise Http2Error("SETTINGS expected")
            self._has_settings = True
            if length > self._h2.max_inbound_frame_size:
                raise Http2Error("frame too large")
            if len(self._buffer) < FRAME_HEAD_BYTES + length:
                return None
            frame = self._take(FRAME_HEAD_BYTES + length)
            if int.from_bytes(frame[5:9], "big") not in self._abandoned:
                return frame
            self._pass_over(frame)
        return None

    def _take(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _pass_over(self, frame: bytes) -> None:
        """A frame of a stream that we have reset: only what it does to the whole connection matters."""
        if frame[3] == _DATA:
            self._repay(len(frame) - FRAME_HEAD_BYTES)
        elif frame[3] in (_HEADERS, _CONTINUATION):
            parsed, _ = Frame.parse_frame_header(memoryview(frame[:FRAME_HEAD_BYTES]))
            parsed.parse_body(memoryview(frame[FRAME_HEAD_BYTES:]))
            self._passed_over += bytes(getattr(parsed, "data", b""))
            if "END_HEADERS" in parsed.flags:
                block, self._passed_over = self._passed_over, b""
                self._h2.decoder.decode(block)

    def _repay(self, size: int) -> None:
        """Payload of a stream that we have reset still counts against the connection's window."""
        self._owed += size
        if self._owed >= _REPAY_BYTES:
            self._flush_h2()
            self._output.append(WindowUpdateFrame(0, window_increment=self._owed).serialize())
            self._owed = 0

    def acknowledge(self, stream_id: int, size: int) -> None:
        """``size`` bytes (as the event counts them) are consumed: the peer may send as many more."""
        if size and stream_id not in self._abandoned:
            try:
                self._h2.acknowledge_received_data(size, stream_id)
            except (h2.exceptions.StreamClosedError, KeyError):
                return

    # --- writing ---

    def next_stream_id(self) -> int:
        """For a new request; client side."""
        return self._h2.get_next_available_stream_id()

    @property
    def peer_concurrent_streams(self) -> int:
        """How many requests the peer lets run at once."""
        return self._h2.remote_settings.max_concurrent_streams

    def send_headers(self, stream_id: int, headers: Sequence[Header], *, is_end: bool) -> None:
        """A block of headers; trailers wait for the payload before them."""
        self._h2.send_headers(stream_id, headers, end_stream=is_end)

    def send_data(self, stream_id: int, data: bytes, *, is_end: bool) -> None:
        """Payload, as much as the windows allow; the rest follows by itself."""
        waiting = self._waiting.get(stream_id)
        if waiting is None:
            waiting = self._waiting[stream_id] = deque()
        waiting.append((data, is_end))
        self._pump(stream_id)

    def waiting_bytes(self, stream_id: int) -> int:
        """Payload that is held back by the peer's windows."""
        return sum(len(data) for data, _ in self._waiting.get(stream_id, ()))

    def window_opened(self, stream_id: int) -> list[int]:
        """The peer has made room (0: for the connection); the streams that had been waiting and are not any more."""
        streams = list(self._waiting) if stream_id == 0 else [stream_id]
        return [each for each in streams if each in self._waiting and self._pump(each)]

    def _pump(self, stream_id: int) -> bool:
        """True where nothing waits any longer."""
        waiting = self._waiting[stream_id]
        while waiting:
            data, is_end = waiting[0]
            try:
                room = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)
            except (h2.exceptions.ProtocolError, KeyError):
                waiting.clear()
                break
            if data and room <= 0:
                return False
            piece, rest = data[:room], data[room:]
            self._h2.send_data(stream_id, piece, end_stream=is_end and not rest)
            if rest:
                waiting[0] = (rest, is_end)
            else:
                waiting.popleft()
        del self._waiting[stream_id]
        return True

    def reset(self, stream_id: int, code: int) -> None:
        """RST_STREAM, where the stream is still known; what the peer sends for it afterwards is passed over."""
        self._abandoned.add(stream_id)
        self._waiting.pop(stream_id, None)
        try:
            self._h2.reset_stream(stream_id, code)
        except h2.exceptions.ProtocolError:
            self._force_reset(stream_id, code)

    def _force_reset(self, stream_id: int, code: int) -> None:
        """Both sides have ended it: Envoy says RST_STREAM all the same where it had not read the request's end yet."""
        self._flush_h2()
        self._output.append(b"\x00\x00\x04\x03\x00" + stream_id.to_bytes(4, "big") + code.to_bytes(4, "big"))

    def go_away(self, last_stream_id: int | None = None) -> None:
        """GOAWAY without an error; ``None`` is the highest stream there was."""
        self._h2.close_connection(last_stream_id=last_stream_id)

    def go_away_soon(self) -> None:
        """The first of two GOAWAYs: no stream is refused yet."""
        self._flush_h2()
        self._output.append(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00")

    def ping(self) -> None:
        """Is the peer there?"""
        self._h2.ping(b"sandbox!")

    def _flush_h2(self) -> None:
        output = self._h2.data_to_send()
        if output:
            self._output.append(output)

    def take_output(self) -> bytes:
        """Bytes to send now."""
        self._flush_h2()
        output, self._output = self._output, []
        return b"".join(output)
