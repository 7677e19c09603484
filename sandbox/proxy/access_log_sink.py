"""Access-log lines to files: batched, reopened on demand, nothing lost at exit."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Final

from sandbox.errors import FileError
from sandbox.proxy.ended_streams import EndedStreams

log = logging.getLogger("sandbox.proxy")
FLUSH_SECONDS: Final = 0.1
FLUSH_BYTES: Final = 65_536
STANDARD_OUTPUT: Final = "/dev/stdout"
STANDARD_ERROR: Final = "/dev/stderr"


class LogFile:
    """One target. ``write`` only appends to memory; the file is written when enough is there, or 100 ms later."""

    def __init__(self, path: str) -> None:
        self.path = path
        """A file, or ``-`` for standard output."""
        self._lines: list[bytes] = []
        self._size = 0
        self._descriptor: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_broken = False

    def write(self, line: bytes) -> None:
        """A whole line with its newline."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Writes everything that waits. A target that cannot be written is reported once, and lines are dropped."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lines:
            return
        data = memoryview(b"".join(self._lines))
        self._lines.clear()
        self._size = 0
        try:
            descriptor = self._open()
            while data:
                data = data[_write(descriptor, data) :]
            self._is_broken = False
        except OSError as error:
            if not self._is_broken:
                log.error("access log %s cannot be written: %s", self.path, error.strerror)
            self._is_broken = True

    def open(self) -> None:
        """Opens the target before the first line; raises OSError where it cannot be."""
        self._open()

    def reopen(self) -> None:
        """Writes what waits to the old file, then opens the name again (after logrotate)."""
        self.flush()
        self._close()

    def close(self) -> None:
        """Writes what waits and closes."""
        self.reopen()

    def _open(self) -> int:
        if self._descriptor is None:
            if self.path in ("-", STANDARD_OUTPUT):
                return 1
            if self.path == STANDARD_ERROR:
                return 2
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _write(descriptor: int, data: memoryview) -> int:
    """A pipe that nobody empties is waited for: lines are not lost for the sake of speed."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        import select

        select.select([], [descriptor], [], 1.0)
        return 0


class AccessLogSink:
    """All targets by path; what the configuration sends to standard output goes where the command line says.

    Raises FileError where that cannot be opened.
    """

    def __init__(self, standard_output: str | None = None) -> None:
        self.ended = EndedStreams()
        """Those whose lines are still to be written."""
        self._standard_output = standard_output or "-"
        file = LogFile(self._standard_output)
        self._files = {self._standard_output: file}
        try:  # a file that was asked for is there from the start, or nothing is
            file.open()
        except OSError as error:
            raise FileError(f"{self._standard_output}: {(error.strerror or str(error)).lower()}") from None

    def writer(self, path: str) -> Callable[[bytes], None]:
        """The function that takes lines for ``path``."""
        if path == STANDARD_OUTPUT:
            path = self._standard_output
        if path not in self._files:
            self._files[path] = LogFile(path)
        return self._files[path].write

    def flush(self) -> None:
        """Writes what waits for every target."""
        self.ended.tell()
        for file in self._files.values():
            file.flush()

    def reopen(self) -> None:
        """SIGUSR1."""
        self.ended.tell()
        for file in self._files.values():
            file.reopen()

    def close(self) -> None:
        """At exit."""
        self.ended.tell()
        for file in self._files.values():
            file.close()
