"""Outlier detection and the panic threshold of a cluster.

Source: Istio pilot/pkg/networking/core/cluster_traffic_policy.go (``applyOutlierDetection``,
``applyOutlierDetectionErrorCodes``).
"""

from __future__ import annotations

from sandbox.compiler.cluster_draft import ClusterDraft
from sandbox.istio.connection_pool import OutlierDetection as OutlierDetectionSettings
from sandbox.plan.base import HeaderMatcher, Percent, StringMatcher
from sandbox.plan.cluster import (
    HttpHeadersMatch,
    HttpOutlierDetection,
    MatchPredicate,
    MatchSet,
    OutlierDetection,
)

_ALWAYS = 100


def apply_outlier_detection(
    draft: ClusterDraft, settings: OutlierDetectionSettings | None, *, unhealthy_are_told: bool
) -> None:
    """Only what is set is set; success rates never count; ``unhealthy_are_told`` forbids panic mode."""
    if settings is None:
        return
    split = settings.split_external_local_origin_errors
    local_failures = settings.consecutive_local_origin_failures or None if split else None
    draft.outlier_detection = OutlierDetection(
        enforcing_success_rate=0,
        consecutive_5xx=settings.consecutive_5xx_errors,
        enforcing_consecutive_5xx=_enforcing(settings.consecutive_5xx_errors),
        consecutive_gateway_failure=settings.consecutive_gateway_errors,
        enforcing_consecutive_gateway_failure=_enforcing(settings.consecutive_gateway_errors),
        interval=settings.interval,
        base_ejection_time=settings.base_ejection_time,
        max_ejection_percent=settings.max_ejection_percent if settings.max_ejection_percent > 0 else None,
        split_external_local_origin_errors=split,
        consecutive_local_origin_failure=local_failures,
        enforcing_consecutive_local_origin_failure=_ALWAYS if local_failures else None,
        enforcing_local_origin_success_rate=0 if split else None,
    )
    if settings.min_health_percent >= 0:
        share = 0 if unhealthy_are_told else settings.min_health_percent
        draft.panic_threshold = Percent(value=float(share))
    if settings.outlier_detection_http_error_codes:
        draft.http.outlier_detection = _error_codes(settings.outlier_detection_http_error_codes)


def _enforcing(errors: int | None) -> int | None:
    if errors is None:
        return None
    return _ALWAYS if errors > 0 else 0


def _error_codes(codes: tuple[int, ...]) -> HttpOutlierDetection:
    """Only these statuses count as errors."""
    rules = tuple(
        MatchPredicate(
            http_response_headers_match=HttpHeadersMatch(
                headers=(HeaderMatcher(name=":status", string_match=StringMatcher(exact=str(code))),)
            )
        )
        for code in codes
    )
    matcher = rules[0] if len(rules) == 1 else MatchPredicate(or_match=MatchSet(rules=rules))
    return HttpOutlierDetection(error_matcher=matcher)
