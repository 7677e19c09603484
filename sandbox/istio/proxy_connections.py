"""Connection settings of a proxy."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message
from sandbox.istio.scalars import Int32

HeadersWithUnderscoresAction = Literal[
    "HEADERS_WITH_UNDERSCORES_UNSPECIFIED",
    "HEADERS_WITH_UNDERSCORES_ALLOW",
    "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
    "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
]
"""``istio.mesh.v1alpha1.ProxyConfig.ConnectionSettings.HeadersWithUnderscoresAction``."""

PathWithEscapedSlashesAction = Literal[
    "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED",
    "KEEP_UNCHANGED",
    "REJECT_REQUEST",
    "UNESCAPE_AND_REDIRECT",
    "UNESCAPE_AND_FORWARD",
]
"""``istio.mesh.v1alpha1.ProxyConfig.ConnectionSettings.PathWithEscapedSlashesAction``."""

ConnectionProfile = Literal["SIDECAR", "EDGE"]
"""``istio.mesh.v1alpha1.ProxyConfig.ConnectionSettings.Profile``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings(Message):
    """``istio.mesh.v1alpha1.ProxyConfig.ConnectionSettings``: limits and timeouts of downstream connections."""

    profile: ConnectionProfile = "SIDECAR"
    listener_per_connection_buffer_limit_bytes: Int32 | None = None
    cluster_per_connection_buffer_limit_bytes: Int32 | None = None
    http_idle_timeout: timedelta | None = None
    http_max_connection_duration: timedelta | None = None
    http_drain_timeout: timedelta | None = None
    http_request_timeout: timedelta | None = None
    http_request_headers_timeout: timedelta | None = None
    http_stream_idle_timeout: timedelta | None = None
    http_max_stream_duration: timedelta | None = None
    http_max_concurrent_streams: Int32 | None = None
    http2_initial_stream_window_size: Int32 | None = None
    http2_initial_connection_window_size: Int32 | None = None
    http_headers_with_underscores_action: HeadersWithUnderscoresAction = "HEADERS_WITH_UNDERSCORES_UNSPECIFIED"
    http_merge_slashes: bool | None = None
    http_path_with_escaped_slashes_action: PathWithEscapedSlashesAction = "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED"
    listener_connection_limit: Int32 | None = None
    global_downstream_connection_limit: Int32 | None = None
