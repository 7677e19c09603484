"""Retries that fields of a request ask for (``RetryStateImpl::create``).

The connection manager takes these fields off what clients send; header operations of a route may write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from sandbox.wire.decimal_number import decimal_number
from sandbox.wire.http_retries import RetryRules

RETRY_FIELDS: Final = frozenset(
    {
        b"x-envoy-retry-on",
        b"x-envoy-retry-grpc-on",
        b"x-envoy-max-retries",
        b"x-envoy-retriable-status-codes",
        b"x-envoy-retriable-header-names",
        b"x-envoy-hedge-on-per-try-timeout",
        b"x-envoy-upstream-rq-per-try-timeout-ms",
    }
)
"""Read, or only taken away, when a request's header operations are done; the last two came too late."""
TIMEOUT_FIELD: Final = b"x-envoy-upstream-rq-timeout-alt-response"
"""Whatever its value, a request that takes too long is answered with 204."""
NO_POLICY: Final = RetryRules(frozenset(), frozenset(), frozenset(), 1, 0.0, 0.025, 0.25, host_attempts=1)
"""What fields add to where a route has no policy."""
_MOST_RETRIES = 2**32 - 1


def asked_rules(policy: RetryRules, fields: Mapping[bytes, bytes]) -> RetryRules | None:
    """The policy with what the fields ask for; ``None`` where nothing is to be retried."""
    http = RetryRules.words_of(_text(fields, b"x-envoy-retry-on"))
    grpc = RetryRules.words_of(_text(fields, b"x-envoy-retry-grpc-on"))
    codes = RetryRules.grpc_codes_of(grpc)
    words = policy.words | {word for word in http if not RetryRules.grpc_codes_of(frozenset({word}))}
    if not words and not codes and not policy.grpc_codes:
        return None
    retries = decimal_number(fields.get(b"x-envoy-max-retries", b"").strip(b" \t"), _MOST_RETRIES)
    statuses = _members(fields, b"x-envoy-retriable-status-codes")
    return msgspec.structs.replace(
        policy,
        words=frozenset(words),
        grpc_codes=policy.grpc_codes | codes,
        status_codes=policy.status_codes | {int(status) for status in statuses if status.isdigit()},
        header_names=policy.header_names | frozenset(_members(fields, b"x-envoy-retriable-header-names")),
        retries=policy.retries if retries is None else retries,
    )


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode("latin-1")


def _members(fields: Mapping[bytes, bytes], name: bytes) -> list[bytes]:
    return [member for part in fields.get(name, b"").split(b",") if (member := part.strip(b" \t").lower())]
