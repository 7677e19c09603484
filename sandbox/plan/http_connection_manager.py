"""The HTTP connection manager and its HTTP filters (``envoy.extensions.filters``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.access_log import AccessLog
from sandbox.plan.base import DataSource, Extension, FractionalPercent, Percent, TypedExtensionConfig
from sandbox.plan.because import Because, because_field
from sandbox.plan.listener import DnsCacheConfig
from sandbox.plan.route import RouteConfiguration, RouteMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class PreserveCaseFormatterConfig(Extension):
    """``envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig``."""

    TYPE: ClassVar[str] = "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"

    forward_reason_phrase: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderKeyFormat:
    """``Http1ProtocolOptions.HeaderKeyFormat``."""

    stateful_formatter: TypedExtensionConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Http1ProtocolOptions:
    """``envoy.config.core.v3.Http1ProtocolOptions``."""

    allow_absolute_url: bool | None = None
    accept_http_10: bool = False
    default_host_for_http_10: str = ""
    header_key_format: HeaderKeyFormat | None = None
    enable_trailers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepaliveSettings:
    """``envoy.config.core.v3.KeepaliveSettings``: HTTP/2 PING."""

    interval: timedelta | None = None
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Http2ProtocolOptions:
    """``envoy.config.core.v3.Http2ProtocolOptions``."""

    max_concurrent_streams: int | None = None
    initial_stream_window_size: int | None = None
    initial_connection_window_size: int | None = None
    allow_connect: bool = False
    connection_keepalive: KeepaliveSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProtocolOptionsCommon:
    """``envoy.config.core.v3.HttpProtocolOptions``, the options that all HTTP versions share."""

    idle_timeout: timedelta | None = None
    max_connection_duration: timedelta | None = None
    max_stream_duration: timedelta | None = None
    max_headers_count: int | None = None
    max_requests_per_connection: int | None = None
    headers_with_underscores_action: str = "ALLOW"


@dataclass(frozen=True, slots=True, kw_only=True)
class UuidRequestIdConfig(Extension):
    """``envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig``."""

    TYPE: ClassVar[str] = "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig"

    pack_trace_reason: bool | None = None
    use_request_id_for_trace_sampling: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestIdExtension:
    """``RequestIDExtension``."""

    typed_config: Extension | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCurrentClientCertDetails:
    """``SetCurrentClientCertDetails``: parts of ``x-forwarded-client-cert``."""

    subject: bool | None = None
    cert: bool = False
    chain: bool = False
    dns: bool = False
    uri: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeConfig:
    """``HttpConnectionManager.UpgradeConfig``."""

    upgrade_type: str = ""
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingProvider:
    """``envoy.config.trace.v3.Tracing.Http``; exported, its own propagation headers are emulated where recorded."""

    name: str = ""
    typed_config: Extension | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """``HttpConnectionManager.Tracing``; sampling decides a digit of ``x-request-id``."""

    client_sampling: Percent | None = None
    random_sampling: Percent | None = None
    overall_sampling: Percent | None = None
    verbose: bool = False
    provider: TracingProvider | None = None
    spawn_upstream_span: bool | None = None
    no_context_propagation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rds:
    """``Rds``: which route configuration; the plan holds it by name."""

    route_config_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFilter:
    """``HttpFilter``."""

    name: str = ""
    typed_config: Extension | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConnectionManager(Extension):
    """``envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager``.

    The routes stand in ``rds`` (by name) or in ``route_config``.
    """

    TYPE: ClassVar[str] = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"

    codec_type: str = "AUTO"
    stat_prefix: str = ""
    rds: Rds | None = None
    route_config: RouteConfiguration | None = None
    http_filters: tuple[HttpFilter, ...] = ()
    tracing: Tracing | None = None
    common_http_protocol_options: HttpProtocolOptionsCommon | None = None
    http_protocol_options: Http1ProtocolOptions | None = None
    http2_protocol_options: Http2ProtocolOptions | None = None
    server_name: str = ""
    server_header_transformation: str = "OVERWRITE"
    max_request_headers_kb: int | None = None
    stream_idle_timeout: timedelta | None = None
    request_timeout: timedelta | None = None
    request_headers_timeout: timedelta | None = None
    drain_timeout: timedelta | None = None
    delayed_close_timeout: timedelta | None = None
    access_log: tuple[AccessLog, ...] = ()
    use_remote_address: bool | None = None
    xff_num_trusted_hops: int = 0
    skip_xff_append: bool = False
    append_x_forwarded_port: bool = False
    via: str = ""
    generate_request_id: bool | None = None
    preserve_external_request_id: bool = False
    always_set_request_id_in_response: bool = False
    forward_client_cert_details: str = "SANITIZE"
    set_current_client_cert_details: SetCurrentClientCertDetails | None = None
    proxy_100_continue: bool = False
    upgrade_configs: tuple[UpgradeConfig, ...] = ()
    normalize_path: bool | None = None
    merge_slashes: bool = False
    path_with_escaped_slashes_action: str = "IMPLEMENTATION_SPECIFIC_DEFAULT"
    request_id_extension: RequestIdExtension | None = None
    because: tuple[Because, ...] = because_field()


# --- HTTP filters ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Router(Extension):
    """``envoy.extensions.filters.http.router.v3.Router``."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.http.router.v3.Router"

    suppress_envoy_headers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors(Extension):
    """``envoy.extensions.filters.http.cors.v3.Cors``: the policy stands at the route."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.http.cors.v3.Cors"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcWeb(Extension):
    """``envoy.extensions.filters.http.grpc_web.v3.GrpcWeb``."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultDelay:
    """``envoy.extensions.filters.common.fault.v3.FaultDelay``."""

    fixed_delay: timedelta | None = None
    percentage: FractionalPercent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAbort:
    """``FaultAbort``: ``http_status`` or ``grpc_status``."""

    http_status: int | None = None
    grpc_status: int | None = None
    percentage: FractionalPercent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPFault(Extension):
    """``envoy.extensions.filters.http.fault.v3.HTTPFault``."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.http.fault.v3.HTTPFault"

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicForwardProxyFilter(Extension):
    """``envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig``."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig"

    dns_cache_config: DnsCacheConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtHeader:
    """``envoy.extensions.filters.http.jwt_authn.v3.JwtHeader``."""

    name: str = ""
    value_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizePayload:
    """``JwtProvider.NormalizePayload``."""

    space_delimited_claims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimToHeader:
    """``JwtClaimToHeader``."""

    header_name: str = ""
    claim_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtProvider:
    """``envoy.extensions.filters.http.jwt_authn.v3.JwtProvider``."""

    issuer: str = ""
    audiences: tuple[str, ...] = ()
    local_jwks: DataSource | None = None
    forward: bool = False
    forward_payload_header: str = ""
    from_headers: tuple[JwtHeader, ...] = ()
    from_params: tuple[str, ...] = ()
    from_cookies: tuple[str, ...] = ()
    payload_in_metadata: str = ""
    normalize_payload_in_metadata: NormalizePayload | None = None
    claim_to_headers: tuple[ClaimToHeader, ...] = ()
    clear_route_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtRequirementAllow:
    """An empty message (``allow_missing``, ``allow_missing_or_failed``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtRequirementList:
    """``JwtRequirementOrList`` and ``JwtRequirementAndList``."""

    requirements: tuple[JwtRequirement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtRequirement:
    """``JwtRequirement``: exactly one is set."""

    provider_name: str | None = None
    requires_any: JwtRequirementList | None = None
    requires_all: JwtRequirementList | None = None
    allow_missing: JwtRequirementAllow | None = None
    allow_missing_or_failed: JwtRequirementAllow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtRequirementRule:
    """``RequirementRule``."""

    match: RouteMatch | None = None
    requires: JwtRequirement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtAuthentication(Extension):
    """``envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication``."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"

    providers: Mapping[str, JwtProvider] | None = None
    rules: tuple[JwtRequirementRule, ...] = ()
    bypass_cors_preflight: bool = False
