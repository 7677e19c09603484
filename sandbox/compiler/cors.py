"""Cross-origin policies of a VirtualService's rule (Istio route.go ``TranslateCORSPolicy``)."""

from __future__ import annotations

from typing import Final

from sandbox.compiler.string_matches import translate_string_match
from sandbox.istio import http_actions
from sandbox.plan.base import FractionalPercent, RuntimeFractionalPercent, StringMatcher
from sandbox.plan.route import CorsPolicy

_ALWAYS: Final = RuntimeFractionalPercent(default_value=FractionalPercent(numerator=100, denominator="HUNDRED"))


def translate_cors_policy(policy: http_actions.CorsPolicy) -> CorsPolicy:
    """Lists are joined with commas, the age is whole seconds."""
    return CorsPolicy(
        allow_origin_string_match=_origins(policy),
        allow_methods=",".join(policy.allow_methods),
        allow_headers=",".join(policy.allow_headers),
        expose_headers=",".join(policy.expose_headers),
        max_age="" if policy.max_age is None else str(int(policy.max_age.total_seconds())),
        allow_credentials=policy.allow_credentials,
        filter_enabled=_ALWAYS,
        forward_not_matching_preflights=policy.unmatched_preflights != "IGNORE",
    )


def _origins(policy: http_actions.CorsPolicy) -> tuple[StringMatcher, ...]:
    if policy.allow_origins:
        matchers = map(translate_string_match, policy.allow_origins)
        return tuple(matcher for matcher in matchers if matcher is not None)
    return tuple(StringMatcher(exact=origin) for origin in policy.allow_origin)
