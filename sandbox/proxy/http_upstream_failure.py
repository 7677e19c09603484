"""How a failed try is told: its response flag and the body of the reply."""

from __future__ import annotations

import re

from sandbox.proxy.failure import FailureKind
from sandbox.wire.http_retries import Reset

RESETS = {
    FailureKind.REMOTE_CONNECTION_FAILURE: Reset.REMOTE_CONNECTION_FAILURE,
    FailureKind.LOCAL_CONNECTION_FAILURE: Reset.LOCAL_CONNECTION_FAILURE,
    FailureKind.CONNECTION_TIMEOUT: Reset.CONNECTION_TIMEOUT,
    FailureKind.OVERFLOW: Reset.OVERFLOW,
}


def failure_text(reset: Reset, *, was_retried: bool, transport_reason: str | None) -> bytes:
    """The body of a 502 or 503; Envoy before 1.39 added the transport's reason."""
    again = "retried and the latest " if was_retried else ""
    text = f"upstream connect error or disconnect/reset before headers. {again}reset reason: {reset.value}"
    if transport_reason:
        text += f", transport failure reason: {spoken(transport_reason)}"
    return text.encode()


_NAMES = re.compile(r"TLS_error_end|TLS_error|OPENSSL_internal|X509_verify_cert|\b[A-Z0-9]{2,}(?:_[A-Z0-9]+)+(?=:|$)|_")


def spoken(logged: str) -> str:
    """A transport failure reason as it was before the log replaced its blanks: names keep their underscores."""
    return _NAMES.sub(lambda found: " " if found[0] == "_" else found[0], logged)


def flag_of(reset: Reset) -> str:
    """The short response flag."""
    if reset is Reset.CONNECTION_TERMINATION:
        return "UC"
    if reset is Reset.PROTOCOL_ERROR:
        return "UPE"
    if reset is Reset.OVERFLOW:
        return "UO"
    if reset in (Reset.REMOTE_RESET, Reset.REMOTE_REFUSED_STREAM):
        return "UR"
    return "LR" if reset is Reset.LOCAL_RESET else "UF"
