"""Which admin port is where: Istio's with ``--istio-ports``, Envoy's alone with ``--admin``."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from sandbox.admin.endpoints import ADMIN, AGENT, METRICS, Port
from sandbox.admin.http_server import AdminProtocol
from sandbox.errors import ListenError
from sandbox.proxy.server import bind, wide_address
from sandbox.settings import HostPort

if TYPE_CHECKING:
    from sandbox.app import Sandbox

log = logging.getLogger("sandbox.admin")
LOOPBACK: Final = "127.0.0.1"
LOOPBACK_NAMES: Final = (LOOPBACK, "::1", "localhost")
ADMIN_PORT: Final = 15000
AGENT_PORT: Final = 15020
METRICS_PORT: Final = 15090


class AdminPorts:
    """The ports of one sandbox, once ``open`` has been awaited."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._servers: list[asyncio.Server] = []
        self.addresses: dict[str, HostPort] = {}
        """By name: ``admin``, ``agent``, ``metrics``."""

    async def open(self) -> None:
        """``--admin`` where it says, else 15000, always on loopback; 15020 and 15090 where the readiness port is too.

        Of Istio's ports one that is taken is reported, not fatal. Raises ``ListenError`` for that of ``--admin``.
        """
        settings = self._sandbox.settings
        if settings.admin is not None:
            if settings.admin.host not in LOOPBACK_NAMES:
                raise ListenError(f"{settings.admin}: the admin port is for this machine alone, as on 127.0.0.1")
            await self._open("admin", settings.admin, ADMIN)
        if not settings.istio_ports:
            return
        wide = wide_address(allow_remote=settings.allow_remote)
        wanted = [("agent", HostPort(wide, AGENT_PORT), AGENT), ("metrics", HostPort(wide, METRICS_PORT), METRICS)]
        if settings.admin is None:
            wanted.insert(0, ("admin", HostPort(LOOPBACK, ADMIN_PORT), ADMIN))
        for name, address, port in wanted:
            try:
                await self._open(name, address, port)
            except ListenError as error:
                log.warning("the %s port %s is not open: %s", name, address, error)

    async def _open(self, name: str, address: HostPort, port: Port) -> None:
        is_loopback_only = address.host in LOOPBACK_NAMES
        sandbox = self._sandbox
        sock = bind(address, allow_remote=sandbox.settings.allow_remote)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: AdminProtocol(port, sandbox, is_loopback_only=is_loopback_only), sock=sock
        )
        self._servers.append(server)
        self.addresses[name] = HostPort(address.host, sock.getsockname()[1])

    def close(self) -> None:
        """No further questions."""
        for server in self._servers:
            server.close()
        self._servers.clear()
