"""The explicit HTTP proxy: CONNECT and absolute-form requests become connections to the address of their host.

Of CONNECT exactly the head is consumed. Of other requests nothing is: Envoy's model reads absolute targets itself.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
import socket
from typing import Any, Final

import msgspec

from sandbox.proxy.door import Caller, CallerFinder, Origin
from sandbox.proxy.downstream import ServerProtocol
from sandbox.proxy.forward_proxy_hosts import split_authority
from sandbox.proxy.peek import MAXIMUM_BYTES, Peek
from sandbox.proxy.resolver import NoAnswer
from sandbox.proxy.stream_relay import StreamEnd
from sandbox.proxy.tasks import detach
from sandbox.proxy.wrong_door import WrongDoor, answer_and_close, at_http_proxy, refusal, turn_away

log = logging.getLogger("sandbox.proxy")
DOOR: Final = "proxy"
HEAD_SECONDS: Final = 60.0
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^ \r\n]+) HTTP/1\.[01]\r?\n")
ABSOLUTE: Final = re.compile(rb"(?i:http)://([^/?#]*)")
HOST: Final = re.compile(rb"\n[Hh][Oo][Ss][Tt]:[ \t]*([^\r\n]*?)[ \t]*\r?\n")
BASIC: Final = re.compile(rb"\n(?i:proxy-authorization:[ \t]*basic)[ \t]+([A-Za-z0-9+/=]+)[ \t]*\r?\n")
CREDENTIALS: Final = re.compile(rb"(\n)(?i:proxy-authorization):[^\r\n]*\r?\n")
HTTP_PORT: Final = 80
UNSPECIFIED: Final = ("0.0.0.0", "::")
"""Whoever dials them comes to this machine."""
BAD_REQUEST: Final = b"400 Bad Request"
UNKNOWN_USER: Final = b"407 Proxy Authentication Required"
BAD_GATEWAY: Final = b"502 Bad Gateway"


class HttpProxyDoor:
    """Takes the connections of one port."""

    def __init__(self, callers: CallerFinder, workload: str | None = None) -> None:
        """``workload``: whose port this is; without it credentials say, or the address."""
        self._callers = callers
        self._workload = workload

    def accept(self, sock: socket.socket, remote: tuple[str, int]) -> None:
        """Waits for the request's head."""
        _Visit(self._callers, self._workload, sock, remote).start()


class _Visit:
    """One connection until it enters, or is refused."""

    def __init__(
        self, callers: CallerFinder, workload: str | None, sock: socket.socket, remote: tuple[str, int]
    ) -> None:
        self._callers = callers
        self._workload = workload
        self._socket = sock
        self._remote = remote
        self._loop = asyncio.get_running_loop()
        self._head = b""
        self._wrong: WrongDoor | None = None
        self._peek = Peek(self._loop, sock, self._look, self._seen)
        self._timer = self._loop.call_later(HEAD_SECONDS, self._timed_out)

    def start(self) -> None:
        """Begins to look for the head."""
        self._peek.start()

    def _look(self, data: bytes) -> bool | None:
        if not data[:1].isalpha():
            self._wrong = at_http_proxy(data[0])
            return False
        end = HEAD_END.search(data)
        if end is None:
            return None if len(data) < MAXIMUM_BYTES else False
        self._head = data[: end.end()]
        return True

    def _timed_out(self) -> None:
        self._peek.stop()
        self._seen(False)

    def _seen(self, enough: bool) -> None:
        self._timer.cancel()
        if enough:
            detach(self._go(), "proxy door")
        elif self._wrong is not None:
            detach(turn_away(self._socket, self._remote, self._wrong), "proxy door")
        else:
            self._socket.close()

    async def _go(self) -> None:
        request = read_request(self._head)
        if isinstance(request, str):
            await self._refuse(BAD_REQUEST, request)
            return
        caller = await self._callers.of(self._workload or user_of(self._head), self._remote[0])
        if isinstance(caller, str):
            await self._refuse(UNKNOWN_USER, caller)
            return
        address = await caller.names.look_up(request.host, request.port)
        if isinstance(address, NoAnswer):
            await self._refuse(BAD_GATEWAY, f"{request.host} does not resolve: {address.reason}")
            return
        own = self._socket.getsockname()
        if leads_back(address, request.port, own):
            await self._refuse(BAD_REQUEST, itself(own))
            return
        redirect = None
        if request.is_connect:
            try:
                self._socket.recv(len(self._head))
                await self._loop.sock_sendall(self._socket, ESTABLISHED)
            except OSError as error:
                log.debug("the client did not wait for its tunnel: %s", error)
                self._socket.close()
                return
        else:
            redirect = Redirector(caller, self._socket, self._remote, request).ask
        caller.enter(self._socket, Origin(self._remote, (address, request.port), DOOR, redirect))

    async def _refuse(self, status: bytes, reason: str) -> None:
        """An answer of the door itself: the mesh has not seen this request."""
        await answer_and_close(self._socket, refusal(status, reason))


class ProxyRequest(msgspec.Struct, frozen=True):
    """What a request's head says about its destination."""

    host: str
    port: int
    is_connect: bool


def read_request(head: bytes) -> ProxyRequest | str:
    """The destination, or what is wrong with the request."""
    line = REQUEST_LINE.match(head)
    if line is None:
        return "this is not an HTTP/1.1 request"
    is_connect = line[1] == b"CONNECT"
    authority = line[2] if is_connect else _authority(line[2], head)
    host, port = split_authority(authority.rpartition(b"@")[2].decode("latin-1"), 443 if is_connect else HTTP_PORT)
    if not host or not 0 < port < 65536:
        return "the request names no host"
    return ProxyRequest(host, port, is_connect)


def user_of(head: bytes) -> str | None:
    """The user of ``Proxy-Authorization: Basic`` (RFC 7617); the password is nobody's business."""
    given = BASIC.search(head)
    if given is None:
        return None
    try:
        user = base64.b64decode(given[1], validate=True).partition(b":")[0]
    except binascii.Error:
        return None
    return user.decode("utf-8", "replace") or None


def _authority(target: bytes, head: bytes) -> bytes:
    absolute = ABSOLUTE.match(target)
    if absolute is not None:
        return absolute[1]
    host = HOST.search(head)
    return host[1] if host is not None else b""


def leads_back(address: str, port: int, own: tuple[Any, ...]) -> bool:
    """Whether a call to there comes to ``own``, the door's address: passed on, it would do so again and again."""
    return port == own[1] and address in (own[0], *UNSPECIFIED)


def itself(own: tuple[Any, ...]) -> str:
    """What is told to whoever asks the proxy for the proxy."""
    address = f"[{own[0]}]:{own[1]}" if ":" in own[0] else f"{own[0]}:{own[1]}"
    return f"this is the proxy itself; ask it for another host, as in curl -x {address} http://httpbin.org/"


class Redirector:
    """Looks at each further request of a connection: one for another host enters anew, on the same transport."""

    def __init__(self, caller: Caller, sock: socket.socket, remote: tuple[str, int], request: ProxyRequest) -> None:
        self._caller = caller
        self._socket = sock
        self._remote = remote
        self._request = request

    def ask(self, data: bytes, protocol: ServerProtocol) -> bytes:
        """What ``protocol`` is to read, without our credentials; nothing where the connection has been taken away."""
        end = HEAD_END.search(data)
        if end is None:
            return data
        head = data[: end.end()]
        request = read_request(head)
        if isinstance(request, str) or request == self._request or request.is_connect:
            # What cannot be read, or belongs here, is the connection manager's to answer.
            return CREDENTIALS.sub(b"\\1", data, count=1) if CREDENTIALS.search(head) else data
        transport, read = protocol.let_go()
        stream = StreamEnd()
        transport.pause_reading()
        transport.set_protocol(stream)
        stream.transport = transport
        stream.early = read
        detach(self._redirect(stream, request), "proxy door")
        return b""

    async def _redirect(self, stream: StreamEnd, request: ProxyRequest) -> None:
        address = await self._caller.names.look_up(request.host, request.port)
        if stream.transport is None or stream.is_lost:
            return
        if isinstance(address, NoAnswer):
            stream.transport.write(refusal(BAD_GATEWAY, f"{request.host} does not resolve: {address.reason}"))
            stream.close()
            return
        own = stream.transport.get_extra_info("sockname")
        if leads_back(address, request.port, own):
            stream.transport.write(refusal(BAD_REQUEST, itself(own)))
            stream.close()
            return
        redirect = Redirector(self._caller, self._socket, self._remote, request).ask
        self._caller.enter(self._socket, Origin(self._remote, (address, request.port), DOOR, redirect, stream))
