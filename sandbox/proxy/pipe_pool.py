"""Pipes for splice(2), kept for reuse because making one costs more than a short connection's whole relay."""

from __future__ import annotations

import fcntl
import os
from typing import Final, NamedTuple

LARGE_BYTES: Final = 1_048_576
"""Most that one direction holds back. Bulk costs 0.7 of what it does through 256 KiB: fewer and longer runs."""
LARGE_PIPES: Final = 16
"""So many are large: a user may have pipes of 64 MiB in all (pipe-user-pages-soft), and other programs need some."""
SMALL_BYTES: Final = 262_144
LEAST_BYTES: Final = 65_536
"""With less (the user's allowance is used up) reads and writes are cheaper than splicing."""
KEPT: Final = 16
F_SETPIPE_SZ: Final = 1031
F_GETPIPE_SZ: Final = 1032


class Pipe(NamedTuple):
    """Both ends, non-blocking, and how much fits in."""

    reading: int
    writing: int
    size: int


class PipePool:
    """Empty pipes ready for use."""

    def __init__(self) -> None:
        self._free: list[Pipe] = []
        self._large = 0
        """Large pipes there are, free or not."""

    def take(self) -> Pipe | None:
        """A pipe, or ``None`` where the system has none left, or none worth having."""
        if self._free:
            return self._free.pop()
        try:
            reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        size = _enlarge(writing, LARGE_BYTES if self._large < LARGE_PIPES else SMALL_BYTES)
        pipe = Pipe(reading, writing, size)
        self._large += size == LARGE_BYTES
        if size < LEAST_BYTES:
            self._close(pipe)
            return None
        return pipe

    def give_back(self, pipe: Pipe, *, is_empty: bool) -> None:
        """Keeps an empty pipe; one with bytes in it is closed, they belong to nobody else."""
        if is_empty and len(self._free) < KEPT:
            self._free.append(pipe)
        else:
            self._close(pipe)

    def close(self) -> None:
        """Closes what is kept."""
        while self._free:
            self._close(self._free.pop())

    def _close(self, pipe: Pipe) -> None:
        self._large -= pipe.size == LARGE_BYTES
        os.close(pipe.reading)
        os.close(pipe.writing)


def _enlarge(pipe: int, size: int) -> int:
    """What the pipe holds from now on: ``size``, or what it held before where the user may not have so much."""
    try:
        return fcntl.fcntl(pipe, F_SETPIPE_SZ, size)
    except OSError:
        return fcntl.fcntl(pipe, F_GETPIPE_SZ)
