"""Files that a plan's TLS settings name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.plan.secret_names import FILE_CERTIFICATE, FILE_ROOT, SYSTEM_ROOT
from sandbox.plan.tls import DownstreamTlsContext, ProxyProtocolUpstreamTransport, TransportSocket, UpstreamTlsContext
from sandbox.proxy.tls_context import secret_names

if TYPE_CHECKING:
    from sandbox.plan import NodePlan
    from sandbox.plan.because import Because


def files_for_tls(plan: NodePlan) -> Iterator[tuple[str, tuple[Because, ...]]]:
    """Each path, as often as it is named, and why it is."""
    for cluster in plan.clusters.values():
        for socket in (
            cluster.transport_socket,
            *(match.transport_socket for match in cluster.transport_socket_matches),
        ):
            yield from _files_of(socket)
    for listener in plan.listeners:
        for chain in listener.filter_chains:
            yield from _files_of(chain.transport_socket)


def _files_of(socket: TransportSocket | None) -> Iterator[tuple[str, tuple[Because, ...]]]:
    config = socket.typed_config if socket is not None else None
    if isinstance(config, ProxyProtocolUpstreamTransport):
        yield from _files_of(config.transport_socket)
    if not isinstance(config, UpstreamTlsContext | DownstreamTlsContext):
        return
    for name in secret_names(config.common_tls_context):
        if name.startswith(FILE_CERTIFICATE):
            yield from ((path, config.because) for path in name.removeprefix(FILE_CERTIFICATE).split("~"))
        elif name.startswith(FILE_ROOT) and name != SYSTEM_ROOT:
            yield name.removeprefix(FILE_ROOT), config.because
