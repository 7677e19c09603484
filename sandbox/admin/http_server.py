"""A small HTTP server for the admin ports: one request per connection, no body read."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qsl

from sandbox.admin.answers import AdminRequest

if TYPE_CHECKING:
    from sandbox.admin.endpoints import Port
    from sandbox.app import Sandbox

LONGEST_HEAD: Final = 16 * 1024
HEAD_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 60.0
"""How long a client may take to send its head, and to read the answer: nobody holds a connection for nothing."""


class AdminProtocol(asyncio.Protocol):
    """Answers one request and closes."""

    def __init__(self, port: Port, sandbox: Sandbox, *, is_loopback_only: bool) -> None:
        self._port = port
        self._sandbox = sandbox
        self._is_loopback_only = is_loopback_only
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._give_up_after(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()

    def _give_up_after(self, seconds: float) -> None:
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._unread += data
        head, found, _ = self._unread.partition(b"\r\n\r\n")
        if found:
            self._reply(read_head(head, is_local=self._is_local()))
        elif len(self._unread) > LONGEST_HEAD:
            self._transport.close()

    def _is_local(self) -> bool:
        peer = self._transport.get_extra_info("peername")
        return bool(peer) and ipaddress.ip_address(peer[0].partition("%")[0]).is_loopback

    def _reply(self, request: AdminRequest) -> None:
        found = self._port.answer(self._sandbox, request, is_loopback_only=self._is_loopback_only)
        body = found.body.encode("utf-8", "surrogateescape")
        head = (
            f"HTTP/1.1 {found.status:d} {HTTPStatus(found.status).phrase}\r\ncontent-type: {found.content_type}\r\n"
            f"content-length: {len(body)}\r\ncache-control: no-cache, max-age=0\r\n"
            "x-content-type-options: nosniff\r\nserver: envoy\r\nconnection: close\r\n\r\n"
        )
        self._deadline.cancel()
        self._give_up_after(ANSWER_SECONDS)
        self._transport.write(head.encode() + (b"" if request.method == "HEAD" else body))
        self._transport.close()
        if found.ends:
            # The same way out as a signal from outside, so that there is only one: it drains.
            os.kill(os.getpid(), signal.SIGTERM)


def read_head(head: bytes, *, is_local: bool) -> AdminRequest:
    """The request of a head; of a header that is repeated the last one counts."""
    line, *fields = head.decode("latin-1").split("\r\n")
    method, _, rest = line.partition(" ")
    path, _, query = rest.partition(" ")[0].partition("?")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    return AdminRequest(
        method=method,
        path=path,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        host=headers.get("host"),
        origin=headers.get("origin"),
        is_local=is_local,
    )
