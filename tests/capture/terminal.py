"""A shell on a pseudo-terminal, typed into by a test."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 20.0
CONTROL_C, CONTROL_D, CONTROL_Z, CONTROL_BACKSLASH = "\x03", "\x04", "\x1a", "\x1c"


class Terminal:
    """The master's end."""

    def __init__(self, descriptor: int, pid: int) -> None:
        self._descriptor = descriptor
        self.pid = pid
        self._unread = ""

    def type(self, text: str) -> None:
        """Presses keys."""
        os.write(self._descriptor, text.encode())

    def read_until(self, pattern: str) -> re.Match[str]:
        """Reads until the pattern appears on the screen; what follows is for the next call."""
        deadline = time.monotonic() + SECONDS
        while (found := re.search(pattern, self._unread)) is None:
            left = deadline - time.monotonic()
            readable = select.select([self._descriptor], [], [], max(left, 0))[0]
            assert readable, f"{pattern!r} does not come; the screen says {self._unread!r}"
            self._unread += os.read(self._descriptor, 4096).decode(errors="replace")
        self._unread = self._unread[found.end() :]
        return found

    def resize(self, rows: int, columns: int) -> None:
        """The window changes its size."""
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def status(self) -> int:
        """Of the last command."""
        self.type("echo status=$?=\n")
        return int(self.read_until(r"status=(\d+)=")[1])


@contextmanager
def shell() -> Iterator[Terminal]:
    """An interactive bash that echoes nothing; it is killed at the end."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], {**os.environ, "PS1": "> "})
    terminal = Terminal(descriptor, pid)
    try:
        terminal.read_until("> ")
        terminal.type("stty -echo\n")
        terminal.read_until("> ")
        yield terminal
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.close(descriptor)
        os.waitpid(pid, 0)
