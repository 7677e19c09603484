"""What launcher and proxy say to each other over the control socket: one JSON datagram with descriptors, one reply.

A Unix socket of type SEQPACKET keeps datagrams whole. It has a path and is not abstract, because abstract names belong
to a network namespace.
"""

from __future__ import annotations

import os
import socket
import stat

VERSION = 1
MAXIMUM_BYTES = 65536
MAXIMUM_DESCRIPTORS = 32
ACCEPTED = b'{"ok": true}'
"""The usual answer, known without a parser."""


def encode(value: object) -> bytes:
    """JSON of words, numbers, lists and mappings; the library for it takes longer to import than all else here."""
    return _text(value).encode("utf-8", "surrogateescape")


def _text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(name)}:{_text(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, int):
        return str(value)
    return '"' + "".join(f"\\u{ord(c):04x}" if c < " " or c in '"\\' else c for c in str(value)) + '"'


def default_path(environment: dict[str, str], uid: int) -> str:
    """``EGRESS_CONTROL``, else a socket in the user's run-time directory, else in a directory of his own below /tmp."""
    given = environment.get("EGRESS_CONTROL")
    if given:
        return given
    runtime = environment.get("XDG_RUNTIME_DIR")
    directory = f"{runtime}/egress-sandbox" if runtime else f"/tmp/egress-sandbox-{uid}"
    return f"{directory}/control"


def make_directory(path: str) -> None:
    """The socket's directory, open to its owner only; ``PermissionError`` if somebody else made it."""
    directory = os.path.dirname(path) or "."
    os.makedirs(directory, mode=0o700, exist_ok=True)
    found = os.stat(directory)
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise PermissionError(f"{directory} belongs to another user, or others may write there")


def connect(path: str) -> socket.socket:
    """A connection to the proxy that listens at ``path``."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


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
