"""What of a request its cluster's load balancer looks at: original destination, hosts tried, hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.match.facts import RequestFacts
from sandbox.proxy.http_router import hash_cookie
from sandbox.proxy.load_balancer import LoadBalancerContext

if TYPE_CHECKING:
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.host import Host
    from sandbox.proxy.http_router import RouteRuntime
    from sandbox.proxy.http_stream import HttpStream

PLAIN = LoadBalancerContext()
"""For the requests nothing depends on; never changed."""


def balancing_context(
    stream: HttpStream, route: RouteRuntime, cluster: ClusterRuntime, tried: list[Host]
) -> tuple[LoadBalancerContext, list[bytes]]:
    """The context, and the ``set-cookie`` headers of the cookies that were made for its hash.

    ``tried`` is the router's own list: it grows with each try.
    """
    needs_destination = cluster.plan.type == "ORIGINAL_DST"
    rules = route.retry
    cookies: list[bytes] = []
    if route.hash_policy is None and not needs_destination and rules is None:
        return PLAIN, cookies
    context = LoadBalancerContext()
    if needs_destination:
        context.destination = stream.codec.connection.original_destination
    if rules is not None and rules.avoid_previous_hosts:
        context.tried = tried
        context.retry_attempts = rules.host_attempts
    if route.hash_policy is not None:
        info = stream.info
        facts = RequestFacts(
            stream.head.method, info.path, info.authority, stream.head.scheme or b"http", stream.headers
        )
        client = (info.downstream_remote_address or "").rpartition(":")[0].strip("[]")
        context.hash_key = route.hash_policy(facts, client)
        if context.hash_key is None and route.hash_cookies:
            made = hash_cookie(
                route.hash_cookies, info.downstream_remote_address or "", info.downstream_local_address or ""
            )
            cookies = [header for _, _, header in made]
            facts.headers = [(b"cookie", name + b"=" + value) for name, value, _ in made]
            context.hash_key = route.hash_policy(facts, client)
    return context, cookies
