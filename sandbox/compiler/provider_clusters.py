"""The cluster behind a service that an extension provider names (Istio telemetry_logging.go ``LookupCluster``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.compiler.names import outbound_cluster

if TYPE_CHECKING:
    from sandbox.compiler.push_context import PushContext


class ProviderCluster(NamedTuple):
    """A provider's host, and its cluster."""

    host: str
    cluster: str


def lookup_cluster(push: PushContext, service: str, port: int) -> ProviderCluster | None:
    """``host`` or ``namespace/host``; None where the host is unknown or in several namespaces."""
    parts = service.split("/")
    if len(parts) == 2:
        namespace, host = parts
        named = push.service_of(host, namespace)
        return ProviderCluster(named.host, outbound_cluster(named.host, port)) if named is not None else None
    known = bool(service) and len(push.services_of_host(service)) == 1
    return ProviderCluster(service, outbound_cluster(service, port)) if known else None
