"""What a request wants of the transport to its upstream: server name, names to verify, PROXY header."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from sandbox.match.virtual_host_table import without_port
from sandbox.proxy.http_connection_pool import pool_of, speaks_http2
from sandbox.proxy.upstream import TransportOptions, options_for_proxy_protocol
from sandbox.wire.headers import header_value

if TYPE_CHECKING:
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.host import Host
    from sandbox.proxy.http2_connection_pool import Http2ConnectionPool
    from sandbox.proxy.http_connection_pool import HttpConnectionPool
    from sandbox.proxy.http_stream import HttpStream


def pool_for(stream: HttpStream, cluster: ClusterRuntime, host: Host) -> HttpConnectionPool | Http2ConnectionPool:
    """The host's pool of connections such as the request wants."""
    target = stream.target
    has_options = target is None or not target.has_fixed_transport
    options = transport_options(cluster, stream) if has_options else None
    is_http2 = cluster.http_options is not None and speaks_http2(cluster, stream.info.protocol)
    return pool_of(cluster, host, options, is_http2)


def has_fixed_transport(cluster: ClusterRuntime) -> bool:
    """Whether the cluster's settings say it all, whatever the request."""
    http = cluster.http_options
    wanted = http.upstream_http_protocol_options if http is not None else None
    names = wanted is not None and (wanted.auto_sni or wanted.auto_san_validation)
    return not names and not cluster.sends_proxy_header


def transport_options(cluster: ClusterRuntime, stream: HttpStream) -> TransportOptions | None:
    """The options, or ``None`` where the cluster's settings say it all."""
    http = cluster.http_options
    wanted = http.upstream_http_protocol_options if http is not None else None
    options = options_for_proxy_protocol(cluster, stream.codec.connection)
    if wanted is None or not (wanted.auto_sni or wanted.auto_san_validation):
        return options
    name = _server_name(stream, wanted.override_auto_sni_header)
    if name is None:
        return options
    return TransportOptions(
        server_name=name if wanted.auto_sni else None,
        verify_names=(name,) if wanted.auto_san_validation else (),
        proxy_source=options.proxy_source if options is not None else None,
        proxy_destination=options.proxy_destination if options is not None else None,
    )


def _server_name(stream: HttpStream, header: str) -> str | None:
    value = header_value(stream.headers, header.lower().encode()) if header else None
    name = without_port(value or stream.info.authority or b"").decode("latin-1")
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name or None
    return None
