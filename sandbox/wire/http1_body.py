"""Bodies of HTTP/1 messages: by length, in chunks, or until the connection ends."""

from __future__ import annotations

import re
from typing import Protocol

from sandbox.wire.http1_lines import BAD_REQUEST, HEADERS_TOO_LARGE, INVALID_CHARACTERS, NOT_CONTROL, TOKEN
from sandbox.wire.http_message import Refusal

_HEX = frozenset(b"0123456789abcdefABCDEF")
_SIZE_LINE = re.compile(rb"(?=[0-9A-Fa-f])0*([0-9A-Fa-f]*)(?:[ \t;][^\r]*)?\r").fullmatch
"""A number, and what follows a blank or a semicolon."""
_MOST_DIGITS = 16
_LONGEST_SIZE_LINE = 16 * 1024
_MOST_TRAILER_BYTES = 60 * 1024


class BodyError(Exception):
    """The framing is broken; ``payload`` is what of this read still counts, ``refusal`` what a client is told."""

    def __init__(self, payload: bytes = b"", refusal: Refusal = BAD_REQUEST) -> None:
        super().__init__()
        self.payload = payload
        self.refusal = refusal


class BodyReader(Protocol):
    """Takes bytes off the wire; tells payload from framing."""

    is_done: bool

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Payload in ``data``, and what lies behind the body's end (empty while it is not done)."""
        ...


class LengthBody:
    """``content-length``: so many bytes."""

    __slots__ = ("is_done", "left")

    def __init__(self, length: int) -> None:
        self.left = length
        self.is_done = length == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """See ``BodyReader``."""
        size = len(data)
        if size < self.left:
            self.left -= size
            return data, b""
        cut, self.left, self.is_done = self.left, 0, True
        return (data, b"") if cut == size else (data[:cut], data[cut:])


class UntilCloseBody:
    """A response without length: everything until the connection ends."""

    __slots__ = ("is_done",)

    def __init__(self) -> None:
        self.is_done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """See ``BodyReader``."""
        return data, b""


class ChunkedBody:
    """``transfer-encoding: chunked``; extensions and trailers are read and dropped."""

    __slots__ = ("_buffer", "_has_trailer", "_left", "_state", "_trailer_bytes", "is_done")

    def __init__(self) -> None:
        self.is_done = False
        self._buffer = b""
        self._left = 0
        self._state = "size"
        self._trailer_bytes = 0
        self._has_trailer = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """See ``BodyReader``; the payloads of several chunks come joined."""
        payload: list[bytes] = []
        try:
            rest = self._feed(self._buffer + data if self._buffer else data, payload)
        except BodyError as error:
            # Envoy passes a read's payload on when all of it is taken, or when the last chunk has come
            raise BodyError(b"".join(payload) if self._state == "trailers" else b"", error.refusal) from error
        return b"".join(payload), rest

    def _feed(self, data: bytes, payload: list[bytes]) -> bytes:
        self._buffer = b""
        place = 0
        while not self.is_done:
            if self._state == "data":
                piece = data[place : place + self._left]
                payload.append(piece)
                place += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
                self._state = "end"
            end = data.find(b"\n", place)
            if end < 0:
                self._keep(data[place:])
                place = len(data)
                break
            self._line(data[place:end])
            place = end + 1
        return data[place:] if self.is_done else b""

    def _keep(self, rest: bytes) -> None:
        if self._state == "trailers":
            if self._trailer_bytes + len(rest) > _MOST_TRAILER_BYTES:
                raise BodyError(refusal=HEADERS_TOO_LARGE)
        elif len(rest) > _LONGEST_SIZE_LINE or (self._state == "size" and rest and rest[0] not in _HEX):
            raise BodyError
        self._buffer = rest

    def _line(self, line: bytes) -> None:
        if self._state == "end":
            # Envoy does not insist on the line end right behind the data: what stands before it is skipped
            self._state = "size"
        elif self._state == "size":
            size = _SIZE_LINE(line)
            if size is None or len(size[1]) > _MOST_DIGITS:
                raise BodyError
            self._left = int(size[1] or b"0", 16)
            self._state = "data" if self._left else "trailers"
        elif not line.strip(b"\r"):
            self.is_done = True
        else:
            self._trailer(line)

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 1
        name, colon, _ = line.partition(b":")
        is_folded = line[:1] in b" \t" and self._has_trailer
        self._has_trailer = True
        if self._trailer_bytes > _MOST_TRAILER_BYTES:
            raise BodyError(refusal=HEADERS_TOO_LARGE)
        if line.translate(None, NOT_CONTROL):
            raise BodyError(refusal=INVALID_CHARACTERS)
        if not is_folded and (not colon or not name or name.translate(None, TOKEN)):
            raise BodyError


def chunk(data: bytes) -> bytes:
    """One chunk of the wire, size in lower-case hexadecimal."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
