"""What an HTTP rule does besides forwarding: faults, fixed answers, retries, CORS."""

from __future__ import annotations

import re
from typing import Final

from sandbox.istio.destination import Percent
from sandbox.istio.grpc_statuses import GRPC_STATUSES
from sandbox.istio.http_actions import CorsPolicy, HTTPDirectResponse, HTTPRetry
from sandbox.istio.http_fault import FaultAbort, FaultDelay, HTTPFaultInjection
from sandbox.istio.message import Message
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.headers import cors_name_fault
from sandbox.istio.validate.primitives import fine_percent_fault
from sandbox.istio.validate.regex import regex_fault
from sandbox.istio.validate.traffic_policy import check_duration
from sandbox.yaml_source.problems import did_you_mean

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"})
_KIBIBYTE: Final = 1024
RETRY_WORDS: Final = (
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
)
# The codes to which Go's net/http gives a text.
_GO_STATUSES: Final = frozenset(
    {
        *range(100, 104),
        *range(200, 209),
        226,
        *range(300, 306),
        307,
        308,
        *range(400, 419),
        *range(421, 427),
        428,
        429,
        431,
        451,
        *range(500, 509),
        510,
        511,
    }
)
_ATOI: Final = re.compile(r"[-+]?[0-9]{1,18}")


def http_status_fault(status: int) -> str | None:
    """A status that an answer can have; istiod counts 600 in."""
    return None if 200 <= status <= 600 else f"HTTP status {status} is not in range 200-599"


def check_fault(fault: HTTPFaultInjection | None, findings: Findings) -> None:
    """Delay and abort."""
    if fault is None:
        return
    if fault.abort is None and fault.delay is None:
        findings.error("HTTP fault injection must have an abort and/or a delay", fault)
    if fault.abort is not None:
        _check_abort(fault.abort, findings)
    if fault.delay is not None:
        _check_delay(fault.delay, findings)


def _check_percentage(percentage: Percent | None, at: Message, findings: Findings) -> None:
    if percentage is not None:
        findings.check(fine_percent_fault(percentage.value), at, "percentage")


def _check_abort(abort: FaultAbort, findings: Findings) -> None:
    _check_percentage(abort.percentage, abort, findings)
    if abort.http_status is not None:
        findings.check(http_status_fault(abort.http_status), abort, "http_status")
    elif abort.grpc_status is not None and abort.grpc_status not in GRPC_STATUSES:
        near = did_you_mean(abort.grpc_status, GRPC_STATUSES)
        hint = f"did you mean {near}?" if near else "for example NOT_FOUND or UNAVAILABLE"
        findings.error(f"gRPC status {abort.grpc_status!r} is not supported", abort, "grpc_status", hint=hint)
    elif abort.http2_error is not None:
        findings.error("HTTP/2 abort fault injection not supported yet", abort, "http2_error")


def _check_delay(delay: FaultDelay, findings: Findings) -> None:
    _check_percentage(delay.percentage, delay, findings)
    check_duration(delay, "fixed_delay", findings)
    if delay.exponential_delay is not None:
        check_duration(delay, "exponential_delay", findings)
        findings.error("exponentialDelay not supported yet", delay, "exponential_delay", hint="use fixedDelay")


def check_direct_response(response: HTTPDirectResponse | None, findings: Findings) -> None:
    """A fixed answer: its status and the size of its body."""
    if response is None:
        return
    if response.body is not None:
        size = len(response.body.bytes or b"") or len((response.body.string or "").encode())
        if size > _KIBIBYTE * _KIBIBYTE:
            findings.error("a direct response body must be less than 1MB", response, "body")
        elif size > 100 * _KIBIBYTE:
            findings.warn("large direct responses may impact control plane performance", response, "body")
    findings.check(http_status_fault(response.status), response, "status")


def check_retries(retries: HTTPRetry | None, findings: Findings) -> None:
    """Attempts, conditions and times of retries."""
    if retries is None:
        return
    if retries.attempts < 0:
        findings.error("attempts cannot be negative", retries, "attempts")
    configured = (retries.per_try_timeout, retries.retry_on or None, retries.retry_remote_localities)
    if retries.attempts == 0 and any(value is not None for value in configured):
        message = "http retry policy configured when attempts are set to 0 (disabled)"
        findings.error(message, retries, "attempts", hint="set attempts, or leave the rest out")
    check_duration(retries, "per_try_timeout", findings)
    for word in retries.retry_on.split(",") if retries.retry_on else ():
        if word not in RETRY_WORDS and not _is_status(word):
            near = did_you_mean(word.strip(), RETRY_WORDS)
            hint = f"did you mean {near}?" if near else "conditions are separated by commas, without spaces"
            findings.error(f"{word!r} is not a valid retryOn policy", retries, "retry_on", hint=hint)
    check_duration(retries, "backoff", findings)


def _is_status(word: str) -> bool:
    return _ATOI.fullmatch(word) is not None and int(word) in _GO_STATUSES


def check_cors(policy: CorsPolicy | None, findings: Findings) -> None:
    """Origins, methods, headers and the age of a CORS policy."""
    if policy is None:
        return
    for origin in policy.allow_origins:
        if not (origin.exact or origin.prefix or origin.regex):
            findings.error("an origin of a CORS policy cannot be empty", origin, hint="set exact, prefix or regex")
        elif origin.regex:
            findings.check(regex_fault(origin.regex), origin, "regex")
    for index, method in enumerate(policy.allow_methods):
        if method not in _METHODS:
            findings.error(f"{method!r} is not a supported HTTP method", policy, "allow_methods", index)
    for field in ("allow_headers", "expose_headers"):
        for index, name in enumerate(getattr(policy, field)):
            findings.check(cors_name_fault(name), policy, field, index)
    check_duration(policy, "max_age", findings)
    if policy.max_age is not None and policy.max_age.microseconds > 0:
        findings.error("maxAge is accurate only to seconds precision", policy, "max_age")
