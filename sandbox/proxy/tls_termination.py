"""TLS of downstream connections: the handshake, then the connection with its facts goes to the next filter."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.proxy.downstream import TlsFacts
from sandbox.proxy.tls_alert import sending_alerts
from sandbox.proxy.tls_failure import failure_of_handshake
from sandbox.proxy.tls_transport import start_tls_server

if TYPE_CHECKING:
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.proxy.tls_context import ServerTls

log = logging.getLogger("sandbox.proxy")


class TlsGate(asyncio.Protocol):
    """Stands before a protocol until the handshake is done, so that it finds ``connection.tls`` filled."""

    def __init__(self, connection: DownstreamConnection, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        self._connection = connection
        self._factory = factory

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        session = transport.get_extra_info("ssl_object")
        if session is not None:
            self._connection.tls = TlsFacts.of(session)
        protocol = self._factory()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


async def terminate(
    tls: ServerTls,
    connection: DownstreamConnection,
    factory: Callable[[], asyncio.BaseProtocol],
    *,
    upstream_stands: asyncio.Event | None = None,
) -> bool:
    """The handshake; False where it failed and the connection is closed.

    For bytes, Envoy's TCP proxy reads nothing before its upstream stands; so the handshake waits for that. There, each
    side of TLS ends by itself, as it does without TLS.
    """
    loop = asyncio.get_running_loop()
    context = tls.context()
    if context is None:
        connection.socket.close()
        return False

    def gate() -> TlsGate:
        return TlsGate(connection, factory)

    try:
        with sending_alerts(connection.socket, reads_on=True):
            if upstream_stands is not None:
                await start_tls_server(connection.socket, context, gate, tls.handshake_seconds, upstream_stands)
            else:
                await loop.connect_accepted_socket(
                    gate, connection.socket, ssl=context, ssl_handshake_timeout=tls.handshake_seconds
                )
    except (OSError, ssl.SSLError, TimeoutError, EOFError) as error:
        log.debug("TLS handshake with %s failed: %s", connection.remote_address, error)
        connection.handshake_failure = failure_of_handshake(error).transport_failure_reason
        connection.socket.close()
        return False
    return True
