"""The proxy's end of the control socket: its directory, and binding it."""

from __future__ import annotations

import os
import socket
import stat

from sandbox.capture.control_protocol import connect


def make_directory(path: str) -> None:
    """The socket's directory, open to its owner only; ``PermissionError`` if somebody else made it."""
    directory = os.path.dirname(path) or "."
    os.makedirs(directory, mode=0o700, exist_ok=True)
    found = os.stat(directory)
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise PermissionError(f"{directory} belongs to another user, or others may write there")


def listen(path: str) -> socket.socket:
    """The proxy's end; a socket that a dead proxy left behind is replaced, one that answers is not."""
    make_directory(path)
    try:
        connect(path).close()
    except (FileNotFoundError, ConnectionRefusedError):
        pass
    else:
        raise FileExistsError(f"another sandbox listens at {path}")
    if os.path.lexists(path):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    sock.bind(path)
    os.chmod(path, 0o600)
    sock.listen(64)
    sock.setblocking(False)
    return sock
