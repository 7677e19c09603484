"""UpstreamFailure: a connection that did not come about, as a value."""

from __future__ import annotations

import enum
from typing import final

import msgspec


class FailureKind(enum.Enum):
    """How a connection failed; the value is Envoy's reset reason with spaces (underscores in details)."""

    REMOTE_CONNECTION_FAILURE = "remote connection failure"
    LOCAL_CONNECTION_FAILURE = "local connection failure"
    CONNECTION_TIMEOUT = "connection timeout"
    OVERFLOW = "overflow"


@final
class UpstreamFailure(msgspec.Struct, frozen=True):
    """What failed, its response flag, and the transport's own words."""

    kind: FailureKind
    flag: str = "UF"
    transport_failure_reason: str | None = None
    """As logged, with underscores: ``delayed_connect_error:_Connection_refused``; ``None`` for a timeout."""
    local_address: str | None = None

    @staticmethod
    def because(kind: FailureKind, text: str | None) -> UpstreamFailure:
        """A failure with the transport's own words; in the log every blank is an underscore."""
        reason = None if text is None else text.replace(" ", "_")
        return UpstreamFailure(kind, transport_failure_reason=reason)

    @property
    def details(self) -> str:
        """For ``response_code_details``: ``remote_connection_failure|delayed_connect_error:_Connection_refused``."""
        reason = self.kind.value.replace(" ", "_")
        return reason if self.transport_failure_reason is None else f"{reason}|{self.transport_failure_reason}"


PENDING_OVERFLOW = UpstreamFailure(FailureKind.OVERFLOW, "UO")
"""Too many requests wait already."""
REQUESTS_OVERFLOW = UpstreamFailure(FailureKind.OVERFLOW, "UO")
"""There is a connection, and so a host, but too many requests run already."""
