"""The load generator: one process, uvloop protocols, as little work per unit as Python can."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import time
from collections.abc import Callable

import uvloop

from bench.upstream import REPLY

REQUEST = b"GET /anything HTTP/1.1\r\nhost: %s\r\nuser-agent: bench\r\naccept: */*\r\n\r\n"
VARIED_REQUEST = REQUEST.replace(b"/anything", b"/anything/%%d?n=%%d").replace(b"accept:", b"x-number: %%d\r\naccept:")
"""Path and one field are other ones each time: who remembers heads gains nothing by it."""
MESSAGE = b"x" * 64


class Work:
    """Counts units down, and remembers when the last one ended."""

    def __init__(self, units: int) -> None:
        self.left = units
        self.open = units
        self.failed = 0
        self.done = asyncio.get_running_loop().create_future()

    def take(self) -> bool:
        """Whether there is another unit to begin."""
        self.left -= 1
        return self.left >= 0

    def finish(self, ok: bool = True) -> None:
        """One unit has ended."""
        self.open -= 1
        self.failed += not ok
        if self.open == 0 and not self.done.done():
            self.done.set_result(None)


class KeepAlive(asyncio.Protocol):
    """Request after request (or message after message) on one connection."""

    def __init__(self, work: Work, request: bytes, reply_is_whole: Callable[[bytes], bool]) -> None:
        self.work, self.request, self.reply_is_whole = work, request, reply_is_whole
        self.unread = b""
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self.unread += data
        if self.reply_is_whole(self.unread):
            self.busy = False
            self.work.finish(self.unread[:4] != b"HTTP" or self.unread[9:12] == b"200")
            self.unread = b""
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy:
            self.work.finish(False)

    def _next(self) -> None:
        if self.work.take():
            self.busy = True
            self.transport.write(self._message())  # type: ignore[attr-defined]  # a stream transport
        else:
            self.transport.close()

    def _message(self) -> bytes:
        return self.request


class Varied(KeepAlive):
    """No two requests are alike."""

    def _message(self) -> bytes:
        return self.request % ((self.work.left,) * 3)


class OneShot(KeepAlive):
    """A new connection for each unit; ``again`` opens the next one."""

    again: Callable[[], None]

    def _next(self) -> None:
        if self.busy or self.unread or getattr(self, "used", False):
            self.transport.close()
            self.again()
            return
        self.used = True
        if self.work.take():
            self.busy = True
            self.transport.write(self.request)  # type: ignore[attr-defined]
        else:
            self.transport.close()


def http_reply_is_whole(data: bytes) -> bool:
    """The upstream's body is the last thing of its reply, and always the same."""
    return data.endswith(REPLY[-51:])


async def keep_alive(
    port: int,
    units: int,
    connections: int,
    request: bytes,
    whole: Callable[[bytes], bool],
    protocol: type[KeepAlive] = KeepAlive,
) -> Work:
    """``units`` in all over ``connections``."""
    work = Work(units)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: protocol(work, request, whole), "127.0.0.1", port)
    await work.done
    return work


async def new_connections(port: int, units: int, parallel: int, request: bytes, whole: Callable[[bytes], bool]) -> Work:
    """A connection for each of ``units``, ``parallel`` at a time."""
    work = Work(units)
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def connect() -> None:
        protocol = OneShot(work, request, whole)
        protocol.again = again
        try:
            await loop.create_connection(lambda: protocol, "127.0.0.1", port)
        except OSError:
            if work.take():
                work.finish(False)

    def again() -> None:
        if work.left > 0:
            task = loop.create_task(connect())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    for _ in range(parallel):
        again()
    await work.done
    return work


class Bulk(asyncio.BufferedProtocol):
    """Asks the source for ``size`` bytes and counts them."""

    def __init__(self, work: Work, size: int) -> None:
        self.work, self.size = work, size
        self.buffer = bytearray(1024 * 1024)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(b"%d\n" % self.size)  # type: ignore[attr-defined]

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.size -= nbytes
        if self.size <= 0:
            self.work.finish()
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.size > 0:
            self.work.finish(False)


async def bulk(port: int, size: int) -> Work:
    """One connection, ``size`` bytes down."""
    work = Work(1)
    await asyncio.get_running_loop().create_connection(lambda: Bulk(work, size), "127.0.0.1", port)
    await work.done
    return work


async def idle(port: int, connections: int) -> None:
    """Opens connections, says so, and holds them until standard input ends."""
    loop = asyncio.get_running_loop()
    held = [await loop.create_connection(asyncio.Protocol, "127.0.0.1", port) for _ in range(connections)]
    for transport, _ in held:
        transport.write(MESSAGE)
    await asyncio.sleep(1.0)
    sys.stdout.write("held\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


def client_hello(server_name: str) -> bytes:
    """A real ClientHello for ``server_name``."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


async def main(kind: str, port: int, units: int, parallel: int, host: str) -> None:
    """Runs one kind of work and prints seconds and failures as JSON."""
    request = REQUEST % host.encode()
    started = time.perf_counter()
    match kind:
        case "http":
            work = await keep_alive(port, units, parallel, request, http_reply_is_whole)
        case "http-varied":
            varied = VARIED_REQUEST % host.encode()
            work = await keep_alive(port, units, parallel, varied, http_reply_is_whole, Varied)
        case "http-new":
            work = await new_connections(port, units, parallel, request, http_reply_is_whole)
        case "tls-new":
            work = await new_connections(port, units, parallel, client_hello(host), lambda data: len(data) >= 64)
        case "tcp-new":
            work = await new_connections(port, units, parallel, MESSAGE, lambda data: len(data) >= len(MESSAGE))
        case "tcp":
            work = await keep_alive(port, units, parallel, MESSAGE, lambda data: len(data) >= len(MESSAGE))
        case "bulk":
            work = await bulk(port, units)
        case _:
            await idle(port, parallel)
            return
    print(json.dumps({"seconds": time.perf_counter() - started, "failed": work.failed}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
