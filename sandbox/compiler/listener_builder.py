"""What all listeners of one proxy have in common (Istio's ``ListenerBuilder``), computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.compiler import access_logs, tracing
from sandbox.compiler.access_logs import AccessLogs
from sandbox.compiler.connection_settings import resolve_connection_settings
from sandbox.compiler.proxy_headers import HeaderSettings, header_settings
from sandbox.compiler.telemetry import applicable_telemetries
from sandbox.compiler.tracing import ProxyTracing
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.proxy_connections import ConnectionSettings

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.sidecar_scope import SidecarScope


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ListenerBuilder:
    """One proxy, what it sees, and the settings every listener of it shares."""

    push: PushContext
    proxy: Proxy
    scope: SidecarScope
    headers: HeaderSettings
    access_logs: AccessLogs
    tracing: ProxyTracing
    connection_settings: ConnectionSettings | None

    @property
    def accept_http_10(self) -> bool:
        """Whether HTTP/1.0 is HTTP (PILOT_HTTP10, or the proxy's own setting)."""
        return self.push.features.http10 or self.proxy.metadata.http10

    @property
    def plaintext_protocols(self) -> tuple[str, ...]:
        """What the HTTP inspector finds that is HTTP."""
        older = ("http/1.0",) if self.push.features.http10 else ()
        return (*older, "http/1.1", "h2c")


def new_listener_builder(push: PushContext, proxy: Proxy, scope: SidecarScope) -> ListenerBuilder:
    """Compute the shared settings."""
    telemetries = applicable_telemetries(push, proxy)
    of_mesh = push.mesh.default_config.connection_settings if push.mesh.default_config is not None else None
    return ListenerBuilder(
        push=push,
        proxy=proxy,
        scope=scope,
        headers=header_settings(proxy.metadata.proxy_config, sidecar_outbound=proxy.is_sidecar),
        access_logs=access_logs.build(push, proxy, telemetries),
        tracing=tracing.build(push, proxy, telemetries),
        connection_settings=resolve_connection_settings(proxy, of_mesh),
    )
