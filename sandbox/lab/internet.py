"""Internet: binds every host of the table on loopback, and says where each name is."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal

from aiohttp import web

from sandbox.frozen_dataclass import dataclass
from sandbox.lab import httpbin, sites, tcp_servers
from sandbox.lab.forward_proxy import LONGEST_HEAD, ForwardProxy
from sandbox.lab.hosts import HOSTS, LabHost
from sandbox.lab.server_name_proxy import ServerNameProxy
from sandbox.pki import Authority
from sandbox.settings import HostPort, ResolveOverride

Scheme = Literal["http", "https", "tcp"]


@dataclass(frozen=True, slots=True)
class Service:
    """One port of one host, and where it really listens."""

    host: LabHost
    scheme: Scheme
    port: int
    address: HostPort


class Internet:
    """``async with Internet(certificates) as internet``: serves until left.

    Each host has an address of its own (127.80.0.1 and so on; 127.0.0.1 where the system has only that one). A port
    that may not be bound, or is taken, gives way to a free one: ``overrides`` carries the names there either way.
    """

    def __init__(self, certificates: Path, hosts: tuple[LabHost, ...] = HOSTS) -> None:
        self._certificates = certificates
        self._hosts = hosts
        self._servers: list[asyncio.Server] = []
        self._runners: list[web.AppRunner] = []
        self.services: list[Service] = []

    async def __aenter__(self) -> Internet:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Makes certificates where they are missing, and binds every port."""
        self.authority = Authority(self._certificates)
        for number, host in enumerate(self._hosts, start=1):
            await self._start_host(host, f"127.80.0.{number}" if sys.platform == "linux" else "127.0.0.1")

    async def stop(self) -> None:
        """Closes everything at once; no client is waited for."""
        for runner in self._runners:
            await runner.cleanup()
        for server in self._servers:
            server.close()
        self._runners.clear()
        self._servers.clear()
        self.services.clear()

    @property
    def overrides(self) -> tuple[ResolveOverride, ...]:
        """Where each name and port is, as ``--resolve`` would say it."""
        return tuple(
            ResolveOverride(name, service.port, service.address.host, service.address.port)
            for service in self.services
            for name in (*service.host.names, *service.host.addresses)
        )

    def _where(self, name: str, port: int) -> HostPort | None:
        for service in self.services:
            if service.port == port and name in (*service.host.names, *service.host.addresses):
                return service.address
        return None

    async def _start_host(self, host: LabHost, address: str) -> None:
        if host.http or host.https:
            application = httpbin.application() if host.kind == "httpbin" else sites.application()
            runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
            await runner.setup()
            self._runners.append(runner)
            await self._start_sites(runner, host, address)
        for port in host.tcp:
            bound = _bind(address, port)
            if host.kind in ("proxy", "sni-proxy"):
                proxy = ForwardProxy(self._where) if host.kind == "proxy" else ServerNameProxy(self._where)
                server = await asyncio.start_server(proxy.serve, sock=bound, limit=LONGEST_HEAD)
            else:
                server = await asyncio.get_running_loop().create_server(_protocol_factory(host), sock=bound)
            self._servers.append(server)
            self._note(host, "tcp", port, bound)

    async def _start_sites(self, runner: web.AppRunner, host: LabHost, address: str) -> None:
        context = _tls(self.authority, host) if host.https else None
        ports: Iterable[tuple[Scheme, int]] = [("http", p) for p in host.http] + [("https", p) for p in host.https]
        for scheme, port in ports:
            bound = _bind(address, port)
            await web.SockSite(runner, bound, ssl_context=context if scheme == "https" else None).start()
            self._note(host, scheme, port, bound)

    def _note(self, host: LabHost, scheme: Scheme, port: int, bound: socket.socket) -> None:
        self.services.append(Service(host, scheme, port, HostPort(*bound.getsockname()[:2])))


def _protocol_factory(host: LabHost) -> Callable[[], asyncio.Protocol]:
    name = host.names[0]
    match host.kind:
        case "mysql":
            return lambda: tcp_servers.MysqlGreeter(name)
        case "redis":
            store: dict[bytes, bytes] = {}
            return lambda: tcp_servers.Redis(name, store)
        case _:
            return tcp_servers.Echo


def _tls(authority: Authority, host: LabHost) -> ssl.SSLContext:
    certificate, key = authority.leaf(host.names[0], host.certificate_names or host.names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    if host.asks_for_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.certificate_file)
    return context


def _bind(address: str, port: int) -> socket.socket:
    """A listening socket at the host's own port if that may be had, else at a free one."""
    for candidate in _candidates(port):
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((address, candidate))
            bound.listen(128)
        except OSError as error:
            bound.close()
            if error.errno not in (errno.EACCES, errno.EADDRINUSE, errno.EPERM):
                raise
            continue
        bound.setblocking(False)
        return bound
    raise OSError(errno.EADDRINUSE, f"no free port on {address}")


def _candidates(port: int) -> Iterator[int]:
    yield port
    if port < 1024:
        # A number that still tells which port was meant, for users who may not bind the real one.
        yield port + 8000
    yield 0
