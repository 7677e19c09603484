"""HTTP/2 for either side of the proxy: what nghttp2 makes of frames, and Envoy of nghttp2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sandbox.wire import http2_frames as frames
from sandbox.wire.hpack_encoder import HpackEncoder
from sandbox.wire.http2_events import Event
from sandbox.wire.http2_receiver import Http2Receiver
from sandbox.wire.http2_rules import MessageRules
from sandbox.wire.http2_session import Http2Session, Http2Settings, Http2Stream
from sandbox.wire.http_message import Header


class Http2Codec:
    """One connection. ``receive`` gives events frame by frame; after any call ``take_output`` has the bytes to send."""

    def __init__(self, *, is_client: bool, settings: Http2Settings | None = None) -> None:
        self._session = Http2Session(is_client=is_client, settings=settings or Http2Settings())
        self._encoder = HpackEncoder()
        self._receiver = Http2Receiver(self._session, self._encoder)

    def receive(self, data: bytes) -> Iterator[Event]:
        """Events of each complete frame, before the next frame is looked at. Raises ``Http2Error``."""
        return self._receiver.receive(data)

    @property
    def streams(self) -> Mapping[int, Http2Stream]:
        """Those that are open, with their counts of bytes."""
        return self._session.streams

    def acknowledge(self, stream_id: int, size: int) -> None:
        """``size`` bytes (as the event counts them) are consumed: the peer may send as many more."""
        if size:
            self._session.open_window(self._session.streams.get(stream_id), size)

    @property
    def pings_answered(self) -> int:
        """How many of our own the peer has acknowledged."""
        return self._session.pings_answered

    # --- writing ---

    def ping(self, data: bytes) -> None:
        """Asks whether the peer is there; ``data`` are eight bytes."""
        self._session.queue_urgent(frames.frame(frames.PING, 0, 0, data))

    @property
    def peer_concurrent_streams(self) -> int:
        """How many requests the peer lets run at once."""
        return self._session.peer_concurrent_streams

    def open_stream(self, method: bytes) -> Http2Stream:
        """For a new request; client side. The method tells whether its response has a body."""
        session = self._session
        stream = session.open(session.next_stream, MessageRules(method))
        session.next_stream += 2
        return stream

    def send_headers(self, stream_id: int, headers: Sequence[Header], *, is_end: bool) -> None:
        """A block of headers; trailers wait for the payload before them."""
        stream = self._session.streams.get(stream_id)
        if stream is None:
            return
        sent = stream.wire_bytes_sent
        for place, frame in enumerate(frames.header_frames(stream_id, self._encoder.encode(headers), is_end=is_end)):
            self._session.queue(frame, stream)
            if place:
                stream.wire_bytes_sent -= frames.FRAME_HEAD_BYTES  # Envoy counts the block as if in one frame
        stream.header_bytes_sent += stream.wire_bytes_sent - sent
        if is_end:
            self._sent_all(stream)

    def send_data(self, stream_id: int, data: bytes, *, is_end: bool) -> None:
        """Payload, as much as the windows allow; the rest follows by itself."""
        stream = self._session.streams.get(stream_id)
        if stream is None:
            return
        if stream.waiting is not None:
            stream.waiting = (stream.waiting[0] + data, is_end)
        else:
            stream.waiting = (data, is_end)
        self._pump(stream)

    def waiting_bytes(self, stream_id: int) -> int:
        """Payload that is held back by the peer's windows."""
        stream = self._session.streams.get(stream_id)
        return len(stream.waiting[0]) if stream is not None and stream.waiting is not None else 0

    def window_opened(self, stream_id: int) -> list[int]:
        """The peer has made room (0: for the connection); the streams that had been waiting and are not any more."""
        streams = self._session.streams
        concerned = list(streams.values()) if stream_id == 0 else [streams[stream_id]] if stream_id in streams else []
        return [each.stream_id for each in concerned if each.waiting is not None and self._pump(each)]

    def _pump(self, stream: Http2Stream) -> bool:
        """True where nothing waits any longer."""
        if stream.waiting is None:
            return True
        session = self._session
        data, is_end = stream.waiting
        at = 0
        while True:
            room = min(stream.send_window, session.send_window, frames.MAX_PAYLOAD)
            if data and room <= 0:
                stream.waiting = (data[at:], is_end)
                return False
            piece = data[at : at + room]
            at += len(piece)
            is_last = at == len(data)
            stream.send_window -= len(piece)
            session.send_window -= len(piece)
            session.data_frames_sent += 1
            flags = frames.END_STREAM if is_last and is_end else 0
            session.queue(frames.frame(frames.DATA, flags, stream.stream_id, piece), stream)
            if is_last:
                stream.waiting = None
                if is_end:
                    self._sent_all(stream)
                return True

    def _sent_all(self, stream: Http2Stream) -> None:
        stream.is_local_done = True
        self._session.close_if_done(stream)

    def reset(self, stream_id: int, code: int) -> None:
        """RST_STREAM; what the peer sends for the stream afterwards is passed over.

        Envoy says so also where both sides have ended it, if it had not read the request's end yet.
        """
        stream = self._session.streams.pop(stream_id, None)
        self._session.queue_reset(stream_id, code, stream)

    def refuse_head(self, stream: Http2Stream) -> None:
        """A head that is too large for us: INTERNAL_ERROR, and it counts for nothing."""
        stream.wire_bytes_received = stream.header_bytes_received = 0
        self._session.streams.pop(stream.stream_id, None)
        self._session.queue_reset(stream.stream_id, frames.INTERNAL_ERROR, stream)

    def go_away(self) -> None:
        """GOAWAY without an error, after the highest stream there was."""
        self._session.has_said_goodbye = True
        self._session.queue(frames.go_away(self._session.highest_peer_stream, frames.NO_ERROR))

    def go_away_soon(self) -> None:
        """The first of two GOAWAYs: no stream is refused yet."""
        self._session.queue(frames.go_away(frames.MAX_WINDOW, frames.NO_ERROR))

    def take_output(self, *, is_blocked: bool = False) -> bytes:
        """Bytes to send now; ``is_blocked``: the peer has not read what was sent before."""
        return self._session.take_output(is_blocked=is_blocked)
