"""Connects to a host of a cluster: TCP, TLS, PROXY header; every failure is a value."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import msgspec

from sandbox.proxy.connector import connect_socket
from sandbox.proxy.downstream import TlsFacts
from sandbox.proxy.failure import FailureKind, UpstreamFailure
from sandbox.proxy.host import Host
from sandbox.proxy.transport_options import TransportOptions
from sandbox.proxy.transport_socket import open_session

__all__ = ["FailureKind", "TransportOptions", "Upstream", "UpstreamFailure", "connect"]

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.downstream import DownstreamConnection


class Upstream(msgspec.Struct):
    """A connection that stands; moments are on the monotonic clock."""

    transport: asyncio.Transport
    protocol: asyncio.BaseProtocol
    host: Host
    connection_id: int
    local_address: str
    remote_address: str
    tls: TlsFacts | None
    connect_start: float
    connect_end: float
    handshake_end: float | None

    def tell(self, info: StreamInfo) -> None:
        """What it is, to a stream that uses it."""
        info.upstream_connection_id = self.connection_id
        info.upstream_local_address = None if isinstance(self.host.target, str) else self.local_address
        if self.tls is not None:
            info.upstream_tls = self.tls
            info.upstream_tls_version, info.upstream_tls_cipher = self.tls.version, self.tls.cipher
            info.upstream_peer_uri_san = self.tls.first_peer_uri
            info.upstream_peer_dns_san = self.tls.peer_dns_san
            info.upstream_peer_subject = self.tls.peer_subject


async def connect(
    cluster: ClusterRuntime,
    host: Host,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    options: TransportOptions | None = None,
    *,
    number: int,
    for_bytes: bool = False,
) -> Upstream | UpstreamFailure:
    """Connects within the cluster's ``connect_timeout`` (TLS handshake included). Counts nothing: the pool does.

    ``number`` is the connection's in this process.
    Where the TLS settings name no protocols, those are offered that the cluster's HTTP speaks; ``for_bytes`` none, and
    each side of TLS ends by itself.
    """
    start = time.monotonic()
    sock = await connect_socket(cluster, host.target)
    if isinstance(sock, UpstreamFailure):
        return sock
    connected = time.monotonic()
    local = host.address if sock.family == socket.AF_UNIX else cluster.local_address(sock)
    secure = cluster.transport_of(host)
    left = cluster.connect_timeout - (connected - start)
    options = options or NO_OPTIONS
    if secure.tls is not None and not options.alpn and not for_bytes:
        options = msgspec.structs.replace(options, alpn=cluster.http_alpn)
    session = await open_session(sock, secure, protocol_factory, options, max(left, 0.001), half_close=for_bytes)
    if isinstance(session, UpstreamFailure):
        return msgspec.structs.replace(session, local_address=local)
    facts = session.tls
    return Upstream(
        transport=session.transport,
        protocol=session.protocol,
        host=host,
        connection_id=number,
        local_address=local,
        remote_address=host.address,
        tls=facts,
        connect_start=start,
        connect_end=connected,
        handshake_end=time.monotonic() if facts is not None else None,
    )


NO_OPTIONS = TransportOptions()


def options_for_proxy_protocol(cluster: ClusterRuntime, connection: DownstreamConnection) -> TransportOptions | None:
    """The options that a cluster with an upstream PROXY header needs; ``None`` where it has none."""
    if not cluster.sends_proxy_header:
        return None
    return TransportOptions(
        proxy_source=(connection.remote_ip, connection.remote_port),
        proxy_destination=(connection.destination_ip, connection.destination_port),
    )
