"""Pipes for splice(2), kept for reuse because making one costs more than a short connection's whole relay."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Final, NamedTuple

PIPE_BYTES: Final = 262_144
"""Most that one direction holds back."""
KEPT: Final = 64
F_SETPIPE_SZ: Final = 1031


class Pipe(NamedTuple):
    """Both ends, non-blocking."""

    reading: int
    writing: int


class PipePool:
    """Empty pipes ready for use."""

    def __init__(self) -> None:
        self._free: list[Pipe] = []

    def take(self) -> Pipe | None:
        """A pipe, or ``None`` where the system has none left."""
        if self._free:
            return self._free.pop()
        try:
            pipe = Pipe(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            return None
        with contextlib.suppress(OSError):  # beyond the user's allowance: the default of 64 KiB works too
            fcntl.fcntl(pipe.writing, F_SETPIPE_SZ, PIPE_BYTES)
        return pipe

    def give_back(self, pipe: Pipe, *, is_empty: bool) -> None:
        """Keeps an empty pipe; one with bytes in it is closed, they belong to nobody else."""
        if is_empty and len(self._free) < KEPT:
            self._free.append(pipe)
            return
        os.close(pipe.reading)
        os.close(pipe.writing)

    def close(self) -> None:
        """Closes what is kept."""
        while self._free:
            pipe = self._free.pop()
            os.close(pipe.reading)
            os.close(pipe.writing)
