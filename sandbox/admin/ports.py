"""Which admin port is where, with ``--istio-ports``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sandbox.admin import api
from sandbox.admin.http_server import serve
from sandbox.proxy.server import wide_address
from sandbox.proxy.tasks import detach
from sandbox.settings import HostPort

if TYPE_CHECKING:
    from sandbox.app import Sandbox

log = logging.getLogger("sandbox.admin")
ADMIN_PORT: Final = 15000
AGENT_PORT: Final = 15020


def open_admin_ports(sandbox: Sandbox) -> None:
    """Opens 15000 on loopback, and 15020 where the readiness port is too; a taken port is reported, not fatal."""
    wide = wide_address(allow_remote=sandbox.settings.allow_remote)
    detach(_open(HostPort("127.0.0.1", ADMIN_PORT), "admin", sandbox), "admin port")
    detach(_open(HostPort(wide, AGENT_PORT), "agent", sandbox), "agent port")


async def _open(address: HostPort, name: str, sandbox: Sandbox) -> None:
    handlers = api.ADMIN if name == "admin" else api.AGENT
    try:
        await serve(address, handlers, sandbox)
    except OSError as error:
        log.warning("the %s port %s is not open: %s", name, address, error.strerror)
