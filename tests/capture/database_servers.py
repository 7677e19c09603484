"""As much of a PostgreSQL and a Redis server as their command line clients need, on loopback."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server's port; ``answer`` talks with one client."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                answer(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def postgres(client: socket.socket) -> None:
    """Lets everybody in without TLS, and answers each query with the row ``42``."""
    stream = client.makefile("rb")
    while int.from_bytes(_startup(stream)[:4], "big") == 80877103:  # SSLRequest, GSSENCRequest differ by one
        client.sendall(b"N")
    client.sendall(_message(b"R", struct.pack(">I", 0)) + _message(b"Z", b"I"))
    while (kind := stream.read(1)) == b"Q":
        stream.read(int.from_bytes(stream.read(4), "big") - 4)
        column = b"answer\0" + struct.pack(">IHIHIH", 0, 0, 23, 4, 0xFFFFFFFF, 0)
        row = struct.pack(">H", 1) + column
        client.sendall(_message(b"T", row) + _message(b"D", struct.pack(">HI", 1, 2) + b"42"))
        client.sendall(_message(b"C", b"SELECT 1\0") + _message(b"Z", b"I"))
    assert kind in (b"X", b"")


def _startup(stream: object) -> bytes:
    read = stream.read  # type: ignore[attr-defined]  # a buffered reader
    found: bytes = read(int.from_bytes(read(4), "big") - 4)
    return found


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


def redis(client: socket.socket) -> None:
    """Answers ``PING``."""
    while asked := client.recv(4096):
        client.sendall(b"+PONG\r\n" if b"ping" in asked.lower() else b"-ERR unknown command\r\n")
