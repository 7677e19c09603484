"""Connection pools, circuit breakers, keep-alive and HTTP/2 upgrades of a cluster.

Source: Istio pilot/pkg/networking/core/cluster_traffic_policy.go (``applyConnectionPool``, ``shouldH2Upgrade``).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from sandbox.compiler.cluster_draft import ClusterDraft
from sandbox.compiler.protocols import Protocol
from sandbox.istio.connection_pool import ConnectionPoolSettings, HTTPSettings, TCPSettings
from sandbox.istio.connection_pool import TcpKeepalive as TcpKeepaliveSettings
from sandbox.istio.mesh_config import MeshConfig
from sandbox.istio.traffic_policy import RetryBudget as RetryBudgetSettings
from sandbox.plan.base import Percent
from sandbox.plan.cluster import RetryBudget, TcpKeepalive, Thresholds, UpstreamConnectionOptions
from sandbox.plan.http_connection_manager import HttpProtocolOptionsCommon, KeepaliveSettings

_NO_LIMIT: Final = 2**32 - 1
_NO_HTTP: Final = HTTPSettings()
_NO_TCP: Final = TCPSettings()
NO_SETTINGS: Final = ConnectionPoolSettings()
_DEFAULT_BUDGET_PERCENT: Final = 20.0
_DEFAULT_BUDGET_RETRIES: Final = 3


def apply_h2_upgrade(
    draft: ClusterDraft, protocol: Protocol, mesh: MeshConfig, settings: ConnectionPoolSettings
) -> None:
    """HTTP/2 towards the upstream where rule or mesh ask for it (``shouldH2Upgrade``)."""
    http = settings.http or _NO_HTTP
    if http.use_client_protocol or http.h2_upgrade_policy == "DO_NOT_UPGRADE":
        return
    asked = http.h2_upgrade_policy == "UPGRADE"
    if (asked or (protocol.is_http and mesh.h2_upgrade_policy == "UPGRADE")) and not draft.http.version:
        draft.http.version = "HTTP2"


def apply_connection_pool(
    draft: ClusterDraft, mesh: MeshConfig, settings: ConnectionPoolSettings, budget: RetryBudgetSettings | None
) -> None:
    """Limits and timeouts; zero means no limit."""
    http, tcp = settings.http or _NO_HTTP, settings.tcp or _NO_TCP
    draft.thresholds = Thresholds(
        max_connections=tcp.max_connections if tcp.max_connections > 0 else _NO_LIMIT,
        max_pending_requests=http.http1_max_pending_requests if http.http1_max_pending_requests > 0 else _NO_LIMIT,
        max_requests=http.http2_max_requests if http.http2_max_requests > 0 else _NO_LIMIT,
        max_retries=http.max_retries if http.max_retries > 0 else _NO_LIMIT,
        retry_budget=_retry_budget(budget),
    )
    draft.connect_timeout = tcp.connect_timeout if tcp.connect_timeout is not None else mesh.connect_timeout
    draft.connection_options = _connection_options(mesh.tcp_keepalive, tcp.tcp_keepalive)
    _apply_http_limits(draft, http, tcp)
    if http.use_client_protocol:
        draft.http.version = "DOWNSTREAM"


def _apply_http_limits(draft: ClusterDraft, http: HTTPSettings, tcp: TCPSettings) -> None:
    idle_timeout = http.idle_timeout if http.idle_timeout is not None else tcp.idle_timeout
    keepalive, streams = http.http2_keep_alive, http.max_concurrent_streams
    requests = http.max_requests_per_connection
    settings = (idle_timeout, tcp.max_connection_duration, keepalive)
    if all(setting is None for setting in settings) and requests <= 0 and streams <= 0:
        return
    common = draft.http.common or HttpProtocolOptionsCommon()
    draft.http.common = replace(
        common,
        idle_timeout=idle_timeout if idle_timeout is not None else common.idle_timeout,
        max_requests_per_connection=requests if requests > 0 else None,
        max_connection_duration=tcp.max_connection_duration,
    )
    if draft.http.version == "HTTP2":
        draft.http.max_concurrent_streams = streams if streams > 0 else None
        if keepalive is not None:
            draft.http.keepalive = KeepaliveSettings(interval=keepalive.interval, timeout=keepalive.timeout)


def _retry_budget(budget: RetryBudgetSettings | None) -> RetryBudget | None:
    if budget is None:
        return None
    percent = budget.percent if budget.percent is not None else _DEFAULT_BUDGET_PERCENT
    return RetryBudget(
        budget_percent=Percent(value=percent),
        min_retry_concurrency=budget.min_retry_concurrency or _DEFAULT_BUDGET_RETRIES,
        budget_interval=budget.budget_interval,
    )


def _connection_options(
    of_mesh: TcpKeepaliveSettings | None, of_rule: TcpKeepaliveSettings | None
) -> UpstreamConnectionOptions | None:
    """Keep-alive of the mesh, single fields overridden by the rule; an empty one uses the system's values."""
    given = [settings for settings in (of_mesh, of_rule) if settings is not None]
    if not given:
        return None
    keepalive = TcpKeepalive()
    for settings in given:
        keepalive = TcpKeepalive(
            keepalive_probes=settings.probes if settings.probes > 0 else keepalive.keepalive_probes,
            keepalive_time=_seconds(settings.time, keepalive.keepalive_time),
            keepalive_interval=_seconds(settings.interval, keepalive.keepalive_interval),
        )
    return UpstreamConnectionOptions(tcp_keepalive=keepalive)


def _seconds(duration: timedelta | None, default: int | None) -> int | None:
    return default if duration is None else duration // timedelta(seconds=1)
