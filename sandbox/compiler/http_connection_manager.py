"""Settings of HTTP connection managers: mesh, ProxyConfig, headers, path normalisation, tracing, filters.

Source: Istio pilot/pkg/networking/core/listener_builder.go (``buildHTTPConnectionManager``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sandbox.compiler.connection_settings import apply_connection_settings
from sandbox.compiler.dynamic_dns import allow_any_cache, is_dynamic_wildcard, service_cache
from sandbox.compiler.listener_builder import ListenerBuilder
from sandbox.compiler.outbound_policy import is_allow_any_dynamic_dns
from sandbox.compiler.protocols import Protocol
from sandbox.compiler.provenance import by_default, written
from sandbox.frozen_dataclass import dataclass
from sandbox.plan import filter_names
from sandbox.plan.base import TypedExtensionConfig
from sandbox.plan.because import Because
from sandbox.plan.http_connection_manager import (
    Cors,
    DynamicForwardProxyFilter,
    GrpcWeb,
    HeaderKeyFormat,
    Http1ProtocolOptions,
    HttpConnectionManager,
    HTTPFault,
    HttpFilter,
    HttpProtocolOptionsCommon,
    PreserveCaseFormatterConfig,
    Rds,
    Router,
    UpgradeConfig,
)
from sandbox.plan.listener import Filter
from sandbox.plan.route import RouteConfiguration

if TYPE_CHECKING:
    from sandbox.compiler.services import Service

HTTP_CONNECTION_MANAGER: Final = "envoy.filters.network.http_connection_manager"
DYNAMIC_FORWARD_PROXY: Final = "envoy.filters.http.dynamic_forward_proxy"
_GRPC_WEB: Final = HttpFilter(name="envoy.filters.http.grpc_web", typed_config=GrpcWeb())
_FAULT: Final = HttpFilter(
    name=filter_names.FAULT, typed_config=HTTPFault(because=(by_default("fault filter", "faults stand at the routes"),))
)
_CORS: Final = HttpFilter(name=filter_names.CORS, typed_config=Cors())
_WEBSOCKET: Final = (UpgradeConfig(upgrade_type="websocket"),)
_ROUTERS: Final = {
    suppressed: HttpFilter(name="envoy.filters.http.router", typed_config=Router(suppress_envoy_headers=suppressed))
    for suppressed in (False, True)
}
_PRESERVE_CASE: Final = HeaderKeyFormat(
    stateful_formatter=TypedExtensionConfig(name="preserve_case", typed_config=PreserveCaseFormatterConfig())
)
_NORMALIZATION: Final[Mapping[str, tuple[bool, bool, str]]] = {
    "NONE": (False, False, "KEEP_UNCHANGED"),
    "DEFAULT": (True, False, "KEEP_UNCHANGED"),
    "BASE": (True, False, "KEEP_UNCHANGED"),
    "MERGE_SLASHES": (True, True, "KEEP_UNCHANGED"),
    "DECODE_AND_MERGE_SLASHES": (True, True, "UNESCAPE_AND_FORWARD"),
}
"""``pathNormalization`` of the mesh: normalize_path, merge_slashes, path_with_escaped_slashes_action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerOptions:
    """What distinguishes one connection manager from another of the same proxy."""

    stat_prefix: str
    routes: str | RouteConfiguration
    """The name of a route configuration, or one that stands in the listener itself."""
    protocol: Protocol = Protocol.HTTP
    base: HttpConnectionManager
    """Settings of its kind of listener: ``sidecar_base``, or a gateway's."""
    policy_service: Service | None = None
    """The service the chain was first made for."""
    before_cors: tuple[HttpFilter, ...] = ()
    """Authorization and authentication: they come first."""
    because: tuple[Because, ...] = ()


def build(builder: ListenerBuilder, options: ManagerOptions) -> Filter:
    """The connection manager as a network filter."""
    routes = options.routes
    manager = replace(
        _with_proxy_settings(builder, options.base),
        stat_prefix=options.stat_prefix,
        rds=Rds(route_config_name=routes) if isinstance(routes, str) else None,
        route_config=None if isinstance(routes, str) else routes,
        http_filters=_filters(builder, options),
        because=(*options.because, *_because(builder)),
    )
    return Filter(name=HTTP_CONNECTION_MANAGER, typed_config=manager)


def sidecar_base(builder: ListenerBuilder, *, http1: Http1ProtocolOptions | None = None) -> HttpConnectionManager:
    """What a sidecar's outbound listeners start from."""
    if http1 is None and builder.accept_http_10:
        http1 = Http1ProtocolOptions(accept_http_10=True)
    return HttpConnectionManager(
        server_name=builder.headers.server_name,
        server_header_transformation=builder.headers.server_header_transformation,
        generate_request_id=builder.headers.generate_request_id,
        http_protocol_options=http1,
        use_remote_address=builder.push.features.sidecar_use_remote_address,
    )


def _with_proxy_settings(builder: ListenerBuilder, base: HttpConnectionManager) -> HttpConnectionManager:
    normalization = builder.push.mesh.path_normalization
    normalize, merge, escaped = _NORMALIZATION[normalization.normalization if normalization is not None else "DEFAULT"]
    idle = builder.proxy.metadata.idle_timeout
    manager = replace(
        base,
        http_protocol_options=_http1_options(builder, base),
        append_x_forwarded_port=builder.headers.x_forwarded_port,
        normalize_path=normalize,
        merge_slashes=merge,
        path_with_escaped_slashes_action=escaped,
        upgrade_configs=_WEBSOCKET,
        common_http_protocol_options=(
            base.common_http_protocol_options if idle is None else HttpProtocolOptionsCommon(idle_timeout=idle)
        ),
        stream_idle_timeout=timedelta(0),
        access_log=builder.access_logs.http,
        tracing=builder.tracing.tracing,
        request_id_extension=builder.tracing.request_id_extension,
        proxy_100_continue=builder.push.features.enable_100_continue_headers,
    )
    return apply_connection_settings(manager, builder.connection_settings)


def _http1_options(builder: ListenerBuilder, base: HttpConnectionManager) -> Http1ProtocolOptions | None:
    if not builder.headers.preserve_header_case:
        return base.http_protocol_options
    return replace(base.http_protocol_options or Http1ProtocolOptions(), header_key_format=_PRESERVE_CASE)


def _filters(builder: ListenerBuilder, options: ManagerOptions) -> tuple[HttpFilter, ...]:
    filters = list(options.before_cors)
    if options.protocol is Protocol.GRPC_WEB:
        filters.append(_GRPC_WEB)
    filters += (_FAULT, _CORS)
    service = options.policy_service
    if service is not None and builder.proxy.is_sidecar and is_dynamic_wildcard(service):
        config = DynamicForwardProxyFilter(dns_cache_config=service_cache(builder.push, builder.proxy, service))
        filters.append(HttpFilter(name=DYNAMIC_FORWARD_PROXY, typed_config=config))
    if is_allow_any_dynamic_dns(builder.proxy, builder.scope):
        config = DynamicForwardProxyFilter(dns_cache_config=allow_any_cache(builder.push, builder.proxy))
        filters.append(HttpFilter(name=DYNAMIC_FORWARD_PROXY, typed_config=config))
    filters.append(_ROUTERS[builder.headers.suppress_debug_headers])
    return tuple(filters)


def _because(builder: ListenerBuilder) -> tuple[Because, ...]:
    mesh, config = builder.push.mesh, builder.proxy.metadata.proxy_config
    normalization = mesh.path_normalization
    reasons = [
        written("path normalisation", normalization)
        if normalization is not None and normalization.place
        else by_default("path normalisation", "paths are normalised, slashes are not merged")
    ]
    if config.proxy_headers is not None:
        reasons.append(written("proxy headers", config.proxy_headers))
    if builder.connection_settings is not None:
        reasons.append(written("connection settings", builder.connection_settings))
    return (*reasons, *builder.tracing.because)
