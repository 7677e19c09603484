"""From an accepted socket to a filter: original destination, listener, inspection, filter chain, hand-over.

Every door ends here, in ``ConnectionHandler.dispatch``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from sandbox.match.facts import ConnectionFacts
from sandbox.plan.listener import HttpInspector, OriginalDst, TlsInspector
from sandbox.proxy.downstream import DownstreamConnection
from sandbox.wire.client_hello import NotYet, read_client_hello
from sandbox.wire.first_bytes import HttpLook, look_for_http

if TYPE_CHECKING:
    from sandbox.match.filter_chain_table import FilterChainTable
    from sandbox.plan.listener import FilterChain, Listener
    from sandbox.proxy.snapshot import NodeRuntime, StreamLogger

log = logging.getLogger("sandbox.proxy")
INITIAL_PEEK = 2048
MAXIMUM_PEEK = 65_536


class NetworkFilter(Protocol):
    """The filters of one chain, ready to take connections."""

    def take(self, connection: DownstreamConnection) -> None:
        """The connection is its own from now on, its bytes still unread in the kernel."""


class ListenerRuntime:
    """A listener of the plan with its tables."""

    __slots__ = (
        "continue_on_timeout",
        "filters",
        "inspectors",
        "logger",
        "needs_original_dst",
        "plan",
        "table",
        "timeout",
    )

    def __init__(
        self,
        plan: Listener,
        table: FilterChainTable,
        filters: Callable[[FilterChain], NetworkFilter],
        logger: StreamLogger,
    ) -> None:
        self.plan = plan
        self.table = table
        self.filters = filters
        self.logger = logger
        kinds = [type(each.typed_config) for each in plan.listener_filters]
        self.inspectors = tuple(kind for kind in kinds if kind in (TlsInspector, HttpInspector))
        self.needs_original_dst = bool(plan.use_original_dst) or OriginalDst in kinds
        timeout = plan.listener_filters_timeout
        self.timeout = 15.0 if timeout is None else timeout.total_seconds()
        """Seconds for the inspectors; 0 waits for ever, absent is Envoy's 15 s."""
        self.continue_on_timeout = plan.continue_on_listener_filters_timeout


class Listeners(Protocol):
    """Where a destination is looked up: exact address, wildcard, then ``virtualOutbound``."""

    def find(self, ip: str, port: int) -> ListenerRuntime | None:
        """The listener that takes connections meant for this address."""


class ConnectionHandler:
    """Takes accepted sockets for one snapshot after another; live connections stay with theirs."""

    def __init__(self) -> None:
        self.live: dict[int, DownstreamConnection] = {}
        self._next_id = 0

    def admit(
        self, sock: socket.socket, remote: tuple[str, int], destination: tuple[str, int], door: str
    ) -> DownstreamConnection:
        """Registers the connection until it is ``finished()``."""
        self._next_id += 1
        connection = DownstreamConnection(sock, self._next_id, remote, destination)
        connection.door = door
        connection.on_finished = self._forget
        self.live[self._next_id] = connection
        return connection

    def _forget(self, connection: DownstreamConnection) -> None:
        self.live.pop(connection.connection_id, None)

    def dispatch(self, connection: DownstreamConnection, listener: ListenerRuntime | None, node: NodeRuntime) -> None:
        """The one way in: the listener's filters look, a chain is chosen, its filters take the connection."""
        if listener is None:
            discard(connection)
            return
        connection.runtime = node
        connection.listener = listener.plan
        if listener.inspectors:
            Inspection(connection, listener).start()
        else:
            choose_chain(connection, listener)


def choose_chain(connection: DownstreamConnection, listener: ListenerRuntime) -> None:
    """Finds the filter chain and hands over; without one the connection is closed (flag NR in the listener's log)."""
    chain = listener.table.find(
        ConnectionFacts(
            destination_ip=connection.destination_ip,
            destination_port=connection.destination_port,
            source_ip=connection.remote_ip,
            source_port=connection.remote_port,
            transport_protocol=connection.transport_protocol,
            server_name=connection.requested_server_name or "",
            application_protocols=connection.application_protocols,
        )
    )
    if chain is None:
        _log_no_chain(connection, listener)
        discard(connection)
        return
    connection.filter_chain = chain
    try:
        listener.filters(chain).take(connection)
    except Exception:  # the one guard at the connection boundary: nothing may end the accept loop
        log.exception("connection %d from %s failed", connection.connection_id, connection.remote_address)
        discard(connection)


def discard(connection: DownstreamConnection) -> None:
    """Closes; the kernel says RST where bytes are unread, FIN otherwise."""
    connection.socket.close()
    connection.finished()


def _log_no_chain(connection: DownstreamConnection, listener: ListenerRuntime) -> None:
    info = connection.new_stream(connection.start, connection.start_wall)
    info.response_flags.append("NR")
    info.end = asyncio.get_running_loop().time()
    listener.logger.log(info)


class Inspection:
    """The listener filters of one connection: peeks at its first bytes until every inspector has its answer."""

    __slots__ = ("_connection", "_inspectors", "_is_waiting", "_listener", "_loop", "_seen", "_size", "_timer")

    def __init__(self, connection: DownstreamConnection, listener: ListenerRuntime) -> None:
        self._connection = connection
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._inspectors = listener.inspectors
        self._seen = 0
        self._size = INITIAL_PEEK
        self._is_waiting = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Looks at once: most clients have sent something by the time they are accepted."""
        if self._listener.timeout:
            self._timer = self._loop.call_later(self._listener.timeout, self._timed_out)
        self._connection.on_abort = self._close
        self._look(is_first=True)

    def _readable(self) -> None:
        self._look(is_first=False)

    def _look(self, *, is_first: bool) -> None:
        sock = self._connection.socket
        try:
            data = sock.recv(self._size, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            self._wait()
            return
        except OSError:
            self._close()
            return
        if not data or (len(data) == self._seen and not is_first):
            self._close()  # woken, and nothing new: the client has sent its FIN
            return
        while len(data) == self._size and self._size < MAXIMUM_PEEK:
            self._size = min(self._size * 4, MAXIMUM_PEEK)
            data = sock.recv(self._size, socket.MSG_PEEK)
        self._seen = len(data)
        self._inspect(data)

    def _inspect(self, data: bytes) -> None:
        while self._inspectors:
            look = _look_for_tls if self._inspectors[0] is TlsInspector else _look_for_http
            answer = look(self._connection, data)
            if answer is None:
                self._wait()
                return
            if not answer:
                self._close()
                return
            self._inspectors = self._inspectors[1:]
        self._done()

    def _wait(self) -> None:
        sock = self._connection.socket
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self._seen + 1)
        except OSError:
            self._close()
            return
        if not self._is_waiting:
            self._is_waiting = True
            self._loop.add_reader(sock.fileno(), self._readable)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._connection.on_abort = None
        if self._is_waiting:
            self._is_waiting = False
            self._loop.remove_reader(self._connection.socket.fileno())
            if self._seen:
                self._connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _timed_out(self) -> None:
        self._timer = None
        if self._listener.continue_on_timeout:
            self._done()
        else:
            self._close()

    def _done(self) -> None:
        try:
            self._stop()
        except OSError:
            self._close()
            return
        choose_chain(self._connection, self._listener)

    def _close(self) -> None:
        """Without a line: no filter chain has been chosen, so no log is concerned."""
        self._seen = 0
        self._stop()
        discard(self._connection)


def _look_for_tls(connection: DownstreamConnection, data: bytes) -> bool | None:
    """True: decided; ``None``: needs more. TLS or not, the connection goes on."""
    hello = read_client_hello(data)
    if hello is NotYet.NEED_MORE:
        return None if len(data) < MAXIMUM_PEEK else False
    if not isinstance(hello, NotYet):
        connection.transport_protocol = "tls"
        connection.requested_server_name = hello.server_name or None
        connection.application_protocols = hello.application_protocols
    return True


def _look_for_http(connection: DownstreamConnection, data: bytes) -> bool | None:
    """True: decided; ``None``: needs more; False: the first line is too long, which closes."""
    if connection.transport_protocol == "tls":
        return True
    look = look_for_http(data)
    if look is HttpLook.NEED_MORE:
        return None
    if look is HttpLook.TOO_LONG:
        return False
    if look is not HttpLook.NOT_HTTP:
        connection.application_protocols = (look.value,)
    return True


ListenerMap = Mapping[str, ListenerRuntime]
