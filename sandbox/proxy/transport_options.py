"""TransportOptions: what one upstream connection wants beyond its cluster's settings."""

from __future__ import annotations

import msgspec


class TransportOptions(msgspec.Struct, frozen=True):
    """What one connection wants beyond the cluster's settings; equal options may share pooled connections.

    Envoy's ``TransportSocketOptions``: with ``auto_sni`` the router sets ``server_name`` from the Host header, with
    ``auto_san_validation`` also ``verify_names``; a cluster with an upstream PROXY header needs both addresses.
    """

    server_name: str | None = None
    verify_names: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    """Offered where the TLS settings name no protocols."""
    proxy_source: tuple[str, int] | None = None
    proxy_destination: tuple[str, int] | None = None
