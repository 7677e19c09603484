"""Clusters that stand for no service: nowhere, the original destination, any name.

Source: Istio pilot/pkg/networking/core/cluster_builder.go.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sandbox.compiler.cluster_draft import ClusterDraft, HttpOptionsDraft
from sandbox.compiler.connection_pools import NO_SETTINGS, apply_connection_pool
from sandbox.compiler.dynamic_dns import allow_any_cache
from sandbox.compiler.names import ALLOW_ANY_DYNAMIC_DNS_CLUSTER, BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER
from sandbox.compiler.outbound_policy import because_of_policy
from sandbox.compiler.provenance import by_default, written
from sandbox.compiler.upstream_tls import TLS_SOCKET, TlsSituation, tls_context
from sandbox.plan.cluster import Cluster, CustomClusterType, DynamicForwardProxyClusterConfig
from sandbox.plan.http_connection_manager import HttpProtocolOptionsCommon
from sandbox.plan.tls import TransportSocket

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.sidecar_scope import SidecarScope

_IDLE_TIMEOUT: Final = timedelta(minutes=5)


def black_hole_cluster(push: PushContext) -> Cluster:
    """Nowhere: no endpoints."""
    return Cluster(
        name=BLACK_HOLE_CLUSTER,
        type="STATIC",
        connect_timeout=push.mesh.connect_timeout,
        because=(by_default("cluster", "every proxy has a cluster that leads nowhere"),),
    )


def passthrough_cluster(push: PushContext, proxy: Proxy) -> Cluster:
    """Wherever the connection wanted to go; the mesh's baseline limits it, but for HTTP options, which istiod drops."""
    draft = ClusterDraft(name=PASSTHROUGH_CLUSTER, type="ORIGINAL_DST", lb_policy="CLUSTER_PROVIDED")
    draft.because = [by_default("cluster", "every sidecar has a cluster that leads to the original destination")]
    baseline = push.mesh.default_traffic_policy
    pool = baseline.connection_pool if baseline is not None else None
    apply_connection_pool(draft, push.mesh, pool if pool is not None else NO_SETTINGS, None)
    _speak_as_downstream(draft, proxy)
    if pool is not None:
        draft.because.append(written("connection pool", pool))
    return draft.build()


def allow_any_dynamic_dns_cluster(push: PushContext, proxy: Proxy, scope: SidecarScope) -> Cluster:
    """Whatever name the request has, resolved; TLS as the mesh's ``outboundTrafficPolicy.tls`` says."""
    policy = push.mesh.outbound_traffic_policy
    tls = policy.tls if policy is not None else None
    plain = tls is None or tls.mode == "DISABLE"
    config = DynamicForwardProxyClusterConfig(
        dns_cache_config=allow_any_cache(push, proxy), allow_insecure_cluster_options=plain
    )
    draft = ClusterDraft(
        name=ALLOW_ANY_DYNAMIC_DNS_CLUSTER,
        dynamic=True,
        lb_policy="CLUSTER_PROVIDED",
        cluster_type=CustomClusterType(name="envoy.clusters.dynamic_forward_proxy", typed_config=config),
        because=[because_of_policy(scope)],
    )
    apply_connection_pool(draft, push.mesh, NO_SETTINGS, None)
    situation = TlsSituation(push=push, proxy=proxy, dynamic=True)
    context = tls_context(draft, tls, situation) if tls is not None else None
    if context is not None:
        draft.transport_socket = TransportSocket(name=TLS_SOCKET, typed_config=context)
    if draft.http.upstream is None:
        # TLS settings replace the HTTP options instead of adding to them.
        _speak_as_downstream(draft, proxy)
    return draft.build()


def _speak_as_downstream(draft: ClusterDraft, proxy: Proxy) -> None:
    headers = proxy.metadata.proxy_config.proxy_headers
    preserve_case = headers is not None and bool(headers.preserve_http1_header_case)
    draft.http = HttpOptionsDraft(version="DOWNSTREAM", preserve_case=preserve_case)
    draft.http.common = HttpProtocolOptionsCommon(idle_timeout=_IDLE_TIMEOUT)
