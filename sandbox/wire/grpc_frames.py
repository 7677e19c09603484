"""Messages of a gRPC stream: each is a byte of flags, four bytes of length, and so many bytes (gRPC over HTTP/2)."""

from __future__ import annotations

from typing import Final

_PREFIX: Final = 5


class GrpcMessageCounter:
    """Counts the messages whose prefix has come, however the bytes are cut."""

    __slots__ = ("_prefix", "_skip", "count")

    def __init__(self) -> None:
        self.count = 0
        self._prefix = b""
        self._skip = 0

    def feed(self, data: bytes) -> None:
        """The next bytes of the stream."""
        place = 0
        while place < len(data):
            skipped = min(self._skip, len(data) - place)
            self._skip -= skipped
            place += skipped
            if self._skip:
                return
            wanted = data[place : place + _PREFIX - len(self._prefix)]
            self._prefix += wanted
            place += len(wanted)
            if len(self._prefix) == _PREFIX:
                self.count += 1
                self._skip = int.from_bytes(self._prefix[1:], "big")
                self._prefix = b""


class GrpcMessages:
    """Both directions of one call."""

    __slots__ = ("request", "response")

    def __init__(self) -> None:
        self.request = GrpcMessageCounter()
        self.response = GrpcMessageCounter()
