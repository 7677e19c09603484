"""The proxy's end of the control socket: capture namespaces come, are served, and are forgotten when they empty."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol

from sandbox.capture.control_protocol import MAXIMUM_BYTES, MAXIMUM_DESCRIPTORS, VERSION
from sandbox.capture.control_socket import listen
from sandbox.capture.exec_rules import IPV4, IPV6
from sandbox.capture.published_ports import PublishedPorts
from sandbox.capture.raw_relay import RawRelays
from sandbox.capture.resolver_file import remove_resolver_file, write_resolver_file
from sandbox.errors import ListenError
from sandbox.frozen_dataclass import dataclass
from sandbox.proxy.original_dst import original_destination
from sandbox.proxy.relay import reset
from sandbox.proxy.server import ListeningSocket
from sandbox.proxy.tasks import spawn
from sandbox.settings import HostPort

if TYPE_CHECKING:
    from sandbox.dns.server import DnsServer

log = logging.getLogger("sandbox.capture")
HOST_NAME = "host.sandbox.internal"
"""The host, as seen from a capture namespace; only an IPv4 address, since after the handshake there is no way back."""
HOST_ADDRESS = IPV4.host
HOST_LOOPBACK = ("127.0.0.1", "::1")
HELLO_SECONDS = 5.0
LINGER_SECONDS = 1.0
"""How often a namespace whose first process has ended is looked at for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadIdentity:
    """Who the program wants to be in the mesh; ``None`` and empty leave it to the configuration."""

    workload: str | None = None
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    capture: Mapping[str, str] = field(default_factory=dict)
    """Capture settings by field name, which win over everything."""


class Admission(Protocol):
    """A workload that the sandbox serves."""

    warnings: Sequence[str]

    def take(self, sock: socket.socket, remote: tuple[str, int], destination: tuple[str, int]) -> None:
        """A captured connection, still unread."""

    def new_dns_server(self) -> DnsServer:
        """A DNS server that answers from the workload's name table."""

    async def close(self) -> None:
        """The last program of the workload is gone."""


class Refused(Exception):
    """The sandbox does not take this program; the text is for the user."""


class _GivenUp(Exception):
    """The launcher has said nothing and is gone: its machine refused, and it has told its user why."""


Admit = Callable[[WorkloadIdentity], Admission]
"""Compiles and admits a workload; raises ``Refused``."""


class ControlServer:
    """Serves capture namespaces; ``on_empty`` is called whenever the last one has gone.

    Ports may be published beyond loopback with ``allow_remote`` only.
    """

    def __init__(
        self, path: str, admit: Admit, on_empty: Callable[[], None] | None = None, *, allow_remote: bool = False
    ) -> None:
        self.path = path
        self._allow_remote = allow_remote
        self._admit = admit
        self._on_empty = on_empty
        self._socket: socket.socket | None = None
        self._sessions: set[_Session] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Binds the socket; ``OSError`` where another sandbox has it."""
        self._socket = listen(self.path)
        write_resolver_file(self.path)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._acceptable)

    async def stop(self) -> None:
        """Closes the socket and every namespace's listening sockets."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            remove_resolver_file(self.path)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in tuple(self._sessions):
            await session.close()

    def _acceptable(self) -> None:
        assert self._socket is not None
        try:
            client, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        task = spawn(self._greet(client), name="capture namespace")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _greet(self, client: socket.socket) -> None:
        with client:
            client.setblocking(False)
            try:
                async with asyncio.timeout(HELLO_SECONDS):
                    hello, descriptors = await _receive(client)
            except (TimeoutError, OSError, ValueError) as error:
                log.warning("a capture namespace said nothing usable: %s", error)
                return
            except _GivenUp:
                return
            reply, session = await self._take_in(client, hello, descriptors)
            with contextlib.suppress(OSError):  # the launcher may have given up
                client.send(json.dumps(reply).encode())
        if session is not None:
            # The program need not wait for this: its sockets listen already, and questions wait in them.
            await session.serve_dns()

    async def _take_in(
        self, client: socket.socket, hello: dict[str, Any], descriptors: list[int]
    ) -> tuple[dict[str, Any], _Session | None]:
        """What to answer; and the session, unless the program is refused."""
        try:
            _check_peer(client)
            _check_hello(hello, descriptors)
            identity = WorkloadIdentity(
                workload=hello.get("workload"),
                namespace=hello.get("namespace"),
                labels=hello.get("labels") or {},
                capture=hello.get("capture") or {},
            )
            admission = self._admit(identity)
        except Refused as refusal:
            for descriptor in descriptors:
                os.close(descriptor)
            return {"error": str(refusal)}, None
        session = _Session(admission, hello["network"], self._forget)
        self._sessions.add(session)
        session.serve(dict(zip(hello["roles"], descriptors, strict=True)), hello.get("factory", 0))
        try:
            for host, port, inner in hello.get("publish", ()):
                session.publish(HostPort(host, port), inner, allow_remote=self._allow_remote)
        except ListenError as error:
            await session.close()
            return {"error": str(error)}, None
        warnings = {"warnings": list(admission.warnings)} if admission.warnings else {}
        return {"ok": True, **warnings}, session

    def _forget(self, session: _Session) -> None:
        self._sessions.discard(session)
        if not self._sessions and self._on_empty is not None:
            self._on_empty()


async def _receive(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(client.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(client.fileno())
    data, descriptors, _, _ = socket.recv_fds(client, MAXIMUM_BYTES, MAXIMUM_DESCRIPTORS)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    if not data:
        raise _GivenUp
    hello = json.loads(data)
    if not isinstance(hello, dict):
        raise ValueError("not an object")
    return hello, descriptors


def _check_peer(client: socket.socket) -> None:
    _, uid, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid not in (0, os.geteuid()):
        raise Refused(f"this sandbox belongs to another user (uid {os.geteuid()})")


def _check_hello(hello: dict[str, Any], descriptors: list[int]) -> None:
    if hello.get("version") != VERSION:
        raise Refused(f"the running sandbox speaks version {VERSION} of the control protocol: restart it")
    roles = hello.get("roles")
    if not isinstance(roles, list) or len(roles) != len(descriptors) or "pidfd" not in roles:
        raise Refused("the launcher's sockets did not arrive")


class _Session:
    """One capture namespace: its sockets, until no process is left in it.

    Every socket that we hold keeps the namespace alive, so all of them are closed at its end.
    """

    def __init__(self, admission: Admission, network: int, on_end: Callable[[_Session], None]) -> None:
        self._admission = admission
        self._network = network
        self._on_end = on_end
        self._listening: list[ListeningSocket] = []
        self._own_addresses: set[tuple[str, int]] = set()
        self._dns: list[DnsServer] = []
        self._dns_sockets: dict[str, socket.socket] = {}
        self._relays = RawRelays()
        self._published: PublishedPorts | None = None
        self._factory_pid = 0
        self._pidfd = -1
        self._watch: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_closed = False

    def serve(self, descriptors: Mapping[str, int], factory_pid: int) -> None:
        """Serves connections by the role of each socket (``capture4``, ``host6`` …) and watches the first process."""
        sockets = {role: socket.socket(fileno=fd) for role, fd in descriptors.items() if role != "pidfd"}
        self._dns_sockets = {role: sock for role, sock in sockets.items() if role.startswith("dns")}
        for role, sock in sockets.items():
            sock.setblocking(False)
            if role.startswith(("capture", "host")):
                self._own_addresses.add(sock.getsockname()[:2])
                on_accept = self._captured if role.startswith("capture") else self._to_host
                self._listening.append(ListeningSocket(sock, on_accept))
        if "factory" in sockets:
            self._factory_pid = factory_pid
            self._published = PublishedPorts(sockets["factory"], self._relays)
        self._pidfd = descriptors["pidfd"]
        asyncio.get_running_loop().add_reader(self._pidfd, self._first_process_ended)

    async def serve_dns(self) -> None:
        """Answers questions from now on, those that wait already too."""
        for version in ("4", "6"):
            if not self._is_closed and f"dns-udp{version}" in self._dns_sockets:
                server = self._admission.new_dns_server()
                self._dns.append(server)
                tcp, udp = self._dns_sockets.pop(f"dns-tcp{version}"), self._dns_sockets.pop(f"dns-udp{version}")
                await server.adopt(tcp, udp)
                if self._is_closed:  # meanwhile, since the program was a short one
                    await server.stop()

    def publish(self, address: HostPort, port: int, *, allow_remote: bool) -> None:
        """From now on the host reaches the program's ``port`` at ``address``; ``ListenError`` where it is taken."""
        if self._published is not None:
            self._published.open(address, port, allow_remote=allow_remote)

    def _captured(self, sock: socket.socket, remote: tuple[str, int]) -> None:
        destination = original_destination(sock)
        if destination is None or destination in self._own_addresses:
            reset(sock)  # somebody dialled the capture port itself: nowhere to go
            return
        self._admission.take(sock, remote, destination)

    def _to_host(self, sock: socket.socket, _remote: tuple[str, int]) -> None:
        destination = original_destination(sock)
        if destination is None or destination in self._own_addresses:
            reset(sock)
            return
        loopback = HOST_LOOPBACK[::-1] if destination[0] == IPV6.host else HOST_LOOPBACK
        self._relays.start(sock, tuple((address, destination[1]) for address in loopback))

    def _first_process_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._look_for_others()

    def _look_for_others(self) -> None:
        """Children may outlive the command; they stay captured."""
        if _has_members(self._network, self._factory_pid):
            self._watch = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._look_for_others)
            return
        self._closing = spawn(self.close(), name="close capture namespace")

    async def close(self) -> None:
        """Closes every socket of the namespace."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._watch is not None:
            self._watch.cancel()
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
        for listening in self._listening:
            listening.close()
        if self._published is not None:
            self._published.close()
        for sock in self._dns_sockets.values():
            sock.close()
        for server in self._dns:
            await server.stop()
        await self._relays.close()
        await self._admission.close()
        self._on_end(self)


def _has_members(network: int, ours: int) -> bool:
    """Whether a process that we may look at is in the network namespace, besides the one that is ``ours``."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != ours:
            try:
                if os.stat(f"/proc/{name}/ns/net").st_ino == network:
                    return True
            except OSError:
                continue
    return False
