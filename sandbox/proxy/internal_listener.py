"""Connections to internal listeners: a pair of sockets on loopback, whose far end the node's own listener takes.

Sockets of the network, not of Unix: inspectors look at first bytes with ``SO_RCVLOWAT``, which those do not heed.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sandbox.plan.base import EnvoyInternalAddress

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster

EnterInternal = Callable[[str, socket.socket], bool]
"""Takes the far end of a connection to an internal listener; False where there is none of that address."""
CLIENT: Final = "envoy://internal_client_address/"
"""What Envoy prints for the near end of such a connection, on both sides."""


def leads_inside(plan: Cluster) -> bool:
    """Whether the cluster's endpoints are internal listeners."""
    groups = plan.load_assignment.endpoints if plan.load_assignment is not None else ()
    addresses = (each.endpoint.address for group in groups for each in group.lb_endpoints if each.endpoint is not None)
    return any(isinstance(address, EnvoyInternalAddress) for address in addresses)


def nobody_listens(_address: str, _sock: socket.socket) -> bool:
    """Of a node without internal listeners."""
    return False


def connect_inside(enter: EnterInternal, address: str) -> socket.socket:
    """The near end of a connection to the listener of that address; raises ``OSError`` where there is none."""
    near, far = _loopback_pair()
    if enter(address, far):
        return near
    near.close()
    far.close()
    raise ConnectionRefusedError(errno.ECONNREFUSED, f"no listener {address}")


def _loopback_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listening:
        near = socket.create_connection(listening.getsockname())
        far, remote = listening.accept()
    if remote != near.getsockname():
        near.close()
        far.close()
        raise ConnectionRefusedError(errno.ECONNREFUSED, "another program was faster")
    near.setblocking(False)
    far.setblocking(False)
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far
