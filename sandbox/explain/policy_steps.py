"""What a route does besides choosing a cluster: timeouts, retries, rewrites, headers, mirrors, CORS, what it hashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from sandbox.explain.call import Call
from sandbox.explain.failure_steps import repeats_timeouts
from sandbox.explain.steps import Outcome, Step
from sandbox.match.string_match import compile_string_matcher
from sandbox.plan import NodePlan
from sandbox.plan.base import HeaderValueOption
from sandbox.plan.because import Because
from sandbox.plan.route import (
    CorsPolicy,
    HashPolicy,
    RequestMirrorPolicy,
    RetryPolicy,
    Route,
    RouteAction,
)

_POLICY_WORDS: Final = frozenset(
    {"timeout", "retries", "no retries", "rewrite", "headers", "mirror", "mirrors", "CORS policy", "hash policy"}
)
NOT_OF_MATCH: Final = _POLICY_WORDS | {"fault"}
"""What lines of a route decide that have no part in its match."""
_APPEND: Final = "APPEND_IF_EXISTS_OR_ADD"
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""RFC 9110, section 9.2.2."""


def policy_step(plan: NodePlan, call: Call, action: RouteAction, route: Route) -> Step:
    """All of it, with the lines that decide."""
    told = [f"timeout {seconds_text(action.timeout)}" if action.timeout else "no timeout"]
    because: list[Because] = [each for each in route.because if each.what in _POLICY_WORDS]
    retry = action.retry_policy
    notes: tuple[str, ...] = ()
    if retry is not None and retry.num_retries:
        told.append(retries_in_words(retry))
        because += [each for each in retry.because if each not in because]
        if call.method not in _REPEATABLE and repeats_timeouts(retry):
            notes = (f"a {call.method} is sent again, too, also when the server may have acted on it",)
    else:
        told.append("no retries")
    told += _changes(action, route)
    told += [_mirror(plan, mirror) for mirror in action.request_mirror_policies]
    if action.hash_policy:
        told.append(f"hashed by {', '.join(map(_hashed, action.hash_policy))}")
    cors = _cors(route)
    if cors is not None:
        told.append(f"CORS for {_origins(cors)}")
    return Step(kind="policy", found=", ".join(told), because=tuple(because), notes=notes)


def retries_in_words(retry: RetryPolicy) -> str:
    """How many, on what, how long each may take, how long is waited in between."""
    codes = [str(code) for code in retry.retriable_status_codes]
    words = [word for word in retry.retry_on.split(",") if word and word != "retriable-status-codes"]
    told = f"{retry.num_retries} {'retry' if retry.num_retries == 1 else 'retries'} on {', '.join(words + codes)}"
    if retry.per_try_timeout:
        told += f", {seconds_text(retry.per_try_timeout)} for each try"
    if retry.retry_back_off is not None and retry.retry_back_off.base_interval is not None:
        told += f", back-off from {seconds_text(retry.retry_back_off.base_interval)}"
    if retry.retry_priority is not None:
        told += ", at endpoints of other localities, too"
    return told


def timeout_notes(action: RouteAction) -> Iterator[str]:
    """What a slow upstream comes to."""
    retry = action.retry_policy
    one = retry.per_try_timeout if retry is not None else None
    if one and retry is not None and not (action.timeout and action.timeout <= one):
        yield _per_try_note(retry, one)
    if action.timeout:
        yield f"504 with flag UT if the answer takes longer than {seconds_text(action.timeout)}"


def _per_try_note(retry: RetryPolicy, one: timedelta) -> str:
    tries = 1 + (retry.num_retries or 0)
    if tries > 1 and repeats_timeouts(retry):
        return f"a try that takes longer than {seconds_text(one)} is repeated; after {tries} 504 with flags URX,UT"
    return f"504 with flag UT if a try takes longer than {seconds_text(one)}"


def preflight_answer(call: Call, route: Route) -> Outcome | None:
    """The proxy's own answer to a preflight whose origin the route's CORS policy allows, or does not pass on."""
    cors = _cors(route)
    headers = {name.lower(): value for name, value in call.headers}
    origin, method = headers.get("origin"), headers.get("access-control-request-method")
    if cors is None or call.method != "OPTIONS" or not origin or not method:
        return None
    matchers = [compile_string_matcher(each) for each in cors.allow_origin_string_match]
    is_allowed = any(matches(origin.encode()) or matches(b"*") for matches in matchers)
    if not is_allowed and cors.forward_not_matching_preflights is not False:
        return None
    words = f"allows the origin {origin}" if is_allowed else f"does not name the origin {origin}"
    return Outcome(status=200, sentence=f"the proxy itself answers the preflight, and {words}")


def share_text(percentage: object) -> str:
    """`` 10% of requests``; nothing where it is all of them."""
    share = getattr(percentage, "share", 1.0)
    return "" if share >= 1 else f" {share * 100:g}% of requests"


def seconds_text(duration: timedelta | None) -> str:
    """``0.2s``."""
    return "0s" if duration is None else f"{duration.total_seconds():g}s"


def _changes(action: RouteAction, route: Route) -> Iterator[str]:
    if action.host_rewrite_literal is not None:
        yield f"host becomes {action.host_rewrite_literal}"
    if action.prefix_rewrite:
        yield f"path prefix becomes {action.prefix_rewrite}"
    if action.regex_rewrite is not None:
        yield f"path is rewritten to {action.regex_rewrite.substitution}"
    parts = action.weighted_clusters.clusters if action.weighted_clusters is not None else ()
    yield from _header_changes("request", route.request_headers_to_add, route.request_headers_to_remove)
    yield from _header_changes("response", route.response_headers_to_add, route.response_headers_to_remove)
    for part in parts:
        changes = [
            *_header_changes("request", part.request_headers_to_add, part.request_headers_to_remove),
            *_header_changes("response", part.response_headers_to_add, part.response_headers_to_remove),
        ]
        yield from (f"{change} (to {part.name})" for change in changes)


def _header_changes(of: str, added: Sequence[HeaderValueOption], removed: Sequence[str]) -> Iterator[str]:
    names = [
        f"{each.header.key} {'added' if each.append_action == _APPEND else 'set'}"
        for each in added
        if each.header is not None
    ]
    names += [f"{name} removed" for name in removed]
    if names:
        yield f"{of} header {', '.join(names)}"


def _mirror(plan: NodePlan, mirror: RequestMirrorPolicy) -> str:
    fraction = mirror.runtime_fraction.default_value if mirror.runtime_fraction is not None else None
    share = share_text(fraction).removesuffix(" of requests") if fraction is not None else ""
    lost = "" if mirror.cluster in plan.clusters else " (there is no such cluster: nothing is sent)"
    return f"{share} mirrored to {mirror.cluster}{lost}".lstrip()


def _hashed(policy: HashPolicy) -> str:
    if policy.header is not None:
        return f"header {policy.header.header_name}"
    if policy.cookie is not None:
        return f"cookie {policy.cookie.name}"
    if policy.query_parameter is not None:
        return f"query parameter {policy.query_parameter.name}"
    return "the client's address"


def _cors(route: Route) -> CorsPolicy | None:
    configs = (route.typed_per_filter_config or {}).values()
    return next((config for config in configs if isinstance(config, CorsPolicy)), None)


def _origins(cors: CorsPolicy) -> str:
    told = [
        each.exact or (f"{each.prefix}*" if each.prefix else "") or (each.safe_regex.regex if each.safe_regex else "")
        for each in cors.allow_origin_string_match
    ]
    return ", ".join(told) or "no origin"
