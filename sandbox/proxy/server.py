"""Server: binds the doors and the plan's own ports, swaps snapshots, drains."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sandbox.errors import ListenError
from sandbox.plan.base import SocketAddress
from sandbox.proxy.door import Enter, Origin
from sandbox.proxy.listener import ConnectionHandler
from sandbox.proxy.original_dst import original_destination, plain_address
from sandbox.settings import HostPort

if TYPE_CHECKING:
    from sandbox.plan.listener import Listener
    from sandbox.proxy.listener import ListenerRuntime
    from sandbox.proxy.snapshot import Snapshot

log = logging.getLogger("sandbox.proxy")
BACKLOG: Final = 1024
ACCEPTS_PER_EVENT: Final = 64
PAUSE_SECONDS: Final = 0.1
OUT_OF_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
UNPACED: Final = b"reno"
"""Every Linux has it and lets everybody choose it."""

OnAccept = Callable[[socket.socket, tuple[str, int]], None]


class ListeningSocket:
    """Accepts connections on one address; out of file descriptors it pauses and goes on."""

    def __init__(self, sock: socket.socket, on_accept: OnAccept) -> None:
        self._socket = sock
        self._on_accept = on_accept
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        _set_what_connections_inherit(sock, is_private=_is_private(self.address.host))
        self._resume()

    @property
    def address(self) -> HostPort:
        """What it is really bound to."""
        return HostPort(*plain_address(self._socket.getsockname()))

    def close(self) -> None:
        """No further connections."""
        if self._timer is not None:
            self._timer.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._socket.fileno(), self._acceptable)

    def _acceptable(self) -> None:
        for _ in range(ACCEPTS_PER_EVENT):
            try:
                sock, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._refused(error)
                return
            sock.setblocking(False)
            try:
                self._on_accept(sock, plain_address(peer))
            except Exception:  # the one guard at the connection boundary
                log.exception("a connection from %s failed", peer)
                sock.close()

    def _refused(self, error: OSError) -> None:
        if error.errno in OUT_OF_RESOURCES:
            log.warning("cannot accept connections for a moment: %s", error.strerror)
            self._loop.remove_reader(self._socket.fileno())
            self._timer = self._loop.call_later(PAUSE_SECONDS, self._resume)


def bind(address: HostPort, *, allow_remote: bool) -> socket.socket:
    """A listening socket; anything but loopback, or an address of an isolated namespace, needs ``allow_remote``."""
    if not allow_remote and not _is_private(address.host):
        raise ListenError(f"{address} can be reached from other machines; allow it with --allow-remote")
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {address}: {error.strerror}") from None
    return sock


def wide_address(*, allow_remote: bool) -> str:
    """The wildcard where nobody else can reach it, or where that is wanted; loopback otherwise."""
    return "0.0.0.0" if allow_remote or _is_isolated() else "127.0.0.1"


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback or _is_isolated()
    except ValueError:
        return host == "localhost"


def _is_isolated() -> bool:
    """A network namespace with no device but loopback: no other machine can reach it."""
    return all(name == "lo" for _, name in socket.if_nameindex())


def _set_what_connections_inherit(sock: socket.socket, *, is_private: bool) -> None:
    """Options of a listening socket that those it accepts are born with.

    BBR, where the system's default is that, spreads segments over time by timers: on a network of one machine that
    helps nobody, and it was half of what bulk cost.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if is_private:
        with contextlib.suppress(AttributeError, OSError):  # there is no such choice
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, UNPACED)


class Server:
    """All sockets that take connections, and the snapshot that serves new ones."""

    def __init__(self, *, allow_remote: bool = False) -> None:
        self.handler = ConnectionHandler()
        self.snapshot: Snapshot | None = None
        self.takes_other: Callable[[socket.socket, tuple[str, int], tuple[str, int]], bool] | None = None
        """Takes redirected connections of workloads other than the run's own."""
        self._allow_remote = allow_remote
        self._doors: dict[str, ListeningSocket] = {}
        self._plan_ports: dict[HostPort, ListeningSocket] = {}

    def open_door(self, name: str, address: HostPort, on_accept: OnAccept) -> None:
        """Binds one door."""
        self._doors[name] = ListeningSocket(bind(address, allow_remote=self._allow_remote), on_accept)

    def open_capture(self, name: str, address: HostPort) -> None:
        """A port that takes redirected connections."""
        self.open_door(name, address, self.capture)

    @property
    def addresses(self) -> dict[str, HostPort]:
        """What is bound, by the door's name; the plan's own ports as ``listener ADDRESS:PORT``."""
        bound = {name: door.address for name, door in self._doors.items()}
        bound |= {f"listener {address}": port.address for address, port in self._plan_ports.items()}
        return bound

    def capture(self, sock: socket.socket, remote: tuple[str, int]) -> None:
        """A redirected connection: its original destination decides; dialled directly, the port's own address."""
        snapshot = self.snapshot
        if snapshot is None:
            sock.close()
            return
        local = plain_address(sock.getsockname())
        destination = original_destination(sock) or local
        if self.takes_other is not None and self.takes_other(sock, remote, destination):
            return
        connection = self.handler.admit(sock, remote, destination, "capture")
        listener = snapshot.virtual_outbound if destination == local else snapshot.find(*destination)
        self.handler.dispatch(connection, listener, snapshot.node)

    def enter(self, sock: socket.socket, origin: Origin) -> None:
        """A connection whose destination is known: treated as if it had been captured on its way there."""
        self._enter(sock, origin, self.snapshot)

    def entrance(self, snapshot: Callable[[], Snapshot | None]) -> Enter:
        """The same for the workload that this snapshot serves."""
        return lambda sock, origin: self._enter(sock, origin, snapshot())

    def _enter(self, sock: socket.socket, origin: Origin, snapshot: Snapshot | None) -> None:
        destination = origin.destination
        if snapshot is None:
            sock.close()
            return
        connection = self.handler.admit(sock, origin.remote, destination, origin.door)
        connection.redirect = origin.redirect
        connection.stream = origin.stream
        self.handler.dispatch(connection, snapshot.find(*destination), snapshot.node)

    def swap(self, snapshot: Snapshot, *, skip_ports: frozenset[int] = frozenset()) -> None:
        """New connections go to ``snapshot``; ports that only the old plan had are closed, new ones opened."""
        wanted = {address for address, _ in self._plan_addresses(snapshot, skip_ports)}
        opened: dict[HostPort, ListeningSocket] = {}
        try:
            for address in wanted:
                if address not in self._plan_ports:
                    sock = bind(address, allow_remote=self._allow_remote)
                    opened[address] = ListeningSocket(sock, self._acceptor(address))
        except ListenError:
            for port in opened.values():
                port.close()
            raise
        for address in [address for address in self._plan_ports if address not in wanted]:
            self._plan_ports.pop(address).close()
        self._plan_ports |= opened
        old, self.snapshot = self.snapshot, snapshot
        snapshot.handler = self.handler
        if old is not None:
            old.node.draining = True
            old.close(snapshot)

    def _acceptor(self, address: HostPort) -> OnAccept:
        """Takes connections for the listener that has this address in whatever snapshot then serves."""
        known: tuple[Snapshot | None, ListenerRuntime | None] = (None, None)

        def accept(sock: socket.socket, remote: tuple[str, int]) -> None:
            nonlocal known
            snapshot = self.snapshot
            if snapshot is None:
                sock.close()
                return
            if known[0] is not snapshot:
                listener = dict(self._plan_addresses(snapshot, frozenset())).get(address)
                known = (snapshot, None if listener is None else snapshot.runtime_of(listener))
            runtime = known[1]
            destination = plain_address(sock.getsockname())
            if runtime is not None and runtime.needs_original_dst:
                destination = original_destination(sock) or destination
            connection = self.handler.admit(sock, remote, destination, "listener")
            self.handler.dispatch(connection, runtime, snapshot.node)

        return accept

    def _plan_addresses(self, snapshot: Snapshot, skip_ports: frozenset[int]) -> list[tuple[HostPort, Listener]]:
        """The ports of a plan; every address of the machine stands for loopback, unless others may come."""
        wildcards = {"0.0.0.0": wide_address(allow_remote=self._allow_remote)}
        if wildcards["0.0.0.0"] != "0.0.0.0":
            wildcards["::"] = "::1"
        found: list[tuple[HostPort, Listener]] = []
        for listener in snapshot.bound_listeners():
            addresses = [listener.address, *(each.address for each in listener.additional_addresses)]
            sockets = [address for address in addresses if isinstance(address, SocketAddress)]
            found += [
                (HostPort(wildcards.get(each.address, each.address), each.port_value or 0), listener)
                for each in sockets
            ]
        return [(address, listener) for address, listener in found if address.port not in skip_ports]

    def close_doors(self) -> None:
        """No further connections."""
        for door in (*self._doors.values(), *self._plan_ports.values()):
            door.close()
        self._doors.clear()
        self._plan_ports.clear()

    async def drain(self, seconds: float) -> None:
        """Lets live connections finish, closes idle ones, and after ``seconds`` all that are left."""
        self.close_doors()
        if self.snapshot is not None:
            self.snapshot.node.draining = True
        for connection in list(self.handler.live.values()):
            if connection.on_drain is not None:
                connection.on_drain()
        await self.handler.let_finish(seconds)
        if self.snapshot is not None:
            self.snapshot.close()
