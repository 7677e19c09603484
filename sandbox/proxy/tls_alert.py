"""The alerts of failed handshakes, which OpenSSL makes and nobody sends; and those of certificates that we refuse."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from sandbox.proxy.tasks import detach

CERTIFICATE_UNKNOWN: Final = b"\x15\x03\x03\x00\x02\x02\x2e"
"""The alert for names and fingerprints that do not fit (Envoy, ``DefaultCertValidator::doVerifyCertChain``).

In plain text, as every alert of OpenSSL's about a server's certificate: its client takes its keys into use after that.
"""
BAD_CERTIFICATE: Final = b"\x02\x2a"
CERTIFICATE_EXPIRED: Final = b"\x02\x2d"
"""BoringSSL says of certificates that are not valid yet, too."""
LINGER_SECONDS: Final = 1.0
READ_BYTES: Final = 65_536


@contextlib.contextmanager
def sending_alerts(sock: socket.socket, *, reads_on: bool = False) -> Iterator[None]:
    """Sends the alert of a handshake that fails inside: the loop closes the socket before it tells of the failure.

    In TLS 1.3 a client talks on before its certificate is refused. With ``reads_on`` that is read: what stays unread
    when a socket closes becomes a reset, which may overtake the alert.
    """
    with sock.dup() as spare:
        try:
            yield
        except ssl.SSLError as error:
            with contextlib.suppress(OSError):
                spare.send(getattr(error, "unsent", b""))
                if reads_on:
                    detach(_end_and_read_on(spare.dup()), "refused handshake")
            raise


async def _end_and_read_on(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with sock, contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(LINGER_SECONDS):
            while await loop.sock_recv(sock, READ_BYTES):
                pass
