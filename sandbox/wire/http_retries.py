"""RetryState: whether a failed try may be repeated, and after how long (Envoy's ``retry_state_impl.cc``)."""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec


class Reset(enum.Enum):
    """Why a try ended without a complete answer; the value is Envoy's reset reason."""

    REMOTE_CONNECTION_FAILURE = "remote connection failure"
    LOCAL_CONNECTION_FAILURE = "local connection failure"
    CONNECTION_TIMEOUT = "connection timeout"
    CONNECTION_TERMINATION = "connection termination"
    PROTOCOL_ERROR = "protocol error"
    OVERFLOW = "overflow"
    LOCAL_RESET = "local reset"
    REMOTE_RESET = "remote reset"
    REMOTE_REFUSED_STREAM = "remote refused stream reset"
    CONNECT_ERROR = "remote error with CONNECT request"

    @property
    def in_details(self) -> str:
        """As in ``response_code_details``."""
        return self.value.replace(" ", "_")


CONNECT_FAILURES = frozenset(
    {Reset.REMOTE_CONNECTION_FAILURE, Reset.LOCAL_CONNECTION_FAILURE, Reset.CONNECTION_TIMEOUT}
)
_GRPC_WORDS = {"cancelled": 1, "deadline-exceeded": 4, "internal": 13, "resource-exhausted": 8, "unavailable": 14}
_LOWEST_STATUS = {"5xx": 500, "gateway-error": 502, "retriable-4xx": 409}
NO_STATUS = 1_000_000_000
"""Higher than any."""
_KNOWN_WORDS = frozenset(
    [
        "5xx",
        "gateway-error",
        "connect-failure",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "reset",
        "reset-before-request",
        "envoy-ratelimited",
        "http3-post-connect-failure",
    ]
) | frozenset(_GRPC_WORDS)


class RetryRules(msgspec.Struct, frozen=True):
    """A route's retry policy, read once."""

    words: frozenset[str]
    grpc_codes: frozenset[int]
    status_codes: frozenset[int]
    retries: int
    per_try_timeout: float
    """Seconds; 0 is none."""
    base_interval: float
    max_interval: float
    avoid_previous_hosts: bool = False
    host_attempts: int = 0
    header_names: frozenset[bytes] = frozenset()
    """Fields of a response that ``retriable-headers`` covers."""
    priority_update_frequency: int = 0
    """After so many tries other priorities are tried (``previous_priorities``); 0 is never."""

    @property
    def lowest_status(self) -> int:
        """No lower status is tried again for its own sake."""
        codes = self.status_codes if "retriable-status-codes" in self.words else ()
        return min((*(_LOWEST_STATUS[word] for word in self.words & _LOWEST_STATUS.keys()), *codes), default=NO_STATUS)

    @staticmethod
    def words_of(retry_on: str) -> frozenset[str]:
        """The conditions in a comma-separated ``retry_on``; unknown words mean nothing, as in Envoy."""
        return frozenset(word for part in retry_on.split(",") if (word := part.strip()) in _KNOWN_WORDS)

    @staticmethod
    def grpc_codes_of(words: frozenset[str]) -> frozenset[int]:
        """gRPC statuses that the words name."""
        return frozenset(_GRPC_WORDS[word] for word in words if word in _GRPC_WORDS)


class Verdict(enum.Enum):
    """What follows a failed try."""

    NO = "no"
    """The policy does not cover it."""
    EXHAUSTED = "URX"
    """It would, but no tries are left."""
    OVERFLOW = "UO"
    """It would, but the ``max_retries`` breaker is open."""
    RETRY = "retry"


class RetryState:
    """The tries of one request. Ask ``wants_...`` first, then ``decide``."""

    __slots__ = ("_interval", "left", "rules")

    def __init__(self, rules: RetryRules) -> None:
        self.rules = rules
        self.left = rules.retries
        self._interval = rules.base_interval

    def wants_status(self, status: int, *, is_rate_limited: bool = False, grpc_status: int | None = None) -> bool:
        """Whether the policy covers a response head."""
        words = self.rules.words
        if is_rate_limited and "envoy-ratelimited" not in words:
            return False
        return (
            ("5xx" in words and status >= 500)
            or ("gateway-error" in words and 502 <= status <= 504)
            or ("retriable-4xx" in words and status == 409)
            or ("retriable-status-codes" in words and status in self.rules.status_codes)
            or (is_rate_limited and "envoy-ratelimited" in words)
            or (grpc_status is not None and grpc_status in self.rules.grpc_codes)
        )

    def wants_reset(self, reset: Reset, *, request_started: bool) -> bool:
        """Whether the policy covers a try that ended so; ``request_started``: its head went to the upstream."""
        words = self.rules.words
        if reset is Reset.OVERFLOW:
            return False
        return (
            "reset" in words
            or "5xx" in words
            or "gateway-error" in words
            or ("reset-before-request" in words and not request_started)
            or ("connect-failure" in words and reset in CONNECT_FAILURES)
            or ("refused-stream" in words and reset is Reset.REMOTE_REFUSED_STREAM)
        )

    def decide(self, *, may_retry: bool) -> Verdict:
        """Spends one of the tries left; ``may_retry`` is the breaker's word."""
        if self.left == 0:
            return Verdict.EXHAUSTED
        self.left -= 1
        return Verdict.RETRY if may_retry else Verdict.OVERFLOW

    def next_delay(self, draw: Callable[[], float]) -> float:
        """Seconds to wait before the next try: uniform below an interval that doubles up to its maximum."""
        delay = draw() * self._interval
        self._interval = min(self._interval * 2, self.rules.max_interval)
        return delay
