"""From an accepted socket to a filter: original destination, listener, inspection, filter chain, hand-over.

Every door ends here, in ``ConnectionHandler.dispatch``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from sandbox.match.facts import ConnectionFacts
from sandbox.plan.listener import HttpInspector, OriginalDst, ProxyProtocol, TlsInspector
from sandbox.proxy.connection_numbers import next_connection_number
from sandbox.proxy.downstream import DownstreamConnection
from sandbox.proxy.first_record import LOOKED_AT, failure_of_first_bytes
from sandbox.proxy.peek import MAXIMUM_BYTES, Peek
from sandbox.proxy.proxy_header_reader import ProxyHeaderReader
from sandbox.wire.client_hello import NotYet, read_client_hello
from sandbox.wire.first_bytes import HttpLook, look_for_http, look_for_known_methods

if TYPE_CHECKING:
    from sandbox.match.filter_chain_table import FilterChainTable
    from sandbox.plan.listener import FilterChain, Listener
    from sandbox.proxy.snapshot import NodeRuntime, StreamLogger

log = logging.getLogger("sandbox.proxy")


class NetworkFilter(Protocol):
    """The filters of one chain, ready to take connections."""

    def take(self, connection: DownstreamConnection) -> None:
        """The connection is its own from now on, its bytes still unread in the kernel."""


class ListenerRuntime:
    """A listener of the plan with its tables."""

    __slots__ = (
        "before",
        "continue_on_timeout",
        "filters",
        "inspectors",
        "logger",
        "look_for_http",
        "needs_original_dst",
        "plan",
        "reads_proxy_header",
        "table",
        "timeout",
    )

    def __init__(
        self,
        plan: Listener,
        table: FilterChainTable,
        filters: Callable[[FilterChain], NetworkFilter],
        logger: StreamLogger,
        *,
        uses_old_parser: bool = False,
    ) -> None:
        self.plan = plan
        self.table = table
        self.filters = filters
        self.logger = logger
        self.look_for_http = look_for_known_methods if uses_old_parser else look_for_http
        kinds = [type(each.typed_config) for each in plan.listener_filters]
        self.reads_proxy_header = ProxyProtocol in kinds
        self.inspectors = tuple(kind for kind in kinds if kind in (TlsInspector, HttpInspector))
        self.needs_original_dst = bool(plan.use_original_dst) or OriginalDst in kinds
        timeout = plan.listener_filters_timeout
        self.timeout = 15.0 if timeout is None else timeout.total_seconds()
        """Seconds for the inspectors; 0 waits for ever, absent is Envoy's 15 s."""
        self.continue_on_timeout = plan.continue_on_listener_filters_timeout
        self.before: ListenerRuntime | None = None
        """Where connections arrive that are handed over to this one, if its inspectors look at them there."""


class ConnectionHandler:
    """Takes accepted sockets for one snapshot after another; live connections stay with theirs."""

    def __init__(self) -> None:
        self.live: dict[int, DownstreamConnection] = {}
        self._idle: asyncio.Future[None] | None = None

    def admit(
        self, sock: socket.socket, remote: tuple[str, int], destination: tuple[str, int], door: str
    ) -> DownstreamConnection:
        """Registers the connection until it is ``finished()``."""
        connection = DownstreamConnection(sock, next_connection_number(), remote, destination)
        connection.door = door
        connection.on_finished = self._forget
        self.live[connection.connection_id] = connection
        return connection

    async def until_idle(self) -> None:
        """Waits until no connection is left."""
        while self.live:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    async def let_finish(self, seconds: float) -> None:
        """Waits until live connections have ended, and after ``seconds`` ends those that are left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.until_idle()
        for connection in list(self.live.values()):
            if connection.on_abort is not None:
                connection.on_abort()
            else:
                discard(connection)

    def _forget(self, connection: DownstreamConnection) -> None:
        self.live.pop(connection.connection_id, None)
        if self._idle is not None and not self.live:
            if not self._idle.done():
                self._idle.set_result(None)
            self._idle = None

    def dispatch(self, connection: DownstreamConnection, listener: ListenerRuntime | None, node: NodeRuntime) -> None:
        """The one way in: the listener's filters look, a chain is chosen, its filters take the connection."""
        if listener is None:
            discard(connection)
            return
        connection.runtime = node
        connection.listener = listener.plan
        connection.is_redirected = listener.plan.bind_to_port is False or listener.needs_original_dst
        if connection.is_redirected:
            connection.direct_local_address = node.capture_address(connection.destination_ip)
        place = listener.before or listener
        if not place.reads_proxy_header or connection.stream is not None:
            inspect(connection, place, listener)
            return
        goes_on = partial(_after_proxy_header, connection, place, listener)
        ProxyHeaderReader(connection, place.timeout, goes_on).start()


def _after_proxy_header(
    connection: DownstreamConnection, place: ListenerRuntime, target: ListenerRuntime, is_read: bool
) -> None:
    if is_read:
        inspect(connection, place, target)
    else:
        discard(connection)


def inspect(connection: DownstreamConnection, place: ListenerRuntime, target: ListenerRuntime) -> None:
    """The listener filters of the ``place`` where the connection is, and then those of its ``target``."""
    if not place.inspectors:
        choose_chain(connection, target)
        return
    inspection = Inspection(connection, place, target)
    if connection.stream is None:
        inspection.start()
    else:
        inspection.look_at(connection.stream.early)


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
    if connection.stream is not None:
        connection.stream.close()
    else:
        connection.socket.close()
    connection.finished()


def _log_no_chain(connection: DownstreamConnection, listener: ListenerRuntime) -> None:
    info = connection.new_stream(connection.start, connection.start_wall)
    info.response_flags.append("NR")
    info.response_code_details = "filter_chain_not_found"
    if connection.first_bytes is not None:
        info.downstream_transport_failure_reason = failure_of_first_bytes(connection.first_bytes)
    info.end = asyncio.get_running_loop().time()
    listener.logger.log(info)


class Inspection:
    """The listener filters of one connection: every inspector, one after the other, gets its answer."""

    __slots__ = ("_connection", "_inspectors", "_listener", "_peek", "_target", "_timer")

    def __init__(self, connection: DownstreamConnection, listener: ListenerRuntime, target: ListenerRuntime) -> None:
        self._connection = connection
        self._listener = listener
        self._target = target
        self._inspectors = listener.inspectors
        loop = asyncio.get_running_loop()
        self._peek = Peek(loop, connection.socket, self._inspect, self._ended)
        self._timer: asyncio.TimerHandle | None = None
        if listener.timeout:
            self._timer = loop.call_later(listener.timeout, self._timed_out)

    def start(self) -> None:
        """Begins to look."""
        self._connection.on_abort = self._connection.on_drain = self._abort
        self._peek.start()

    def look_at(self, data: bytes) -> None:
        """The same for a connection whose first bytes have been read already: what is undecided stays so."""
        self._inspect(data)
        self._ended(True)

    def _inspect(self, data: bytes) -> bool | None:
        while self._inspectors:
            if self._inspectors[0] is TlsInspector:
                answer = _look_for_tls(self._connection, data)
            else:
                answer = _look_for_http(self._connection, data, self._listener.look_for_http)
            if not answer:
                return answer
            self._inspectors = self._inspectors[1:]
        return True

    def _ended(self, enough: bool) -> None:
        """Without enough there is no line: no filter chain has been chosen, so no log is concerned."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._connection.on_abort = self._connection.on_drain = None
        if enough and self._listener is not self._target:
            inspect(self._connection, self._target, self._target)
        elif enough:
            choose_chain(self._connection, self._target)
        else:
            discard(self._connection)

    def _timed_out(self) -> None:
        self._timer = None
        self._peek.stop()
        self._ended(self._listener.continue_on_timeout)

    def _abort(self) -> None:
        self._peek.stop()
        self._ended(False)


def _look_for_tls(connection: DownstreamConnection, data: bytes) -> bool | None:
    """True: decided; ``None``: needs more. TLS or not, the connection goes on."""
    hello = read_client_hello(data)
    if hello is NotYet.NEED_MORE:
        return None if len(data) < MAXIMUM_BYTES else False
    if hello is NotYet.NOT_TLS:
        connection.first_bytes = data[:LOOKED_AT]
    if not isinstance(hello, NotYet):
        connection.transport_protocol = "tls"
        connection.requested_server_name = hello.server_name or None
        connection.application_protocols = hello.application_protocols
    return True


def _look_for_http(connection: DownstreamConnection, data: bytes, look_at: Callable[[bytes], HttpLook]) -> bool | None:
    """True: decided; ``None``: needs more; False: the first line is too long, which closes."""
    if connection.transport_protocol == "tls":
        return True
    look = look_at(data)
    if look is HttpLook.NEED_MORE:
        return None
    if look is HttpLook.TOO_LONG:
        return False
    if look is not HttpLook.NOT_HTTP:
        connection.application_protocols = (look.value,)
    return True
