"""A small process that stays in a capture namespace and makes sockets there, for ports published to the host.

Whoever is outside may connect a socket that was created inside, but cannot create one there.
"""

from __future__ import annotations

import os
import socket

FAMILIES = (socket.AF_INET, socket.AF_INET6)


def start_socket_factory() -> tuple[int, socket.socket]:
    """Forks the process, from inside the namespace; its number, and the socket over which it is asked.

    Each datagram sent there is answered by one with new TCP sockets, one for each IP version that there is; when the
    last copy of the returned socket closes, the process ends.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        # A grandchild: the program must not find a child that it has not made.
        try:
            os.setsid()
            grandchild = os.fork()
            if grandchild:
                theirs.send(str(grandchild).encode())
            else:
                _serve_alone(theirs.detach())
        finally:
            os._exit(0)
    theirs.close()
    os.waitpid(child, 0)
    return int(ours.recv(32)), ours


def _serve_alone(descriptor: int) -> None:
    """Keeps nothing of the program's open: a pipe's reader would otherwise never see its end."""
    null = os.open(os.devnull, os.O_RDWR)
    asked = os.dup2(descriptor, 3)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")
    with socket.socket(fileno=asked) as sock:
        while sock.recv(16):
            made = [found for family in FAMILIES if (found := _new_socket(family)) is not None]
            socket.send_fds(sock, [b"sockets"], [one.fileno() for one in made])
            for one in made:
                one.close()


def _new_socket(family: int) -> socket.socket | None:
    try:
        return socket.socket(family, socket.SOCK_STREAM)
    except OSError:  # a machine without IPv6
        return None
