"""Peek: looks at what a client has sent until somebody has seen enough; nothing is consumed (MSG_PEEK).

``SO_RCVLOWAT`` is set beyond what was seen, so that half a message does not wake the loop again and again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from sandbox.proxy.poller import poller_of

INITIAL_BYTES: Final = 2048
MAXIMUM_BYTES: Final = 65_536

Look = Callable[[bytes], "bool | None"]
"""Everything sent so far → True: enough; ``None``: more, please; False: this connection ends here."""


class Peek:
    """One connection's peek; ``on_end(True)`` once it was enough, ``on_end(False)`` for a refusal, FIN or RST."""

    __slots__ = ("_is_waiting", "_look", "_on_end", "_poller", "_seen", "_size", "_socket")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, look: Look, on_end: Callable[[bool], None]
    ) -> None:
        self._poller = poller_of(loop)
        self._socket = sock
        self._look = look
        self._on_end = on_end
        self._seen = 0
        self._size = INITIAL_BYTES
        self._is_waiting = False

    def start(self) -> None:
        """Looks at once: most clients have sent something by the time they are accepted."""
        try:
            data = self._socket.recv(self._size, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            self._wait()
        except OSError:
            self._end(enough=False)
        else:
            self._consider(data)

    def stop(self) -> None:
        """Looks no more; the socket is as if nobody had looked."""
        if self._is_waiting:
            self._is_waiting = False
            self._poller.remove_reader(self._socket.fileno())
        if self._seen:
            self._seen = 0
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            except OSError:
                return

    def _readable(self) -> None:
        try:
            data = self._socket.recv(self._size, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end(enough=False)
            return
        if len(data) == self._seen:  # woken, and nothing new: the client has sent its FIN
            self._end(enough=False)
            return
        self._consider(data)

    def _consider(self, data: bytes) -> None:
        while len(data) == self._size and self._size < MAXIMUM_BYTES:
            self._size = min(self._size * 4, MAXIMUM_BYTES)
            try:
                data = self._socket.recv(self._size, socket.MSG_PEEK)
            except OSError:
                data = b""
        answer = self._look(data) if data else False
        if answer is None:
            self._seen = len(data)
            self._wait()
        else:
            self._end(enough=answer)

    def _wait(self) -> None:
        if self._seen:
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self._seen + 1)
            except OSError:
                self._end(enough=False)
                return
        if not self._is_waiting:
            self._is_waiting = True
            self._poller.add_reader(self._socket.fileno(), self._readable)

    def _end(self, *, enough: bool) -> None:
        self.stop()
        on_end, self._on_end, self._look = self._on_end, _ended, _refuse  # no cycle stays behind
        on_end(enough)


def _ended(enough: bool) -> None:
    del enough


def _refuse(data: bytes) -> bool:
    del data
    return False
