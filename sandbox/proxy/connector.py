"""Connects one TCP (or Unix) socket without blocking and without a task; failure is a value."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.proxy.downstream import address_text
from sandbox.proxy.failure import FailureKind, UpstreamFailure
from sandbox.proxy.internal_listener import connect_inside
from sandbox.proxy.poller import poller_of

if TYPE_CHECKING:
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.host import SocketTarget

Connected = Callable[["socket.socket | UpstreamFailure"], None]

IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK)


class Connector:
    """One attempt; ``on_end`` is called once, never before ``start`` has returned."""

    __slots__ = ("_handle", "_loop", "_on_end", "_poller", "_socket", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_end: Connected) -> None:
        self._loop = loop
        self._poller = poller_of(loop)
        self._on_end = on_end
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._handle: asyncio.Handle | None = None

    def start(self, cluster: ClusterRuntime, target: SocketTarget) -> None:
        """Begins to connect within the cluster's ``connect_timeout``."""
        try:
            sock, code = _open(cluster, target)
        except OSError as error:
            words = _reason("immediate", error.errno or 0)
            failure = UpstreamFailure.because(FailureKind.LOCAL_CONNECTION_FAILURE, words)
            self._handle = self._loop.call_soon(self._end, failure)
            return
        self._socket = sock
        if code in IN_PROGRESS:
            self._timer = self._loop.call_later(cluster.connect_timeout, self._timed_out)
            self._poller.add_writer(sock.fileno(), self._writable)
        elif code:
            self._handle = self._loop.call_soon(
                self._fail, f"{_reason('immediate', code)}|remote address:{_text(target)}"
            )
        else:
            self._handle = self._loop.call_soon(self._succeed)

    def cancel(self) -> None:
        """Gives up; ``on_end`` is not called any more."""
        self._on_end = _ignore
        if self._handle is not None:
            self._handle.cancel()
        self._stop()
        self._close()

    def _writable(self) -> None:
        sock = self._socket
        if sock is None:
            return
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code and not _is_connected(sock):
            return  # called once too often
        self._stop()
        if code:
            self._fail(_reason("delayed", code))
        else:
            self._succeed()

    def _succeed(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            self._end(sock)

    def _fail(self, words: str) -> None:
        self._close()
        self._end(UpstreamFailure.because(FailureKind.REMOTE_CONNECTION_FAILURE, words))

    def _timed_out(self) -> None:
        self._timer = None
        self._stop()
        self._close()
        self._end(UpstreamFailure(FailureKind.CONNECTION_TIMEOUT))

    def _end(self, outcome: socket.socket | UpstreamFailure) -> None:
        on_end, self._on_end = self._on_end, _ignore
        on_end(outcome)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._poller.remove_writer(self._socket.fileno())

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _ignore(outcome: socket.socket | UpstreamFailure) -> None:
    if isinstance(outcome, socket.socket):
        outcome.close()


def _open(cluster: ClusterRuntime, target: SocketTarget) -> tuple[socket.socket, int]:
    """A socket on its way, and what ``connect`` said at once."""
    if cluster.leads_inside:
        return connect_inside(cluster.environment.enter_internal, str(target[0])), 0
    if isinstance(target, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    else:
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if not isinstance(target, str):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in cluster.socket_options:
            sock.setsockopt(*option)
        source = cluster.source_of(target)
        if source is not None:
            with contextlib.suppress(OSError):  # only Linux has all of 127.0.0.0/8
                sock.bind((source, 0))
        return sock, sock.connect_ex(cluster.connect_address(target))
    except OSError:
        sock.close()
        raise


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _reason(when: str, code: int) -> str:
    return f"{when} connect error: {os.strerror(code)}"


def _text(target: SocketTarget) -> str:
    return target if isinstance(target, str) else address_text(*target)


async def connect_socket(cluster: ClusterRuntime, target: SocketTarget) -> socket.socket | UpstreamFailure:
    """The same for those who can wait."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[socket.socket | UpstreamFailure] = loop.create_future()
    connector = Connector(loop, lambda outcome: None if done.done() else done.set_result(outcome))
    connector.start(cluster, target)
    try:
        return await done
    except asyncio.CancelledError:
        connector.cancel()
        raise
