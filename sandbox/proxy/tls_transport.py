"""TlsTransport: TLS over a transport of the loop, whose sides end one by one, as Envoy's do.

The loop's own TLS closes both ways when one side ends, and a FIN that comes with a handshake's last bytes ends that.
Here close_notify, or a bare FIN, ends what is read, and what is written goes on (Envoy's ``SslSocket``, RFC 8446 6.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

from sandbox.proxy.downstream import TlsFacts

READ_BYTES: Final = 65_536


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """A protocol for the transport below, a transport for the protocol above, which hears of a handshake that is done.

    A failed one is an exception of ``handshake``.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        *,
        server_side: bool = False,
        server_name: str | None = None,
        is_held: bool = False,
    ) -> None:
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_name
        )
        self._factory = protocol_factory
        self._protocol: asyncio.Protocol | None = None
        self._below: asyncio.Transport | None = None
        self._has_ended = False
        """The peer's side."""
        self._has_notified = False
        """It has said so by close_notify."""
        self._unnoticed: Exception | None = None
        """How it was lost after that: nobody reads any more, so the next write finds out."""
        self._has_said_end = False
        """Our side."""
        self._is_closing = False
        self._is_held = is_held
        """Our first answer is the last, until ``go_on``."""
        self._failure: Exception | None = None
        self.facts = TlsFacts()
        """What the handshake says; an error that comes right after it takes that away from the session."""
        self.handshake: asyncio.Future[asyncio.BaseProtocol] = asyncio.get_running_loop().create_future()

    # --- what the transport below calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        if self._is_closing or self._has_ended:
            return
        self._incoming.write(data)
        if self._protocol is None:
            self._shake_hands()
        if self._protocol is not None:
            self._read()

    def eof_received(self) -> bool:
        if self._protocol is None:
            self._fail(EOFError("the peer closed during the handshake"))
            return False
        self._peer_has_ended()
        return not self._is_closing

    def connection_lost(self, exc: Exception | None) -> None:
        self._below = None
        if self._protocol is None:
            self._is_closing = True
            self._end_handshake(exc or EOFError("the connection closed during the handshake"))
        elif self._has_notified and not self._is_closing and exc is not None:
            self._unnoticed = exc
        else:
            self._is_closing = True
            self._protocol.connection_lost(self._failure or exc)

    def pause_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.resume_writing()

    # --- handshake ---

    def _shake_hands(self) -> None:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            if self._is_held and self._outgoing.pending:
                self.pause_reading()
            self._flush()
            return
        except ssl.SSLError as error:
            self._fail(error)
            return
        if self._outgoing.pending and self._was_reset():
            self._fail(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
            return
        self._flush()
        self.facts = TlsFacts.of(self._session)
        protocol = self._factory()
        self._protocol = cast(asyncio.Protocol, protocol)
        protocol.connection_made(self)
        if not self.handshake.done():
            self.handshake.set_result(protocol)

    def _was_reset(self) -> bool:
        """The kernel knows by now that nobody hears our last message; the loop would tell later."""
        sock = None if self._below is None else self._below.get_extra_info("socket")
        return sock is not None and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET

    def go_on(self) -> None:
        """The handshake of a server that was held goes on."""
        self._is_held = False
        self.resume_reading()

    def _fail(self, error: Exception) -> None:
        """The alert is left to whoever waits for the handshake."""
        self._is_closing = True
        self._end_handshake(error)
        if self._below is not None:
            self._below.abort()

    def _end_handshake(self, error: Exception) -> None:
        if not self.handshake.done():
            self.handshake.set_exception(error)

    # --- reading ---

    def _read(self) -> None:
        protocol = self._protocol
        while protocol is not None and not self._is_closing:
            try:
                data = self._session.read(READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError as error:
                self._failure = error
                self._flush()
                self.close()
                return
            if not data:
                self._has_notified = True
                self._peer_has_ended()
                break
            protocol.data_received(data)
            protocol = self._protocol
        self._flush()

    def _peer_has_ended(self) -> None:
        if not self._has_ended and self._protocol is not None:
            self._has_ended = True
            if not self._protocol.eof_received():
                self.close()

    # --- what the protocol above calls ---

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio.Transport."""
        if self._is_closing or self._has_said_end:
            return
        if self._unnoticed is not None and self._protocol is not None:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, self._unnoticed)
            return
        try:
            self._session.write(data)
        except ssl.SSLError:
            self.abort()
            return
        self._flush()

    def can_write_eof(self) -> bool:
        """See asyncio.Transport."""
        return True

    def write_eof(self) -> None:
        """Says close_notify; no FIN, so that the peer can still be read and answered."""
        if self._has_said_end or self._is_closing:
            return
        self._has_said_end = True
        with contextlib.suppress(ssl.SSLError):  # it would like to wait for the peer's
            self._session.unwrap()
        self._flush()

    def close(self) -> None:
        """Says close_notify and closes, without waiting for the peer's."""
        if self._is_closing:
            return
        self.write_eof()
        self._is_closing = True
        if self._below is not None:
            self._below.close()

    def abort(self) -> None:
        """See asyncio.Transport."""
        self._is_closing = True
        if self._below is not None:
            self._below.abort()

    def is_closing(self) -> bool:
        """See asyncio.Transport."""
        return self._is_closing

    def pause_reading(self) -> None:
        """See asyncio.Transport; what has been read already still comes."""
        if self._below is not None and not self._below.is_closing():
            self._below.pause_reading()

    def resume_reading(self) -> None:
        """See asyncio.Transport."""
        if self._below is not None and not self._below.is_closing():
            self._below.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See asyncio.Transport."""
        if self._below is not None:
            self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """See asyncio.Transport."""
        return 0 if self._below is None else self._below.get_write_buffer_size()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """See asyncio.Transport."""
        if name == "ssl_object":
            return self._session
        return default if self._below is None else self._below.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio.Transport."""
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See asyncio.Transport."""
        return self._protocol or self

    def _flush(self) -> None:
        if self._below is not None and not self._below.is_closing() and self._outgoing.pending:
            self._below.write(self._outgoing.read())


async def start_tls_client(
    sock: socket.socket, context: ssl.SSLContext, protocol_factory: Callable[[], asyncio.BaseProtocol], name: str
) -> tuple[TlsTransport, asyncio.BaseProtocol]:
    """TLS to the peer of a connected socket."""
    layer = TlsTransport(context, protocol_factory, server_name=name)
    await asyncio.get_running_loop().create_connection(lambda: layer, sock=sock)
    try:
        return layer, await layer.handshake
    except asyncio.CancelledError:
        layer.abort()
        raise


async def start_tls_server(
    sock: socket.socket,
    context: ssl.SSLContext,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    seconds: float | None,
    may_go_on: asyncio.Event,
) -> None:
    """TLS with the client of an accepted socket; its handshake may take so many seconds.

    The client's first message is answered, its second one when the handshake may go on.
    """
    layer = TlsTransport(context, protocol_factory, server_side=True, is_held=True)
    async with asyncio.timeout(seconds):
        await asyncio.get_running_loop().connect_accepted_socket(lambda: layer, sock)
        try:
            await may_go_on.wait()
            layer.go_on()
            await layer.handshake
        except asyncio.CancelledError:
            layer.abort()
            raise
