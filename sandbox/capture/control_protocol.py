"""What launcher and proxy say to each other over the control socket: one JSON datagram with descriptors, one reply.

A Unix socket of type SEQPACKET keeps datagrams whole. It has a path and is not abstract, because abstract names belong
to a network namespace.
"""

from __future__ import annotations

import _socket
import os
import sys

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
    """``EGRESS_CONTROL``, else a socket in the user's run-time directory, else in a directory of his own below /tmp.

    Under sudo the user is who called it: his sandbox is meant.
    """
    given = environment.get("EGRESS_CONTROL")
    if given:
        return given
    runtime, caller = environment.get("XDG_RUNTIME_DIR"), environment.get("SUDO_UID", "")
    if uid == 0 and caller.isdigit():
        uid = int(caller)
        if runtime is None and os.path.exists(f"/run/user/{uid}/egress-sandbox/control"):
            runtime = f"/run/user/{uid}"
    directory = f"{runtime}/egress-sandbox" if runtime else f"/tmp/egress-sandbox-{uid}"
    return f"{directory}/control"


def resolver_file(control: str) -> str:
    """A resolv.conf for captured programs beside the control socket; there only where the host's would not do."""
    return f"{control}.resolv.conf"


def connect(path: str) -> _socket.socket:
    """A connection to the proxy that listens at ``path``."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def send(sock: _socket.socket, message: bytes, descriptors: list[int]) -> None:
    """One datagram with descriptors."""
    passed = b"".join(each.to_bytes(4, sys.byteorder) for each in descriptors)
    sock.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)])
