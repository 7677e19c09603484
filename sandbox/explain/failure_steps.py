"""What a call would come to if its upstream failed: limits of the cluster, ejections, and what is tried again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from sandbox.explain.steps import Step
from sandbox.frozen_dataclass import dataclass
from sandbox.match.priority_load import DEFAULT_PANIC_THRESHOLD
from sandbox.plan.cluster import Cluster, OutlierDetection, Thresholds, used_endpoints
from sandbox.plan.route import RetryPolicy
from sandbox.wire.http_retries import Reset, RetryRules, RetryState

UNLIMITED: Final = 2**32 - 1
"""Istio's limit where nothing is said."""
ENVOY_EJECTION_SECONDS: Final = 30
ENVOY_EJECTION_PERCENT: Final = 10
ENVOY_CONSECUTIVE: Final = 5
ALL: Final = 100
_SERVER_ERROR: Final = 503


def failure_steps(cluster: Cluster, *, is_http: bool) -> Iterator[Step]:
    """Limits that somebody set, and when endpoints are left out."""
    thresholds = cluster.circuit_breakers.thresholds[:1] if cluster.circuit_breakers is not None else ()
    for limits in thresholds:
        told = limits_in_words(limits, is_http=is_http)
        if told:
            yield Step(
                kind="limits",
                found=f"at most {', '.join(told)}",
                reason=_beyond(limits, is_http=is_http),
                because=tuple(each for each in cluster.because if each.what == "connection pool"),
            )
    if cluster.outlier_detection is not None:
        yield _ejection(cluster, cluster.outlier_detection, is_http=is_http)


def limits_in_words(limits: Thresholds, *, is_http: bool) -> list[str]:
    """Those below Istio's own, which is no limit."""
    named = [("connection", "connections", limits.max_connections)]
    if is_http:
        named += [
            ("waiting request", "waiting requests", limits.max_pending_requests),
            ("request at once", "requests at once", limits.max_requests),
            ("retry at once", "retries at once", limits.max_retries),
        ]
    return [f"{limit} {one if limit == 1 else many}" for one, many, limit in named if _is_set(limit)]


def _is_set(limit: int | None) -> bool:
    return limit is not None and limit < UNLIMITED


def _beyond(limits: Thresholds, *, is_http: bool) -> str:
    if not is_http:
        return "one more is accepted, then reset: flag UO"
    if _is_set(limits.max_pending_requests) or _is_set(limits.max_requests):
        return "one request more: 503 with flag UO"
    if _is_set(limits.max_connections):
        return "further requests wait for one of them"
    return "what is not tried again for that has flag UO"


def _ejection(cluster: Cluster, outlier: OutlierDetection, *, is_http: bool) -> Step:
    endpoint_count = _endpoint_count(cluster)
    base = _seconds(outlier.base_ejection_time, ENVOY_EJECTION_SECONDS)
    percent = outlier.max_ejection_percent
    percent = ENVOY_EJECTION_PERCENT if percent is None else percent
    causes = " or ".join(_causes(outlier, is_http=is_http))
    lines = tuple(each for each in cluster.because if each.what == "outlier detection")
    if not causes:
        return Step(kind="ejection", found="no endpoint is ever left out: no kind of failure counts", because=lines)
    most = f"at most {percent}% of the endpoints"
    if endpoint_count and endpoint_count * percent < 100:
        most += f", of {endpoint_count} that is none"
    common = cluster.common_lb_config
    threshold = common.healthy_panic_threshold if common is not None else None
    least = DEFAULT_PANIC_THRESHOLD if threshold is None else threshold.value
    all_out = "503 with flag UH" if is_http else "the connection is reset, flag UH"
    return Step(
        kind="ejection",
        found=f"an endpoint is left out for {base:g}s after {causes}; longer each time; {most}",
        reason=f"with fewer than {least:g}% left all are used" if least else f"with all of them out: {all_out}",
        because=lines,
    )


def _causes(outlier: OutlierDetection, *, is_http: bool) -> Iterator[str]:
    """Without a split, what fails before an answer counts as a gateway error; TCP knows nothing else."""
    splits = outlier.split_external_local_origin_errors
    errors = _count(outlier.consecutive_5xx) if outlier.enforcing_consecutive_5xx != 0 else None
    gateway = outlier.enforcing_consecutive_gateway_failure
    gateway_errors = _count(outlier.consecutive_gateway_failure) if gateway else None
    if is_http:
        if errors is not None:
            yield f"{errors} answers 5xx{'' if splits else ' or failures'} in a row"
        if gateway_errors is not None:
            yield f"{gateway_errors} answers 502, 503 or 504 in a row"
    elif not splits:
        counts = [count for count in (errors, gateway_errors) if count is not None]
        if counts:
            yield f"{min(counts)} failed connections in a row"
    if splits and outlier.enforcing_consecutive_local_origin_failure != 0:
        yield f"{_count(outlier.consecutive_local_origin_failure)} failed connections in a row"


def _count(value: int | None) -> int:
    return ENVOY_CONSECUTIVE if value is None else value


def _seconds(value: timedelta | None, default: int) -> float:
    return default if value is None else value.total_seconds()


def flags_if_refused(retry: RetryPolicy | None) -> tuple[str, ...]:
    """The response flags where every try is refused."""
    state, tries = _tries(retry)
    is_retried = tries > 1 and state.wants_reset(Reset.REMOTE_CONNECTION_FAILURE, request_started=False)
    return ("URX", "UF") if is_retried else ("UF",)


def repeats_timeouts(retry: RetryPolicy) -> bool:
    """Whether a try that is cut off after its request went out is made again."""
    return _tries(retry)[0].wants_reset(Reset.LOCAL_RESET, request_started=True)


def _tries(retry: RetryPolicy | None) -> tuple[RetryState, int]:
    words = RetryRules.words_of(retry.retry_on) if retry is not None else frozenset[str]()
    tries = 1 if retry is None else 1 + (1 if retry.num_retries is None else retry.num_retries)
    codes = frozenset(retry.retriable_status_codes) if retry is not None else frozenset[int]()
    return RetryState(RetryRules(words, frozenset(), codes, tries - 1, 0.0, 0.0, 0.0)), tries


def failure_notes(retry: RetryPolicy | None, clusters: Sequence[Cluster]) -> tuple[str, ...]:
    """What a refused connection and an answer 503 come to under a route's retry policy, at each of its clusters."""
    found = {cluster.name: _failure_notes(retry, cluster) for cluster in clusters}
    first, *others = found.values()
    if all(each == first for each in others):
        return first
    return tuple(f"{name}: {note}" for name, notes in found.items() for note in notes)


def _failure_notes(retry: RetryPolicy | None, cluster: Cluster) -> tuple[str, ...]:
    state, tries = _tries(retry)
    refused = "503 with flag UF if the connection is refused"
    answered = "a 503 of the upstream is passed on as it is"
    if "URX" in flags_if_refused(retry):
        out = _tries_until_out(cluster, is_refused=True)
        refused = f"503 with flags URX,UF if the connection is refused {_times(tries)}"
        if out.comes_before(tries):
            refused = f"503 with flag UH if the connection is refused {_times(out.tries)}: no endpoint is left then"
        refused += out.perhaps_before(tries)
    if tries > 1 and state.wants_status(_SERVER_ERROR):
        out = _tries_until_out(cluster, is_refused=False)
        answered = f"a 503 of the upstream is tried again; after {tries} it is passed on with flag URX"
        if out.comes_before(tries):
            answered = f"a 503 of the upstream is tried again; after {out.tries} no endpoint is left: 503 with flag UH"
        answered += out.perhaps_before(tries)
    return refused, answered


@dataclass(frozen=True, slots=True)
class _AllOut:
    """How many tries that fail alike put the last endpoint out; none where that never happens."""

    tries: int = 0
    is_certain: bool = False
    """Else only DNS, or the call, knows how many endpoints there are, and it would be one."""

    def comes_before(self, last_try: int) -> bool:
        return self.is_certain and 0 < self.tries < last_try

    def perhaps_before(self, last_try: int) -> str:
        is_possible = not self.is_certain and 0 < self.tries < last_try
        return "; with flag UH once no endpoint is left" if is_possible else ""


def _tries_until_out(cluster: Cluster, *, is_refused: bool) -> _AllOut:
    """An endpoint that is ejected is tried no more, even by the retries of the call that ejected it."""
    outlier = cluster.outlier_detection
    common = cluster.common_lb_config
    panic = common.healthy_panic_threshold if common is not None else None
    if outlier is None or outlier.max_ejection_percent != ALL or panic is None or panic.value:
        return _AllOut()
    failures = min(_failures_until_ejected(outlier, is_refused=is_refused), default=0)
    count = _endpoint_count(cluster)
    return _AllOut(failures * (count or 1), is_certain=count > 0)


def _failures_until_ejected(outlier: OutlierDetection, *, is_refused: bool) -> list[int]:
    """Without a split, a refused connection counts as an answer 503 (Envoy's outlier detector)."""
    if is_refused and outlier.split_external_local_origin_errors:
        enforced = outlier.enforcing_consecutive_local_origin_failure != 0
        return [_count(outlier.consecutive_local_origin_failure)] if enforced else []
    counts = [_count(outlier.consecutive_5xx)] if outlier.enforcing_consecutive_5xx != 0 else []
    if outlier.enforcing_consecutive_gateway_failure:
        counts.append(_count(outlier.consecutive_gateway_failure))
    return counts


def _endpoint_count(cluster: Cluster) -> int:
    """0 where only DNS or the call knows."""
    if cluster.type in ("STRICT_DNS", "ORIGINAL_DST") or cluster.cluster_type is not None:
        return 0
    return sum(len(group.lb_endpoints) for group in used_endpoints(cluster))


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
