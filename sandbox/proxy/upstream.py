"""Connects to a host of a cluster: TCP, TLS, PROXY header; every failure is a value."""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sandbox.proxy.downstream import TlsFacts
from sandbox.proxy.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.proxy.cluster_manager import ClusterRuntime
    from sandbox.proxy.downstream import DownstreamConnection


class FailureKind(enum.Enum):
    """How a connection failed; the value is Envoy's reset reason with spaces (underscores in details)."""

    REMOTE_CONNECTION_FAILURE = "remote connection failure"
    LOCAL_CONNECTION_FAILURE = "local connection failure"
    CONNECTION_TIMEOUT = "connection timeout"
    OVERFLOW = "overflow"


class UpstreamFailure(msgspec.Struct, frozen=True):
    """A connection that did not come about."""

    kind: FailureKind
    flag: str = "UF"
    transport_failure_reason: str | None = None
    """As logged, with underscores: ``delayed_connect_error:_Connection_refused``; ``None`` for a timeout."""
    local_address: str | None = None

    @property
    def reset_reason(self) -> str:
        """For bodies: ``remote connection failure``."""
        return self.kind.value

    @property
    def details(self) -> str:
        """For ``response_code_details``: ``remote_connection_failure|delayed_connect_error:_Connection_refused``."""
        reason = self.kind.value.replace(" ", "_")
        return reason if self.transport_failure_reason is None else f"{reason}|{self.transport_failure_reason}"


class TransportOptions(msgspec.Struct, frozen=True):
    """What one connection wants beyond the cluster's settings; equal options may share pooled connections.

    Envoy's ``TransportSocketOptions``: with ``auto_sni`` the router sets ``server_name`` from the Host header, with
    ``auto_san_validation`` also ``verify_names``; a cluster with an upstream PROXY header needs ``downstream``'s addresses.
    """

    server_name: str | None = None
    verify_names: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    proxy_source: tuple[str, int] | None = None
    proxy_destination: tuple[str, int] | None = None


P = TypeVar("P", bound=asyncio.BaseProtocol)


class Upstream(msgspec.Struct):
    """A connection that stands; moments are on the monotonic clock."""

    transport: asyncio.Transport
    protocol: asyncio.BaseProtocol
    host: Host
    local_address: str
    remote_address: str
    tls: TlsFacts | None
    connect_start: float
    connect_end: float
    handshake_end: float | None


async def connect(
    cluster: ClusterRuntime,
    host: Host,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    options: TransportOptions | None = None,
) -> Upstream | UpstreamFailure:
    """Connects within the cluster's ``connect_timeout`` (TLS handshake included). Counts nothing: the pool does."""
    raise NotImplementedError


def options_for_proxy_protocol(cluster: ClusterRuntime, connection: DownstreamConnection) -> TransportOptions | None:
    """The options that a cluster with an upstream PROXY header needs; ``None`` where it has none."""
    raise NotImplementedError
