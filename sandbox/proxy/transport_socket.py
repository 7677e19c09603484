"""Transport sockets of upstream connections: plain text, TLS, and the PROXY header before either."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from sandbox.proxy.downstream import TlsFacts
from sandbox.proxy.failure import FailureKind, UpstreamFailure
from sandbox.proxy.proxy_header import proxy_header
from sandbox.proxy.tls_alert import sending_alerts
from sandbox.proxy.tls_context import ClientTls
from sandbox.proxy.tls_failure import failure_of_handshake
from sandbox.proxy.tls_transport import start_tls_client
from sandbox.proxy.transport_options import TransportOptions

if TYPE_CHECKING:
    from sandbox.plan.tls import ProxyProtocolConfig


class TransportSocketRuntime(msgspec.Struct, frozen=True):
    """How a cluster's connections are dressed; ``tls`` None is plain text."""

    tls: ClientTls | None = None
    proxy_protocol: ProxyProtocolConfig | None = None

    @property
    def is_plain(self) -> bool:
        """Nothing but the application's bytes."""
        return self.tls is None and self.proxy_protocol is None


class Session(msgspec.Struct):
    """A transport ready for the application's bytes."""

    transport: asyncio.Transport
    protocol: asyncio.BaseProtocol
    tls: TlsFacts | None


async def open_session(
    sock: socket.socket,
    dressing: TransportSocketRuntime,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    options: TransportOptions,
    seconds: float,
    *,
    half_close: bool = False,
) -> Session | UpstreamFailure:
    """Turns a connected socket into a transport; the socket is closed where that fails.

    With ``half_close`` each side of TLS ends by itself, as it does without TLS.
    """
    loop = asyncio.get_running_loop()
    try:
        if dressing.proxy_protocol is not None:
            header = proxy_header(dressing.proxy_protocol.version, options.proxy_source, options.proxy_destination)
            await loop.sock_sendall(sock, header)
        if dressing.tls is None:
            transport, protocol = await loop.create_connection(protocol_factory, sock=sock)
            return Session(transport, protocol, None)
        context = dressing.tls.context(options)
        if context is None:
            sock.close()
            return UpstreamFailure(
                FailureKind.REMOTE_CONNECTION_FAILURE,
                transport_failure_reason="TLS_error:_Secret_is_not_supplied_by_SDS",
            )
        begin = _begin_tls_that_half_closes if half_close else _begin_tls
        async with asyncio.timeout(seconds):
            with sending_alerts(sock):
                return await begin(sock, context, protocol_factory, dressing.tls.server_name(options))
    except TimeoutError:
        sock.close()
        return UpstreamFailure(FailureKind.CONNECTION_TIMEOUT)
    except (OSError, EOFError) as error:
        sock.close()
        return failure_of_handshake(error)


async def _begin_tls(
    sock: socket.socket, context: ssl.SSLContext, protocol_factory: Callable[[], asyncio.BaseProtocol], name: str
) -> Session:
    transport, protocol = await asyncio.get_running_loop().create_connection(
        protocol_factory, sock=sock, ssl=context, server_hostname=name
    )
    return Session(transport, protocol, TlsFacts.of(transport.get_extra_info("ssl_object")))


async def _begin_tls_that_half_closes(
    sock: socket.socket, context: ssl.SSLContext, protocol_factory: Callable[[], asyncio.BaseProtocol], name: str
) -> Session:
    layer, protocol = await start_tls_client(sock, context, protocol_factory, name)
    return Session(layer, protocol, layer.facts)
