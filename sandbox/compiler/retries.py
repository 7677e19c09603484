"""Retry policies: of the VirtualService, else of the mesh, else Istio's own.

Source: Istio pilot/pkg/networking/core/route/retry/retry.go.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Final

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.http_actions import HTTPRetry
from sandbox.istio.mesh_config import MeshConfig
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.route import (
    PreviousHostsPredicate,
    PreviousPrioritiesConfig,
    RetryBackOff,
    RetryPlugin,
    RetryPolicy,
)

PREVIOUS_HOSTS: Final = (
    RetryPlugin(name="envoy.retry_host_predicates.previous_hosts", typed_config=PreviousHostsPredicate()),
)
PREVIOUS_PRIORITIES: Final = RetryPlugin(
    name="envoy.retry_priorities.previous_priorities", typed_config=PreviousPrioritiesConfig(update_frequency=2)
)
_STATUS_CODES: Final = frozenset(int(status) for status in HTTPStatus)
_BY_STATUS_CODE: Final = "retriable-status-codes"

DEFAULT_POLICY: Final = RetryPolicy(
    retry_on=f"connect-failure,refused-stream,unavailable,cancelled,{_BY_STATUS_CODE}",
    num_retries=2,
    host_selection_retry_max_attempts=5,
    retry_host_predicate=PREVIOUS_HOSTS,
    because=(Because("retries", IstioDefault("two retries of requests that never reached the server")),),
)
DEFAULT_POLICY_WITH_HASH: Final = replace(DEFAULT_POLICY, retry_host_predicate=())
"""A hash chooses the endpoint again, so another one cannot be asked for."""


@dataclass(frozen=True, slots=True)
class RetryDefaults:
    """What applies where a VirtualService says nothing; None where the mesh turns retries off."""

    plain: RetryPolicy | None
    with_hash: RetryPolicy | None

    def policy(self, retries: HTTPRetry | None, consistent_hash: bool) -> RetryPolicy | None:
        """The policy of one route."""
        if retries is not None:
            return convert_policy(retries, consistent_hash)
        return self.with_hash if consistent_hash else self.plain


def retry_defaults(mesh: MeshConfig) -> RetryDefaults:
    """The mesh's ``defaultHttpRetryPolicy``, or Istio's."""
    retries = mesh.default_http_retry_policy
    if retries is None:
        return RetryDefaults(DEFAULT_POLICY, DEFAULT_POLICY_WITH_HASH)
    return RetryDefaults(convert_policy(retries, False), convert_policy(retries, True))


def convert_policy(retries: HTTPRetry, consistent_hash: bool) -> RetryPolicy | None:
    """One ``retries`` block; zero attempts are no policy."""
    if retries.attempts <= 0:
        return None
    default = DEFAULT_POLICY_WITH_HASH if consistent_hash else DEFAULT_POLICY
    retry_on, codes = _parse_retry_on(retries.retry_on) if retries.retry_on else (default.retry_on, ())
    predicate = default.retry_host_predicate
    if retries.retry_ignore_previous_hosts is not None:
        predicate = PREVIOUS_HOSTS if retries.retry_ignore_previous_hosts else ()
    return RetryPolicy(
        retry_on=retry_on,
        num_retries=retries.attempts,
        per_try_timeout=retries.per_try_timeout,
        retry_priority=PREVIOUS_PRIORITIES if retries.retry_remote_localities else None,
        retry_host_predicate=predicate,
        host_selection_retry_max_attempts=default.host_selection_retry_max_attempts,
        retriable_status_codes=codes,
        retry_back_off=None if retries.backoff is None else RetryBackOff(base_interval=retries.backoff),
        because=(Because("retries", retries.origin),),
    )


def _parse_retry_on(text: str) -> tuple[str, tuple[int, ...]]:
    """Conditions and status codes; a number that is no known status stays a condition."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    codes = tuple(int(part) for part in parts if _is_status(part))
    retry_on = ",".join(part for part in parts if not _is_status(part))
    if codes and _BY_STATUS_CODE not in retry_on:
        retry_on += f",{_BY_STATUS_CODE}"
    return retry_on, codes


def _is_status(part: str) -> bool:
    return part.isascii() and part.isdigit() and int(part) in _STATUS_CODES
