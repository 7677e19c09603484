"""The alerts of failed handshakes, which OpenSSL makes and nobody sends; and those of certificates that we refuse."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Final

CERTIFICATE_UNKNOWN: Final = b"\x15\x03\x03\x00\x02\x02\x2e"
"""The alert for names and fingerprints that do not fit (Envoy, ``DefaultCertValidator::doVerifyCertChain``).

In plain text, as every alert of OpenSSL's about a server's certificate: its client takes its keys into use after that.
"""


@contextlib.contextmanager
def sending_alerts(sock: socket.socket) -> Iterator[None]:
    """Sends the alert of a handshake that fails inside: the loop closes the socket before it tells of the failure."""
    with sock.dup() as spare:
        try:
            yield
        except ssl.SSLError as error:
            with contextlib.suppress(OSError):
                spare.send(getattr(error, "unsent", b""))
            raise
