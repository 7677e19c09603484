"""Who may ask: this machine's own programs, and no web page that a browser on it shows.

Envoy itself asks nobody; its documentation tells to let only trusted clients reach the port. A page from elsewhere
can make a browser call loopback addresses, by a name of its own that resolves there (Host), or from its scripts
(Origin). Nobody gets here through the proxy itself (``Resolver.keep``), as others might with ``--allow-remote``.
"""

from __future__ import annotations

import ipaddress
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from sandbox.admin.answers import AdminRequest, Refused

_LOCAL_NAME: Final = "localhost"


def check_caller(request: AdminRequest, *, is_loopback_only: bool, changes: bool) -> None:
    """Raises ``Refused``. Steps:

    1. a port that is bound on loopback is called by a name or address of loopback;
    2. a browser tells from which page a script calls: only pages of this machine may;
    3. what changes anything is for this machine, whatever the port is bound to (as in istio-agent).
    """
    if is_loopback_only and not _is_local_host(request.host):
        raise Refused(f"this port is not called {request.host or 'nothing'}\n", HTTPStatus.FORBIDDEN)
    if request.origin is not None and not _is_local_origin(request.origin):
        raise Refused(f"pages of {request.origin} may not ask here\n", HTTPStatus.FORBIDDEN)
    if changes and not request.is_local:
        raise Refused("Only requests from localhost are allowed\n", HTTPStatus.FORBIDDEN)


def _is_local_origin(origin: str) -> bool:
    try:
        return _is_local_name(urlsplit(origin).hostname or "")
    except ValueError:
        return False


def _is_local_host(host: str | None) -> bool:
    """HTTP/1.0 clients may leave it out; browsers never do."""
    if host is None:
        return True
    try:
        return _is_local_name(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _is_local_name(name: str) -> bool:
    if name.lower() == _LOCAL_NAME or name.lower().endswith(f".{_LOCAL_NAME}"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
