"""Why a client's first bytes are no ClientHello, in the words of BoringSSL, which Envoy's TLS inspector asks."""

from __future__ import annotations

from typing import Final

from sandbox.proxy.tls_failure import ALERTS, LIBRARY, REASONS
from sandbox.wire.client_hello import CLIENT_HELLO_MESSAGE, HANDSHAKE_RECORD, MAXIMUM_MESSAGE, MAXIMUM_RECORD

LOOKED_AT: Final = 9
"""Bytes that tell the reason: more of them need not be kept."""
ALERT_RECORD: Final = 21
FATAL: Final = 2
NUMBERS: Final = {**REASONS, "CLIENTHELLO_PARSE_FAILED": 131, "HTTPS_PROXY_REQUEST": 155, "HTTP_REQUEST": 156}
_HTTP: Final = (b"GET ", b"POST ", b"HEAD ", b"PUT ")
_FATAL_ALERTS: Final = {bytes((FATAL, number - 1000)): name for name, number in ALERTS.items()}


def failure_of_first_bytes(data: bytes) -> str:
    """What the log says as ``DOWNSTREAM_TRANSPORT_FAILURE_REASON`` where no filter chain took the connection."""
    reason = _reason(data)
    return f"TLS_error|error:{LIBRARY + NUMBERS[reason]:08x}:SSL_routines:OPENSSL_internal:{reason}:TLS_error_end"


def _reason(data: bytes) -> str:
    """In the order of ``ssl_open_record`` and ``ssl_open_handshake``."""
    if data.startswith(_HTTP):
        return "HTTP_REQUEST"
    if data.startswith(b"CONNE"):
        return "HTTPS_PROXY_REQUEST"
    if data[1:2] != b"\x03":
        return "WRONG_VERSION_NUMBER"
    if int.from_bytes(data[3:5], "big") > MAXIMUM_RECORD:
        return "ENCRYPTED_LENGTH_TOO_LONG"
    if data[0] == ALERT_RECORD and data[5:7] in _FATAL_ALERTS:
        return _FATAL_ALERTS[data[5:7]]
    if data[0] != HANDSHAKE_RECORD:
        return "UNEXPECTED_RECORD"
    if int.from_bytes(data[6:9], "big") > MAXIMUM_MESSAGE:
        return "EXCESSIVE_MESSAGE_SIZE"
    return "CLIENTHELLO_PARSE_FAILED" if data[5] == CLIENT_HELLO_MESSAGE else "UNEXPECTED_MESSAGE"
