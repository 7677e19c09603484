"""How a failed try is told: its response flag and the body of the reply."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox.proxy.failure import FailureKind
from sandbox.wire.http_retries import Reset

if TYPE_CHECKING:
    from sandbox.proxy.http_stream import HttpStream

OVERLOADED = ((b"x-envoy-overloaded", b"true"),)
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
    if reset in (Reset.REMOTE_RESET, Reset.REMOTE_REFUSED_STREAM, Reset.CONNECT_ERROR):
        return "UR"
    return "LR" if reset is Reset.LOCAL_RESET else "UF"


def reply_failure(stream: HttpStream, reset: Reset, reason: str | None, *, has_informed: bool) -> None:
    """Ends a stream whose last try failed: with a reply, or without one where the response has begun.

    ``reason`` is the transport's, as it is logged; ``has_informed``: a 1xx head came before.
    """
    info = stream.info
    info.response_flags.append(flag_of(reset))
    detail = reset.in_details if reason is None else f"{reset.in_details}|{reason}"
    if stream.response_started:
        info.response_code_details = f"upstream_reset_after_response_started{{{detail}}}"
        stream.reset()
        return
    shown = reason if stream.manager.transport_failure_in_body else None
    stream.local_reply(
        502 if reset is Reset.PROTOCOL_ERROR else 503,
        failure_text(reset, was_retried=info.upstream_request_attempt_count > 1, transport_reason=shown),
        f"upstream_reset_{'after' if has_informed else 'before'}_response_started{{{detail}}}",
        first=OVERLOADED if reset is Reset.OVERFLOW else (),
    )


def reply_no_host(stream: HttpStream, details: str) -> None:
    """Ends a stream whose cluster has no host for it."""
    stream.info.response_flags.append("UH")
    stream.local_reply(503, b"no healthy upstream", details)


def reply_no_cluster(stream: HttpStream) -> None:
    """Ends a stream whose route names a cluster that nobody knows."""
    stream.info.response_flags.append("NC")
    stream.local_reply(503, b"", "cluster_not_found")


def reply_timeout(stream: HttpStream) -> None:
    """Ends a stream at the route's timeout."""
    _reply_late(stream, "UT", 504, "upstream request timeout", "response_timeout")


def reply_try_timeout(stream: HttpStream, *, is_duration: bool) -> None:
    """Ends a stream whose last try took too long, or (``is_duration``) as long as its request allows."""
    if is_duration:
        status = 504 if stream.is_request_complete else 408
        name = "upstream max stream duration reached"
        _reply_late(stream, "UMSDR", status, name, name.replace(" ", "_"))
    else:
        _reply_late(stream, "UT", 504, "upstream request timeout", "upstream_per_try_timeout")


def _reply_late(stream: HttpStream, flag: str, status: int, text: str, details: str) -> None:
    stream.info.response_flags.append(flag)
    if flag == "UT" and stream.router is not None and stream.router.answers_no_content:
        status, text = 204, ""
    if stream.response_started:
        stream.info.response_code_details = details
        stream.reset()
    else:
        stream.local_reply(status, text.encode(), details)
