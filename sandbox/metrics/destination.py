"""Who calls whom: the labels of a stream's source and destination.

Source: Envoy contrib/istio/filters/http/istio_stats/source/istio_stats.cc (``populatePeerInfo``), reporter ``source``.
Peers exchange no metadata here, so the fallbacks for peers without a sidecar are what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from sandbox.metrics.node_metrics import UNKNOWN, Labels
from sandbox.plan.metrics import PEER_LABELS
from sandbox.plan.secret_names import WORKLOAD_CERTIFICATE
from sandbox.plan.tls import UpstreamTlsContext

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster
    from sandbox.plan.metrics import NodeMetadata
    from sandbox.plan.route import Route
    from sandbox.plan.tls import TransportSocket

_BY_ROUTE: Final[Mapping[str, str]] = {"block_all": "BlackHoleCluster", "allow_any": "PassthroughCluster"}
_BY_CLUSTER: Final = frozenset({"BlackHoleCluster", "PassthroughCluster"})
_NAMESPACE: Final = "/ns/"
_LATEST: Final = "latest"


class Service(NamedTuple):
    """The service that a route and a cluster stand for; ``host`` and ``name`` are ``None`` for the request's own."""

    host: str | None
    name: str | None
    namespace: str


class Peer(NamedTuple):
    """What istiod has written about a workload into its endpoint; empty where it has not."""

    workload: str = ""
    namespace: str = ""
    canonical_name: str = ""
    canonical_revision: str = ""
    cluster: str = ""


def service_of(route: Route | None, cluster: Cluster | None) -> Service:
    """By the name of the route, else by the cluster: its name, or the service that it was made for."""
    name = _BY_ROUTE.get(route.name) if route is not None else None
    if name is not None:
        return Service(None, name, "")
    if cluster is None:
        return Service(None, None, "")
    if cluster.name in _BY_CLUSTER:
        return Service(None, cluster.name, "")
    metadata = cluster.metadata.filter_metadata if cluster.metadata is not None else None
    written = metadata.get("istio", {}).get("services") if metadata is not None else None
    if not isinstance(written, (list, tuple)) or not written:
        return Service(None, None, "")
    first: Mapping[str, str] = written[0]
    host = first.get("host")
    return Service(host, first.get("name", (host or "").partition(".")[0]), first.get("namespace", ""))


def workload_of(metadata: Mapping[str, Mapping[str, object]]) -> str:
    """What istiod has written about the workload behind an endpoint, from the endpoint's ``filter_metadata``."""
    istio = metadata.get("istio")
    return str(istio.get("workload", "")) if istio is not None else ""


def peer_of(workload: str) -> Peer:
    """``name;namespace;canonical-name;canonical-revision;cluster``; fewer parts say nothing."""
    parts = workload.split(";")
    return Peer(*parts[:5]) if len(parts) >= 5 else Peer()


def presents_identity(cluster: Cluster | None) -> bool:
    """Whether TLS connections of the cluster carry the workload's own certificate."""
    if cluster is None:
        return False
    sockets = [cluster.transport_socket, *(match.transport_socket for match in cluster.transport_socket_matches)]
    return any(_has_own_certificate(socket) for socket in sockets)


def _has_own_certificate(socket: TransportSocket | None) -> bool:
    config = socket.typed_config if socket is not None else None
    if not isinstance(config, UpstreamTlsContext) or config.common_tls_context is None:
        return False
    secrets = config.common_tls_context.tls_certificate_sds_secret_configs
    return any(secret.name == WORKLOAD_CERTIFICATE for secret in secrets)


def peer_labels(
    node: NodeMetadata, service: Service, *, host: str, workload: str, peer_principal: str, shows_identity: bool
) -> Labels:
    """Source and destination in the filter's order; ``host`` is the request's own, empty where it does not count."""
    peer = peer_of(workload)
    namespace = _namespace_of(peer_principal) or peer.namespace
    service_host = service.host if service.host is not None else host
    service_name = service.name if service.name is not None else host
    values = (
        "source",
        node.workload_name,
        node.canonical_name,
        node.canonical_revision,
        node.namespace,
        node.principal if shows_identity else UNKNOWN,
        node.app,
        node.version,
        node.cluster_id,
        peer.workload or UNKNOWN,
        namespace or UNKNOWN,
        peer_principal or UNKNOWN,
        UNKNOWN,  # an endpoint tells neither app ...
        UNKNOWN,  # ... nor version
        service_host or UNKNOWN,
        peer.canonical_name or UNKNOWN,
        peer.canonical_revision or _LATEST,
        service_name or UNKNOWN,
        service.namespace or namespace or UNKNOWN,
        peer.cluster or UNKNOWN,
    )
    return tuple(zip(PEER_LABELS, values, strict=True))


def _namespace_of(principal: str) -> str:
    """``spiffe://cluster.local/ns/NAMESPACE/sa/…``."""
    _, found, rest = principal.partition(_NAMESPACE)
    return rest.partition("/")[0] if found else ""
