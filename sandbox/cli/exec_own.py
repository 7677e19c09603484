"""A sandbox for one program: ``egress exec -f DIR -- CMD`` starts ``egress run`` beside it, and both end together."""

from __future__ import annotations

import os
import shutil
import socket
import sys

from sandbox.capture.launcher import EXIT_SET_UP


class OwnSandbox:
    """The started proxy: where it can be joined. ``stream`` must stay open until the program runs."""

    __slots__ = ("control", "stream")

    def __init__(self, control: str, stream: socket.socket) -> None:
        self.control = control
        self.stream = stream


def start_own_sandbox(arguments: list[str]) -> OwnSandbox | int:
    """Starts the proxy with these arguments of ``egress run`` and waits until it is ready; else its exit code."""
    directory = _new_directory()
    control = f"{directory}/control"
    ours, theirs = socket.socketpair()
    _spawn_apart([*arguments, "--control", control, "--launcher-fd", str(theirs.fileno())], theirs, directory)
    theirs.close()
    if ours.recv(16):
        return OwnSandbox(control, ours)
    with open(f"{directory}/stderr", encoding="utf-8", errors="replace") as file:
        sys.stderr.write(file.read())
    shutil.rmtree(directory, ignore_errors=True)
    return EXIT_SET_UP


def _new_directory() -> str:
    import tempfile  # some milliseconds, which joining a running sandbox does not pay

    return tempfile.mkdtemp(prefix="egress-sandbox-")


def _spawn_apart(arguments: list[str], stream: socket.socket, directory: str) -> None:
    """A grandchild in a session of its own: keyboard signals do not reach it, and the command has no unknown child."""
    os.set_inheritable(stream.fileno(), True)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    errors = os.open(f"{directory}/stderr", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(null, 0)
    if "--access-log" not in arguments:
        os.dup2(null, 1)
    os.dup2(errors, 2)
    command = [sys.executable, "-m", "sandbox", "run", "--no-proxy", *arguments]
    os.execv(sys.executable, command)
