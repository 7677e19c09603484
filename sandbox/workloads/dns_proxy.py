"""The agent's DNS proxy on 15053: for workloads whose questions are redirected by the sidecar's rules."""

from __future__ import annotations

import contextlib
import random

from sandbox.dns.cluster import ClusterServer
from sandbox.dns.server import DnsServer
from sandbox.errors import ListenError
from sandbox.loading import Loaded
from sandbox.loading.service_network import cluster_names
from sandbox.match.cluster_names import ClusterNames
from sandbox.match.name_lookup import NameLookup
from sandbox.settings import Settings
from sandbox.workloads.own_resolvers import own_resolvers

DNS_PORT = 15053
LOOPBACK = ("127.0.0.1", "::1")


class DnsProxy:
    """Serves the name table of whatever plan holds, on loopback, UDP and TCP."""

    def __init__(self, settings: Settings) -> None:
        beyond, self._search = own_resolvers(settings)
        self._upstream = ClusterServer(lambda: self._cluster, beyond, random.Random().shuffle, in_cluster=True)
        self._lookup: NameLookup | None = None
        self._cluster: ClusterNames | None = None
        self._servers: list[DnsServer] = []

    def take(self, loaded: Loaded) -> None:
        """From now on questions are answered from this plan."""
        self._lookup = NameLookup(
            loaded.plan.name_table,
            namespace=loaded.proxy.namespace,
            domain=loaded.proxy.dns_domain,
            search_domain=self._search,
        )
        self._cluster = cluster_names(loaded, search_domain=self._search)

    async def start(self) -> None:
        """Binds 15053; ``ListenError`` where it is taken. A machine without IPv6 gets the IPv4 half."""
        for address in LOOPBACK:
            server = DnsServer(lambda: self._lookup, self._upstream, random.Random())
            try:
                await server.start(address, DNS_PORT)
            except OSError as error:
                if address == LOOPBACK[0]:
                    raise ListenError(f"cannot listen on {address}:{DNS_PORT}: {error.strerror}") from None
                continue
            self._servers.append(server)

    async def stop(self) -> None:
        """Closes the sockets."""
        for server in self._servers:
            with contextlib.suppress(OSError):
                await server.stop()
