"""Requests to a dynamic forward proxy cluster: their host is the name that the request asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.plan.http_connection_manager import DynamicForwardProxyFilter
from sandbox.proxy.forward_proxy_hosts import TOO_MANY
from sandbox.proxy.http_upstream_failure import reply_no_host

if TYPE_CHECKING:
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.host import Host
    from sandbox.proxy.http_stream import HttpStream


async def resolve_then(stream: HttpStream, cluster: ClusterRuntime, use: Callable[[Host], None]) -> None:
    """Looks the request's authority up and calls ``use`` with the host, or answers that there is none."""
    authority = (stream.info.authority or b"").decode("latin-1")
    is_tls = cluster.plan.transport_socket is not None
    host = await cluster.resolve_host(authority, 443 if is_tls else 80)
    if stream.is_ended:
        return
    if not isinstance(host, str):
        use(host)
        return
    # the filter that resolves ahead has an answer of its own; where the cluster resolves, it just has no host
    if any(isinstance(each.typed_config, DynamicForwardProxyFilter) for each in stream.manager.plan.http_filters):
        stream.info.upstream_request_attempt_count = 0
        if host == TOO_MANY:
            stream.local_reply(503, b"DNS cache overflow", host)
        else:
            stream.info.response_flags.append("DF")
            stream.local_reply(503, b"DNS resolution failure", host)
        return
    reply_no_host(stream, host)
