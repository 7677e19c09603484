"""Routes made ready for traffic: everything a route says, compiled once, so that a request only reads it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sandbox.match.hash_policy import compile_hash_policy, made_cookie
from sandbox.match.regex import compile_rewrite
from sandbox.plan import filter_names
from sandbox.plan.http_connection_manager import HTTPFault
from sandbox.plan.route import (
    CorsPolicy,
    DirectResponseAction,
    PreviousHostsPredicate,
    PreviousPrioritiesConfig,
    RedirectAction,
    RouteAction,
)
from sandbox.proxy.http_cors import Cors
from sandbox.proxy.http_faults import Fault
from sandbox.proxy.http_header_mutation import HeaderMutations, compile_mutations
from sandbox.proxy.http_redirect import Redirect, matched_part
from sandbox.proxy.http_transport import has_fixed_transport
from sandbox.wire.http_asked_retries import NO_POLICY, RETRY_FIELDS, TIMEOUT_FIELD
from sandbox.wire.http_retries import NO_STATUS, RetryRules

if TYPE_CHECKING:
    import random

    from sandbox.access_log.operator import LogEnvironment
    from sandbox.plan.base import DataSource
    from sandbox.plan.http_connection_manager import HttpConnectionManager
    from sandbox.plan.route import (
        ClusterWeight,
        HashPolicy,
        RequestMirrorPolicy,
        RetryPolicy,
        Route,
        RouteConfiguration,
        VirtualHost,
    )
    from sandbox.proxy.cluster_manager import ClusterManager
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.wire.http_message import Header

DEFAULT_ROUTE_TIMEOUT = 15.0


def seconds(duration: timedelta | None, default: float = 0.0) -> float:
    """A plan's duration in seconds."""
    return default if duration is None else duration.total_seconds()


class Target:
    """One cluster that a route may send to, with what goes with the choice."""

    __slots__ = (
        "changes_requests",
        "cluster",
        "has_fixed_transport",
        "host_rewrite",
        "name",
        "request_mutations",
        "response_mutations",
    )

    def __init__(self, name: str, owner: RouteOwner, weight: ClusterWeight | None = None) -> None:
        self.name = name
        self.cluster: ClusterRuntime | None = owner.clusters.get(name)
        self.has_fixed_transport = self.cluster is not None and has_fixed_transport(self.cluster)
        """Whether connections of all requests are alike (see ``transport_options``)."""
        self.host_rewrite: bytes | None = None
        self.request_mutations: HeaderMutations | None = None
        self.response_mutations: HeaderMutations | None = None
        if weight is not None:
            if weight.host_rewrite_literal:
                self.host_rewrite = weight.host_rewrite_literal.encode()
            self.request_mutations = compile_mutations(
                weight.request_headers_to_add, weight.request_headers_to_remove, owner.environment
            )
            self.response_mutations = compile_mutations(
                weight.response_headers_to_add, weight.response_headers_to_remove, owner.environment
            )
        self.changes_requests = self.request_mutations is not None or self.host_rewrite is not None


class Mirror:
    """One mirror of a route."""

    __slots__ = ("keep_host", "share", "target")

    def __init__(self, plan: RequestMirrorPolicy, owner: RouteOwner) -> None:
        self.target = Target(plan.cluster, owner)
        fraction = plan.runtime_fraction.default_value if plan.runtime_fraction is not None else None
        self.share = 1.0 if fraction is None else fraction.share
        self.keep_host = plan.disable_shadow_host_suffix_append


class RouteRuntime:
    """A route of the plan at work."""

    __slots__ = (
        "append_forwarded_host",
        "asked_retry",
        "attempt_count",
        "auto_host_rewrite",
        "balances_by_request",
        "changes_requests",
        "changes_responses",
        "cors",
        "decoration",
        "direct",
        "fault",
        "has_stream_timers",
        "has_timeouts",
        "hash_cookies",
        "hash_policy",
        "host_rewrite",
        "idle_timeout",
        "is_forwarding",
        "lowest_retried_status",
        "max_grpc_timeout",
        "max_stream_duration",
        "mirrors",
        "only_target",
        "per_try_timeout",
        "plan",
        "prefix_rewrite",
        "redirect",
        "regex_rewrite",
        "request_mutations",
        "response_mutations",
        "retry",
        "timeout",
        "total_weight",
        "virtual_host",
        "weighted",
    )

    def __init__(self, owner: RouteOwner, virtual_host: VirtualHost, route: Route) -> None:
        self.plan = route
        self.virtual_host = virtual_host
        self.attempt_count = virtual_host.include_request_attempt_count
        self.decoration: Header | None = None
        """The header that names the operation for the trace."""
        if route.decorator is not None and owner.traces:
            self.decoration = b"x-envoy-decorator-operation", route.decorator.operation.encode()
        self.request_mutations = tuple(
            mutations
            for mutations in (
                compile_mutations(route.request_headers_to_add, route.request_headers_to_remove, owner.environment),
                compile_mutations(owner.configuration.request_headers_to_add, (), owner.environment),
            )
            if mutations is not None
        )
        self.response_mutations = compile_mutations(
            route.response_headers_to_add, route.response_headers_to_remove, owner.environment
        )
        per_filter = {**(virtual_host.typed_per_filter_config or {}), **(route.typed_per_filter_config or {})}
        fault, cors = per_filter.get(filter_names.FAULT, owner.fault), per_filter.get(filter_names.CORS)
        self.fault = Fault(fault) if isinstance(fault, HTTPFault) and (fault.delay or fault.abort) else None
        action = route.action
        is_forwarding = isinstance(action, RouteAction)  # Envoy's CORS filter looks at routes that forward only
        self.cors = Cors(cors) if isinstance(cors, CorsPolicy) and owner.has_cors and is_forwarding else None
        self.redirect = Redirect(action, route.match) if isinstance(action, RedirectAction) else None
        self.direct: tuple[int, bytes] | None = None
        if isinstance(action, DirectResponseAction):
            self.direct = action.status, _body(action.body)
        self.is_forwarding = isinstance(action, RouteAction)
        self._forwarding(action if isinstance(action, RouteAction) else RouteAction(), owner)

    def _forwarding(self, action: RouteAction, owner: RouteOwner) -> None:
        self.timeout = seconds(action.timeout, DEFAULT_ROUTE_TIMEOUT)
        self.idle_timeout = None if action.idle_timeout is None else seconds(action.idle_timeout)
        duration = action.max_stream_duration
        self.max_stream_duration = (
            None if duration is None or duration.max_stream_duration is None else seconds(duration.max_stream_duration)
        )
        grpc_maximum = duration.grpc_timeout_header_max if duration is not None else None
        grpc_maximum = action.max_grpc_timeout if grpc_maximum is None else grpc_maximum
        self.has_stream_timers = self.idle_timeout is not None or self.max_stream_duration is not None
        self.max_grpc_timeout = None if grpc_maximum is None else seconds(grpc_maximum)
        self.retry = retry_rules(action.retry_policy)
        self.asked_retry: RetryRules | None = None
        """The policy, for routes whose header operations may ask for more (see ``http_asked_retries``)."""
        self.lowest_retried_status = NO_STATUS if self.retry is None else self.retry.lowest_status
        per_try = seconds(action.retry_policy.per_try_timeout) if action.retry_policy is not None else 0.0
        self.per_try_timeout = 0.0 if 0 < self.timeout <= per_try else per_try
        self.has_timeouts = self.timeout > 0 or self.per_try_timeout > 0
        self.prefix_rewrite = action.prefix_rewrite.encode() or None
        self.regex_rewrite = compile_rewrite(action.regex_rewrite) if action.regex_rewrite is not None else None
        self.host_rewrite = action.host_rewrite_literal.encode() if action.host_rewrite_literal else None
        self.auto_host_rewrite = bool(action.auto_host_rewrite)
        self.append_forwarded_host = action.append_x_forwarded_host
        self.mirrors = tuple(Mirror(mirror, owner) for mirror in action.request_mirror_policies)
        self.hash_policy = compile_hash_policy(action.hash_policy)
        self.hash_cookies = tuple(
            policy for policy in action.hash_policy if policy.cookie is not None and policy.cookie.ttl is not None
        )
        weights = action.weighted_clusters.clusters if action.weighted_clusters is not None else ()
        if weights:
            self.weighted = tuple((weight.weight or 0, Target(weight.name, owner, weight)) for weight in weights)
        else:
            self.weighted = ((1, Target(action.cluster or "", owner)),)
        self.total_weight = sum(weight for weight, _ in self.weighted)
        targets = [target for _, target in self.weighted]
        self.only_target = targets[0] if len(targets) == 1 else None
        self._look_ahead(targets, action.retry_policy)

    def _look_ahead(self, targets: list[Target], policy: RetryPolicy | None) -> None:
        """What no request has to ask any more."""
        self.changes_requests = bool(
            self.request_mutations or self.host_rewrite or self.prefix_rewrite or self.regex_rewrite
        ) or any(target.changes_requests for target in targets)
        """Whether more than the count of attempts is written into requests."""
        mutations = (*self.request_mutations, *(target.request_mutations for target in targets))
        written = {name for each in mutations if each is not None for name in each.written}
        if not written.isdisjoint(RETRY_FIELDS | {TIMEOUT_FIELD}):
            self.asked_retry = NO_POLICY if policy is None else _read_policy(policy)
        self.changes_responses = self.response_mutations is not None or any(
            target.response_mutations is not None for target in targets
        )
        self.balances_by_request = (
            self.hash_policy is not None
            or (self.retry is not None and self.retry.priority_update_frequency > 0)
            or any(target.cluster is not None and target.cluster.plan.type == "ORIGINAL_DST" for target in targets)
        )
        """Whether the host of a first try depends on the request."""

    def choose_target(self, random: random.Random) -> Target:
        """The cluster for one request; one draw where there are several."""
        if self.only_target is not None:
            return self.only_target
        place = random.randrange(self.total_weight) if self.total_weight else 0
        for weight, target in self.weighted:
            if place < weight:
                return target
            place -= weight
        return self.weighted[-1][1]

    def rewritten_path(self, path: bytes) -> bytes | None:
        """The new path with its query, or ``None`` where the route rewrites nothing."""
        if self.prefix_rewrite is None and self.regex_rewrite is None:
            return None
        bare, question, query = path.partition(b"?")
        if self.prefix_rewrite is not None:
            rewritten = self.prefix_rewrite + bare[len(matched_part(self.plan.match, bare)) :]
        else:
            assert self.regex_rewrite is not None
            rewritten = self.regex_rewrite(bare)
        return rewritten + question + query


class RouteOwner:
    """What routes need while they are compiled: their configuration, the clusters, the filters around them."""

    __slots__ = ("clusters", "configuration", "environment", "fault", "has_cors", "traces")

    def __init__(
        self,
        manager: HttpConnectionManager,
        configuration: RouteConfiguration,
        clusters: ClusterManager,
        environment: LogEnvironment,
    ) -> None:
        self.configuration = configuration
        self.clusters = clusters
        self.environment = environment
        filters = {each.name: each.typed_config for each in manager.http_filters}
        fault = filters.get(filter_names.FAULT)
        self.fault = fault if isinstance(fault, HTTPFault) else None
        self.has_cors = filter_names.CORS in filters
        self.traces = manager.tracing is not None


def retry_rules(policy: RetryPolicy | None) -> RetryRules | None:
    """The policy read once; ``None`` where nothing is ever retried."""
    rules = None if policy is None else _read_policy(policy)
    return rules if rules is not None and rules.words else None


def _read_policy(policy: RetryPolicy) -> RetryRules:
    words = RetryRules.words_of(policy.retry_on)
    back_off = policy.retry_back_off
    base = max(seconds(back_off.base_interval if back_off is not None else None, 0.025), 0.001)
    predicates = [type(each.typed_config) for each in policy.retry_host_predicate]
    return RetryRules(
        words=words,
        grpc_codes=RetryRules.grpc_codes_of(words),
        status_codes=frozenset(policy.retriable_status_codes),
        retries=1 if policy.num_retries is None else policy.num_retries,
        per_try_timeout=seconds(policy.per_try_timeout),
        base_interval=base,
        max_interval=seconds(back_off.max_interval if back_off is not None else None, base * 10),
        avoid_previous_hosts=PreviousHostsPredicate in predicates,
        host_attempts=policy.host_selection_retry_max_attempts or 1,
        priority_update_frequency=_priority_update_frequency(policy),
    )


def _priority_update_frequency(policy: RetryPolicy) -> int:
    config = policy.retry_priority.typed_config if policy.retry_priority is not None else None
    return config.update_frequency or 0 if isinstance(config, PreviousPrioritiesConfig) else 0


def hash_cookie(policies: tuple[HashPolicy, ...], client: str, local: str) -> list[tuple[bytes, bytes, bytes]]:
    """Cookies that the proxy makes: name, value, ``set-cookie`` text."""
    return [
        (policy.cookie.name.encode(), *made_cookie(policy.cookie, client, local))
        for policy in policies
        if policy.cookie is not None
    ]


def _body(source: DataSource | None) -> bytes:
    if source is None:
        return b""
    if source.inline_bytes is not None:
        return source.inline_bytes
    return (source.inline_string or "").encode()
