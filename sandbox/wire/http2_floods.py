"""Limits on frames that cost the receiver more than the sender (Envoy's ``ProtocolConstraints``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.wire import http2_frames as frames
from sandbox.wire.http2_events import Http2Error

if TYPE_CHECKING:
    from sandbox.wire.http2_session import Http2Session

EMPTY_FRAMES = "http2.inbound_empty_frames_flood"
MAX_EMPTY_FRAMES = 1
"""One after the other, each without payload and without END_STREAM."""
MAX_PRIORITY_FRAMES = 100
"""For each stream there ever was, and the connection."""
MAX_WINDOW_UPDATES = 10
"""For each DATA frame sent."""
_WITH_PAYLOAD = (frames.DATA, frames.HEADERS, frames.CONTINUATION)


class FloodGuard:
    """Counts the frames of one connection."""

    __slots__ = ("_empty", "_priority", "_session", "_window_updates")

    def __init__(self, session: Http2Session) -> None:
        self._session = session
        self._empty = 0
        self._priority = 0
        self._window_updates = 0

    def count(self, kind: int, flags: int, length: int, stream_id: int) -> None:
        """One frame more. Raises ``Http2Error`` where that is too many."""
        if kind in _WITH_PAYLOAD:
            self._empty = 0 if length or flags & frames.END_STREAM else self._empty + 1
            if self._empty > MAX_EMPTY_FRAMES:
                raise self._flood("Too_many_consecutive_frames_with_an_empty_payload", stream_id, EMPTY_FRAMES)
        elif kind == frames.PRIORITY:
            self._priority += 1
            if self._priority > MAX_PRIORITY_FRAMES * (1 + self._session.opened):
                raise self._flood("Too_many_PRIORITY_frames")
        elif kind == frames.WINDOW_UPDATE:
            self._window_updates += 1
            sent = self._session.data_frames_sent
            if self._window_updates > 5 + 2 * (self._session.opened + MAX_WINDOW_UPDATES * sent):
                raise self._flood("Too_many_WINDOW_UPDATE_frames")

    def _flood(self, words: str, stream_id: int = 0, details: str | None = None) -> Http2Error:
        self._session.give_up()
        return Http2Error(f"codec_error:{words}", stream_id, details)
