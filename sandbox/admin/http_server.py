"""A small HTTP server for the admin ports: one request per connection, no body read."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from sandbox.admin import api
from sandbox.settings import HostPort

if TYPE_CHECKING:
    from sandbox.app import Sandbox

LONGEST_HEAD = 16 * 1024


class AdminProtocol(asyncio.Protocol):
    """Answers one request and closes."""

    def __init__(self, handlers: Mapping[tuple[str, str], api.Handler], sandbox: Sandbox) -> None:
        self._handlers = handlers
        self._sandbox = sandbox
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if b"\r\n\r\n" in self._unread:
            self._reply(self._unread.partition(b"\r\n")[0].decode("latin-1"))
        elif len(self._unread) > LONGEST_HEAD:
            self._transport.close()

    def _reply(self, request_line: str) -> None:
        method, _, rest = request_line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        found = api.answer(self._handlers, method, path, self._sandbox)
        body = found.body.encode()
        head = (
            f"HTTP/1.1 {found.status} {HTTPStatus(found.status).phrase}\r\ncontent-type: {found.content_type}\r\n"
            f"content-length: {len(body)}\r\ncache-control: no-cache, max-age=0\r\nconnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + (b"" if method == "HEAD" else body))
        self._transport.close()
        if found.ends:
            # The same way out as a signal from outside, so that there is only one: it drains.
            os.kill(os.getpid(), signal.SIGTERM)


async def serve(address: HostPort, handlers: Mapping[tuple[str, str], api.Handler], sandbox: Sandbox) -> asyncio.Server:
    """Listens; the caller closes."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: AdminProtocol(handlers, sandbox), address.host, address.port)
