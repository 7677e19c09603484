"""The resolv.conf of captured programs, where the host's own would not do.

Whatever server a program asks, its questions are redirected; but one with a scope (``fe80::1%eth0``, as home routers
announce themselves) is on an interface that a capture namespace does not have, and the C library does not even try.
"""

from __future__ import annotations

import contextlib
import os

from sandbox.capture.control_protocol import resolver_file

RESOLV_CONF = "/etc/resolv.conf"


def captured_resolver(text: str) -> str | None:
    """What to bind over the file, or ``None`` where it may stay: servers are replaced, search and options kept."""
    lines = text.splitlines()
    servers = [line for line in lines if line.split()[:1] == ["nameserver"]]
    if not any("%" in server for server in servers):
        return None
    kept = [line for line in lines if line not in servers]
    return "\n".join(["nameserver 127.0.0.1", *kept, ""])


def write_resolver_file(control: str) -> None:
    """Puts the file beside the control socket, if one is needed."""
    try:
        with open(RESOLV_CONF, encoding="utf-8", errors="replace") as file:
            text = captured_resolver(file.read())
    except OSError:  # without the file the C library asks 127.0.0.1, which is captured
        return
    if text is not None:
        with open(resolver_file(control), "w", encoding="utf-8") as file:
            file.write(text)


def remove_resolver_file(control: str) -> None:
    """At the end."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(resolver_file(control))
