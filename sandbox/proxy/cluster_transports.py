"""ClusterTransports: the transport sockets of one cluster, and which host takes which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sandbox.plan.tls import ProxyProtocolUpstreamTransport, UpstreamTlsContext
from sandbox.proxy.tls_context import ClientTls
from sandbox.proxy.transport_socket import TransportSocketRuntime

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster, HttpProtocolOptions
    from sandbox.plan.tls import TransportSocket
    from sandbox.proxy.host import Host
    from sandbox.proxy.secrets import SecretStore

MATCH_FILTER: Final = "envoy.transport_socket_match"
PLAIN: Final = TransportSocketRuntime()


class ClusterTransports:
    """Built with the cluster; a host's metadata under ``envoy.transport_socket_match`` picks one of the matches."""

    __slots__ = ("_default", "_matches", "is_plain", "sends_proxy_header")

    def __init__(self, plan: Cluster, http: HttpProtocolOptions | None, secrets: SecretStore) -> None:
        self._default = _runtime(plan.transport_socket, http, secrets)
        self._matches = tuple(
            (each.match or {}, _runtime(each.transport_socket, http, secrets)) for each in plan.transport_socket_matches
        )
        runtimes = [self._default, *(runtime for _, runtime in self._matches)]
        self.is_plain = all(runtime.is_plain for runtime in runtimes)
        self.sends_proxy_header = any(runtime.proxy_protocol is not None for runtime in runtimes)

    def of(self, host: Host) -> TransportSocketRuntime:
        """The host's transport socket."""
        if self._matches:
            metadata = host.metadata.get(MATCH_FILTER, {})
            for wanted, runtime in self._matches:
                if _fulfils(metadata, wanted):
                    return runtime
        return self._default


def _fulfils(metadata: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    return all(metadata.get(key) == value for key, value in wanted.items())


def _runtime(
    socket: TransportSocket | None, http: HttpProtocolOptions | None, secrets: SecretStore
) -> TransportSocketRuntime:
    config = socket.typed_config if socket else None
    if isinstance(config, ProxyProtocolUpstreamTransport):
        inner = _runtime(config.transport_socket, http, secrets)
        return TransportSocketRuntime(tls=inner.tls, proxy_protocol=config.config)
    if not isinstance(config, UpstreamTlsContext):
        return PLAIN
    upstream = http.upstream_http_protocol_options if http else None
    return TransportSocketRuntime(
        tls=ClientTls(
            config,
            secrets,
            auto_sni=bool(upstream and upstream.auto_sni),
            auto_san=bool(upstream and upstream.auto_san_validation),
        )
    )
