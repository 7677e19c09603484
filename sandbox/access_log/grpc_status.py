"""gRPC status codes of a stream, and their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.wire.decimal_number import decimal_number

CAMEL_NAMES: Final = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
    "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
    "Internal", "Unavailable", "DataLoss", "Unauthenticated",
)  # fmt: skip
SNAKE_NAMES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_FROM_HTTP: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_UNKNOWN: Final = 2
MOST_STATUS: Final = 2**64 - 1
"""Services have codes of their own, too."""

HeaderMap = Mapping[bytes, bytes]


def is_grpc(headers: HeaderMap) -> bool:
    """Whether a request's content type is gRPC's (``application/grpc``, ``application/grpc+proto``)."""
    content_type = headers.get(b"content-type", b"")
    return content_type.startswith(b"application/grpc") and content_type[16:17] in (b"", b"+")


def grpc_status(trailers: HeaderMap, headers: HeaderMap, response_code: int | None) -> int | None:
    """The status in the trailers, else in the headers, else what the HTTP status means; negative if unreadable."""
    for fields in (trailers, headers):
        value = fields.get(b"grpc-status")
        if value is not None:
            status = decimal_number(value, MOST_STATUS)
            return -1 if status is None else status
    if response_code is None:
        return None
    return _FROM_HTTP.get(response_code, _UNKNOWN)


def status_name(status: int | None, names: tuple[str, ...]) -> str | None:
    """The name, or the number where it has none."""
    if status is None:
        return None
    return names[status] if 0 <= status < len(names) else str(status)
