"""The servers behind both proxies: HTTP (in TLS too), a reply to any first bytes, an echo and a source."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import tempfile
from pathlib import Path

import uvloop

from bench.world import HOSTS
from sandbox.pki import Authority

BODY = b'{"message": "hello from the upstream, 51 bytes..."}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
REPLY = HEAD + BODY
CHUNK = bytes(256 * 1024)


class Http(asyncio.Protocol):
    """Answers each request head (there are no bodies here) with the same reply."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.unread = b""

    def data_received(self, data: bytes) -> None:
        data = self.unread + data
        count = data.count(b"\r\n\r\n")
        if count:
            self.transport.write(REPLY * count)  # type: ignore[attr-defined]  # a stream transport
            self.unread = data[data.rindex(b"\r\n\r\n") + 4 :]
        else:
            self.unread = data


class Greeter(asyncio.Protocol):
    """Answers the first bytes with a few of its own: a TLS handshake's cost without the cryptography."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"\x16\x03\x03\x00\x3b" + bytes(59))  # type: ignore[attr-defined]


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]


class Source(asyncio.Protocol):
    """``b"N\\n"`` asks for N bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.left = 0
        self.paused = False

    def data_received(self, data: bytes) -> None:
        self.left = int(data)
        self._send()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self._send()

    def _send(self) -> None:
        while self.left > 0 and not self.paused:
            piece = CHUNK[: self.left]
            self.left -= len(piece)
            self.transport.write(piece)  # type: ignore[attr-defined]


def _tls(host: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory(prefix="egress-bench-") as directory:
        certificate, key = Authority(Path(directory)).leaf("upstream", [host])
        context.load_cert_chain(certificate, key)
    return context


async def serve() -> None:
    """Binds all, tells the ports on standard output, and serves until killed."""
    loop = asyncio.get_running_loop()
    ports = {}
    servers = (("http", Http), ("secure", Http), ("tls", Greeter), ("echo", Echo), ("source", Source))
    for name, protocol in servers:
        tls = _tls(HOSTS[name][0]) if name == "secure" else None
        server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=4096, ssl=tls)
        ports[name] = server.sockets[0].getsockname()[1]
    ports["routes"] = ports["http"]
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
