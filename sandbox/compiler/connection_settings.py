"""``connectionSettings`` of a ProxyConfig, with the EDGE profile's defaults on gateways.

Source: Istio pilot/pkg/networking/core/connection_settings.go.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from sandbox.compiler.proxy import Proxy
from sandbox.istio.proxy_connections import ConnectionSettings
from sandbox.plan.http_connection_manager import (
    Http2ProtocolOptions,
    HttpConnectionManager,
    HttpProtocolOptionsCommon,
)

_EDGE: Final[dict[str, Any]] = {
    "listener_per_connection_buffer_limit_bytes": 32_768,
    "http_idle_timeout": timedelta(hours=1),
    "http_stream_idle_timeout": timedelta(minutes=5),
    "http_request_timeout": timedelta(minutes=5),
    "http_request_headers_timeout": timedelta(seconds=60),
    "http_max_concurrent_streams": 100,
    "http2_initial_stream_window_size": 65_536,
    "http2_initial_connection_window_size": 1_048_576,
    "http_merge_slashes": True,
}
_UNDERSCORES_UNSPECIFIED: Final = "HEADERS_WITH_UNDERSCORES_UNSPECIFIED"
_UNDERSCORES: Final = {
    "HEADERS_WITH_UNDERSCORES_ALLOW": "ALLOW",
    "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST": "REJECT_REQUEST",
    "HEADERS_WITH_UNDERSCORES_DROP_HEADER": "DROP_HEADER",
}
_SLASHES_UNSPECIFIED: Final = "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED"
_MANAGER_FIELDS: Final = {
    "http_stream_idle_timeout": "stream_idle_timeout",
    "http_request_timeout": "request_timeout",
    "http_request_headers_timeout": "request_headers_timeout",
    "http_drain_timeout": "drain_timeout",
    "http_merge_slashes": "merge_slashes",
}
_COMMON_FIELDS: Final = {
    "http_idle_timeout": "idle_timeout",
    "http_max_connection_duration": "max_connection_duration",
    "http_max_stream_duration": "max_stream_duration",
}
_HTTP2_FIELDS: Final = {
    "http_max_concurrent_streams": "max_concurrent_streams",
    "http2_initial_stream_window_size": "initial_stream_window_size",
    "http2_initial_connection_window_size": "initial_connection_window_size",
}


def resolve_connection_settings(proxy: Proxy, of_mesh: ConnectionSettings | None) -> ConnectionSettings | None:
    """The proxy's settings, else those of the mesh's default configuration."""
    settings = proxy.metadata.proxy_config.connection_settings or of_mesh
    if settings is None or settings.profile != "EDGE" or proxy.is_sidecar:
        return settings
    missing = {name: value for name, value in _EDGE.items() if getattr(settings, name) is None}
    if settings.http_headers_with_underscores_action == _UNDERSCORES_UNSPECIFIED:
        missing["http_headers_with_underscores_action"] = "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST"
    if settings.http_path_with_escaped_slashes_action == _SLASHES_UNSPECIFIED:
        missing["http_path_with_escaped_slashes_action"] = "UNESCAPE_AND_REDIRECT"
    return replace(settings, **missing)


def apply_connection_settings(
    manager: HttpConnectionManager, settings: ConnectionSettings | None
) -> HttpConnectionManager:
    """What the settings say overrides the mesh's path normalisation and Istio's timeouts."""
    if settings is None:
        return manager
    changes = _given(settings, _MANAGER_FIELDS)
    common = _given(settings, _COMMON_FIELDS)
    if settings.http_headers_with_underscores_action != _UNDERSCORES_UNSPECIFIED:
        common["headers_with_underscores_action"] = _UNDERSCORES[settings.http_headers_with_underscores_action]
    if common:
        base = manager.common_http_protocol_options or HttpProtocolOptionsCommon()
        changes["common_http_protocol_options"] = replace(base, **common)
    http2 = _given(settings, _HTTP2_FIELDS)
    if http2:
        base2 = manager.http2_protocol_options or Http2ProtocolOptions()
        positive = {name: value for name, value in http2.items() if value >= 0}
        changes["http2_protocol_options"] = replace(base2, **positive)
    if settings.http_path_with_escaped_slashes_action != _SLASHES_UNSPECIFIED:
        changes["path_with_escaped_slashes_action"] = settings.http_path_with_escaped_slashes_action
    return replace(manager, **changes)


def _given(settings: ConnectionSettings, fields: dict[str, str]) -> dict[str, Any]:
    """Envoy's fields of those that are set."""
    values = {ours: getattr(settings, theirs) for theirs, ours in fields.items()}
    return {name: value for name, value in values.items() if value is not None}
