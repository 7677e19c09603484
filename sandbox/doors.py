"""Opens the doors that a run's settings name, for its own workload and the others that call."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sandbox.errors import ListenError
from sandbox.proxy.http_proxy_door import HttpProxyDoor
from sandbox.proxy.map_door import MapDoor
from sandbox.proxy.server import wide_address
from sandbox.proxy.socks5_door import Socks5Door
from sandbox.proxy.tasks import detach
from sandbox.settings import HostPort

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sandbox.proxy.server import Server
    from sandbox.settings import Settings
    from sandbox.workloads.callers import Callers

CAPTURE_PORT = 15001


def open_doors(settings: Settings, server: Server, callers: Callers) -> None:
    """Binds them all. Raises ``ListenError``."""
    server.takes_other = _taker(callers)
    if settings.istio_ports:
        _open_capture_port(server, allow_remote=settings.allow_remote)
    for number, address in enumerate(settings.capture):
        server.open_capture(f"capture {number + 1}" if number else "capture", address)
    taken = {address.port for address in server.addresses.values()}
    if settings.proxy is not None and (settings.proxy.port == 0 or settings.proxy.port not in taken):
        _open_proxy("proxy", settings.proxy, server, HttpProxyDoor(callers))
    for own in settings.workload_proxies:
        _open_proxy(f"proxy of {own.workload}", own.listen, server, HttpProxyDoor(callers, own.workload))
    if settings.socks is not None:
        server.open_door("socks", settings.socks, Socks5Door(callers).accept)
    for each in settings.maps:
        server.open_door(f"map {each.listen}", each.listen, MapDoor(each.target, callers).accept)


def _open_proxy(name: str, address: HostPort, server: Server, door: HttpProxyDoor) -> None:
    try:
        server.open_door(name, address, door.accept)
    except ListenError as error:
        raise ListenError(f"{error}: choose another port by --proxy, or open none by --no-proxy") from None


def _open_capture_port(server: Server, *, allow_remote: bool) -> None:
    """Locally redirected connections arrive on loopback; the wildcard is for those dialled by the pod's address."""
    host = wide_address(allow_remote=allow_remote)
    server.open_capture("capture", HostPort(host, CAPTURE_PORT))
    with contextlib.suppress(ListenError):  # a machine without IPv6
        server.open_capture("capture v6", HostPort("::" if host == "0.0.0.0" else "::1", CAPTURE_PORT))


def _taker(callers: Callers) -> Callable[[socket.socket, tuple[str, int], tuple[str, int]], bool]:
    """Redirected connections that come from another workload's pod."""

    def take(sock: socket.socket, remote: tuple[str, int], destination: tuple[str, int]) -> bool:
        if not callers.is_other(remote[0]):
            return False
        detach(callers.take_captured(sock, remote, destination), "captured connection of another workload")
        return True

    return take
