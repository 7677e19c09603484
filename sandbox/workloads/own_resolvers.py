"""The nameservers of a run, for what the mesh leaves to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dns.upstream import UpstreamResolvers, UpstreamServer
from sandbox.proxy.system_names import read_system_names

if TYPE_CHECKING:
    from sandbox.settings import Settings


class OwnResolvers(NamedTuple):
    """Who is asked, and the domain that this machine adds to short names."""

    servers: UpstreamResolvers
    search_domain: str | None


def own_resolvers(settings: Settings) -> OwnResolvers:
    """Those that ``--dns-server`` names, else this machine's."""
    names = read_system_names()
    given = [UpstreamServer(each.host, each.port) for each in settings.dns_servers]
    servers = given or [UpstreamServer(host, port) for host, port in names.servers]
    return OwnResolvers(UpstreamResolvers(servers), names.search[0] if names.search else None)
