"""Servers that are no HTTP: an echo, a database that speaks first, and a small key-value store."""

from __future__ import annotations

import asyncio
import struct
from typing import cast

MYSQL_VERSION = b"8.0.36-embedded"
# Capabilities of the greeting: 4.1 protocol, secure connection, plugin authentication; no TLS.
MYSQL_CAPABILITIES = 0x0000_0200 | 0x0000_8000 | 0x0008_0000 | 0x0000_0001
MYSQL_ACCESS_DENIED = 1045
LONGEST_LINE = 64 * 1024


class Echo(asyncio.Protocol):
    """Sends back what it gets, and closes when the client does."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()


class MysqlGreeter(asyncio.Protocol):
    """Greets as a MySQL server does, and refuses every login with an error that names the host that answered."""

    def __init__(self, name: str) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_mysql_packet(0, _mysql_greeting()))

    def data_received(self, data: bytes) -> None:
        text = f"Access denied: this is {self._name} of the embedded internet, which lets nobody in"
        error = b"\xff" + struct.pack("<H", MYSQL_ACCESS_DENIED) + b"#28000" + text.encode()
        self._transport.write(_mysql_packet(data[3] + 1 if len(data) > 3 else 1, error))
        self._transport.close()


class Redis(asyncio.Protocol):
    """Understands PING, ECHO, SET, GET and INFO, in RESP and inline."""

    def __init__(self, name: str, store: dict[bytes, bytes]) -> None:
        self._name = name
        self._store = store
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (taken := _redis_command(self._unread)) is not None:
            words, used = taken
            self._unread = self._unread[used:]
            if words:
                self._transport.write(self._answer(words))
        if len(self._unread) > LONGEST_LINE:
            self._transport.close()

    def _answer(self, words: list[bytes]) -> bytes:
        match [words[0].upper(), *words[1:]]:
            case [b"PING"]:
                return b"+PONG\r\n"
            case [b"PING" | b"ECHO", text]:
                return _redis_bulk(text)
            case [b"SET", key, value, *_]:
                self._store[key] = value
                return b"+OK\r\n"
            case [b"GET", key]:
                return _redis_bulk(self._store[key]) if key in self._store else b"$-1\r\n"
            case [b"INFO", *_]:
                return _redis_bulk(f"# Server\r\nredis_version:7.2.0-embedded\r\nhost:{self._name}\r\n".encode())
            case [b"COMMAND", *_]:
                return b"*0\r\n"
            case [b"QUIT", *_]:
                return b"+OK\r\n"
            case [name, *_]:
                return b"-ERR unknown command '" + name + b"'\r\n"
            case _:
                return b"-ERR empty command\r\n"


def _mysql_greeting() -> bytes:
    """HandshakeV10 of the MySQL client/server protocol."""
    salt = b"embedded-internet-00"
    low, high = MYSQL_CAPABILITIES & 0xFFFF, MYSQL_CAPABILITIES >> 16
    head = b"\x0a" + MYSQL_VERSION + b"\0" + struct.pack("<I", 1) + salt[:8] + b"\0" + struct.pack("<H", low)
    tail = struct.pack("<BHHB", 45, 2, high, 21) + bytes(10) + salt[8:] + b"\0"
    return head + tail + b"mysql_native_password\0"


def _mysql_packet(sequence: int, payload: bytes) -> bytes:
    return struct.pack("<I", len(payload))[:3] + bytes([sequence & 0xFF]) + payload


def _redis_bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


def _redis_command(data: bytes) -> tuple[list[bytes], int] | None:
    """The first command in ``data`` and how many bytes it took; None while it is incomplete."""
    line, end, _ = data.partition(b"\r\n")
    if not end:
        return None
    if not line.startswith(b"*"):
        return line.split(), len(line) + 2
    words: list[bytes] = []
    position = len(line) + 2
    for _ in range(int(line[1:]) if line[1:].isdigit() else 0):
        size, end, _ = data[position:].partition(b"\r\n")
        if not end:
            return None
        start = position + len(size) + 2
        length = int(size[1:]) if size[1:].isdigit() else 0
        if len(data) < start + length + 2:
            return None
        words.append(data[start : start + length])
        position = start + length + 2
    return words, position
