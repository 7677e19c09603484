"""Route configurations, virtual hosts and routes (``envoy.config.route.v3``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.base import (
    DataSource,
    Extension,
    HeaderMatcher,
    HeaderValueOption,
    Metadata,
    RegexMatcher,
    RuntimeFractionalPercent,
    StringMatcher,
)
from sandbox.plan.because import Because, because_field
from sandbox.plan.rbac import MetadataMatcher


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryParameterMatcher:
    """``QueryParameterMatcher``."""

    name: str = ""
    string_match: StringMatcher | None = None
    present_match: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMatch:
    """``RouteMatch``: one of ``prefix``, ``path``, ``safe_regex``, ``path_separated_prefix``."""

    prefix: str | None = None
    path: str | None = None
    safe_regex: RegexMatcher | None = None
    path_separated_prefix: str | None = None
    case_sensitive: bool | None = None
    headers: tuple[HeaderMatcher, ...] = ()
    query_parameters: tuple[QueryParameterMatcher, ...] = ()
    dynamic_metadata: tuple[MetadataMatcher, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterWeight:
    """``WeightedCluster.ClusterWeight``."""

    name: str = ""
    weight: int | None = None
    request_headers_to_add: tuple[HeaderValueOption, ...] = ()
    request_headers_to_remove: tuple[str, ...] = ()
    response_headers_to_add: tuple[HeaderValueOption, ...] = ()
    response_headers_to_remove: tuple[str, ...] = ()
    host_rewrite_literal: str | None = None
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedCluster:
    """``WeightedCluster``."""

    clusters: tuple[ClusterWeight, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexMatchAndSubstitute:
    """``envoy.type.matcher.v3.RegexMatchAndSubstitute``; ``\\1`` refers to a group."""

    pattern: RegexMatcher | None = None
    substitution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMirrorPolicy:
    """``RouteAction.RequestMirrorPolicy``."""

    cluster: str = ""
    runtime_fraction: RuntimeFractionalPercent | None = None
    trace_sampled: bool | None = None
    disable_shadow_host_suffix_append: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HashPolicyHeader:
    """``RouteAction.HashPolicy.Header``."""

    header_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieAttribute:
    """``RouteAction.HashPolicy.CookieAttribute``."""

    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashPolicyCookie:
    """``RouteAction.HashPolicy.Cookie``: ``ttl`` present means the proxy makes the cookie."""

    name: str = ""
    ttl: timedelta | None = None
    path: str = ""
    attributes: tuple[CookieAttribute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HashPolicyConnectionProperties:
    """``RouteAction.HashPolicy.ConnectionProperties``."""

    source_ip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HashPolicyQueryParameter:
    """``RouteAction.HashPolicy.QueryParameter``."""

    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashPolicy:
    """``RouteAction.HashPolicy``: exactly one is set."""

    header: HashPolicyHeader | None = None
    cookie: HashPolicyCookie | None = None
    connection_properties: HashPolicyConnectionProperties | None = None
    query_parameter: HashPolicyQueryParameter | None = None
    terminal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBackOff:
    """``RetryPolicy.RetryBackOff``."""

    base_interval: timedelta | None = None
    max_interval: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousHostsPredicate(Extension):
    """``envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate``."""

    TYPE: ClassVar[str] = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousPrioritiesConfig(Extension):
    """``envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig``."""

    TYPE: ClassVar[str] = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"

    update_frequency: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlugin:
    """``RetryPolicy.RetryHostPredicate`` and ``RetryPolicy.RetryPriority``."""

    name: str = ""
    typed_config: Extension | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """``RetryPolicy``; ``retry_on`` is Envoy's comma-separated set of words."""

    retry_on: str = ""
    num_retries: int | None = None
    per_try_timeout: timedelta | None = None
    retry_priority: RetryPlugin | None = None
    retry_host_predicate: tuple[RetryPlugin, ...] = ()
    host_selection_retry_max_attempts: int = 0
    retriable_status_codes: tuple[int, ...] = ()
    retry_back_off: RetryBackOff | None = None
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxStreamDuration:
    """``RouteAction.MaxStreamDuration``."""

    max_stream_duration: timedelta | None = None
    grpc_timeout_header_max: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAction:
    """``RouteAction``: ``cluster``, ``weighted_clusters`` or ``cluster_header``."""

    ONEOF: ClassVar[str] = "route"

    cluster: str | None = None
    weighted_clusters: WeightedCluster | None = None
    cluster_header: str | None = None
    prefix_rewrite: str = ""
    regex_rewrite: RegexMatchAndSubstitute | None = None
    host_rewrite_literal: str | None = None
    auto_host_rewrite: bool | None = None
    append_x_forwarded_host: bool = False
    timeout: timedelta | None = None
    idle_timeout: timedelta | None = None
    retry_policy: RetryPolicy | None = None
    request_mirror_policies: tuple[RequestMirrorPolicy, ...] = ()
    hash_policy: tuple[HashPolicy, ...] = ()
    max_grpc_timeout: timedelta | None = None
    max_stream_duration: MaxStreamDuration | None = None

    @property
    def cluster_names(self) -> tuple[str, ...]:
        """The clusters that may be chosen; none where a header says which."""
        if self.weighted_clusters is not None:
            return tuple(part.name for part in self.weighted_clusters.clusters)
        return (self.cluster,) if self.cluster else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectAction:
    """``RedirectAction``.

    ``response_code`` is MOVED_PERMANENTLY, FOUND, SEE_OTHER, TEMPORARY_REDIRECT or PERMANENT_REDIRECT.
    """

    ONEOF: ClassVar[str] = "redirect"

    https_redirect: bool | None = None
    scheme_redirect: str | None = None
    host_redirect: str = ""
    port_redirect: int = 0
    path_redirect: str | None = None
    prefix_rewrite: str | None = None
    regex_rewrite: RegexMatchAndSubstitute | None = None
    response_code: str = "MOVED_PERMANENTLY"
    strip_query: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectResponseAction:
    """``DirectResponseAction``."""

    ONEOF: ClassVar[str] = "direct_response"

    status: int = 0
    body: DataSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NonForwardingAction:
    """``NonForwardingAction``."""

    ONEOF: ClassVar[str] = "non_forwarding_action"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decorator:
    """``Decorator``: becomes ``x-envoy-decorator-operation``."""

    operation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy(Extension):
    """``envoy.extensions.filters.http.cors.v3.CorsPolicy``."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.http.cors.v3.CorsPolicy"

    allow_origin_string_match: tuple[StringMatcher, ...] = ()
    allow_methods: str = ""
    allow_headers: str = ""
    expose_headers: str = ""
    max_age: str = ""
    allow_credentials: bool | None = None
    filter_enabled: RuntimeFractionalPercent | None = None
    forward_not_matching_preflights: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """``Route``."""

    name: str = ""
    match: RouteMatch | None = None
    action: RouteAction | RedirectAction | DirectResponseAction | NonForwardingAction | None = None
    metadata: Metadata | None = None
    decorator: Decorator | None = None
    typed_per_filter_config: Mapping[str, Extension] | None = None
    request_headers_to_add: tuple[HeaderValueOption, ...] = ()
    request_headers_to_remove: tuple[str, ...] = ()
    response_headers_to_add: tuple[HeaderValueOption, ...] = ()
    response_headers_to_remove: tuple[str, ...] = ()
    stat_prefix: str = ""
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualHost:
    """``VirtualHost``; ``require_tls`` is NONE, EXTERNAL_ONLY or ALL."""

    name: str = ""
    domains: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    require_tls: str = "NONE"
    include_request_attempt_count: bool = False
    typed_per_filter_config: Mapping[str, Extension] | None = None
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConfiguration:
    """``RouteConfiguration``."""

    name: str = ""
    virtual_hosts: tuple[VirtualHost, ...] = ()
    validate_clusters: bool | None = None
    max_direct_response_body_size_bytes: int | None = None
    ignore_port_in_host_matching: bool = False
    request_headers_to_add: tuple[HeaderValueOption, ...] = ()
    because: tuple[Because, ...] = because_field()

    def routes(self) -> Iterator[tuple[VirtualHost, Route]]:
        """Every route, with its virtual host."""
        for host in self.virtual_hosts:
            for route in host.routes:
                yield host, route
