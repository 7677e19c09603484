"""The last part of a walk: clusters, endpoints and TLS, and what a connection to them comes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urlsplit

from sandbox.explain.call import Call, is_ip
from sandbox.explain.endpoint_steps import BLACK_HOLE, endpoint_step, usable_endpoints
from sandbox.explain.failure_steps import failure_steps
from sandbox.explain.steps import Hop, Outcome, Step
from sandbox.explain.tls_steps import plain_notes, tls_step, upstream_protocol, upstream_tls
from sandbox.match.reference import choose_virtual_host
from sandbox.plan import NodePlan
from sandbox.plan.base import EnvoyInternalAddress, SocketAddress
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.cluster import Cluster, DynamicForwardProxyClusterConfig, LbEndpoint
from sandbox.plan.listener import TcpProxy
from sandbox.plan.route import RouteAction
from sandbox.plan.tls import UpstreamTlsContext
from sandbox.yaml_source.span import Origin

_HTTP_PORT: Final = 80
_TLS_PORT: Final = 443
"""Where a dynamic forward proxy calls a name that comes without a port."""


def through_route(plan: NodePlan, call: Call, action: RouteAction, steps: list[Step]) -> Outcome:
    """From a route's clusters to the outcome of the request."""
    if action.weighted_clusters is not None:
        parts = [(part.name, part.weight or 0, part.because) for part in action.weighted_clusters.clusters]
        return _through_clusters(plan, call, parts, steps, is_http=True)
    return _through_clusters(plan, call, [(action.cluster or "", 1, ())], steps, is_http=True)


def through_tcp_proxy(plan: NodePlan, call: Call, proxy: TcpProxy, steps: list[Step]) -> Outcome:
    """From a TCP proxy's clusters to the outcome of the connection."""
    tunnel = proxy.tunneling_config
    if tunnel is not None:
        how = "POST" if tunnel.use_post else "CONNECT"
        steps.append(Step(kind="tunnel", found=f"by {how} to {tunnel.hostname}", because=proxy.because))
    if proxy.weighted_clusters is not None:
        parts: list[tuple[str, int, tuple[Because, ...]]] = [
            (part.name, part.weight, ()) for part in proxy.weighted_clusters.clusters
        ]
        outcome = _through_clusters(plan, call, parts, steps, is_http=False)
    else:
        outcome = _through_clusters(plan, call, [(proxy.cluster or "", 1, ())], steps, is_http=False)
    outcome = _as_tcp(call, outcome)
    ends = _ends(proxy) if outcome.is_forwarded else ()
    notes = (*_wrong_host(call, outcome, steps), *outcome.notes, *ends, *_unused_rules(plan, call))
    return replace(outcome, notes=notes)


def _ends(proxy: TcpProxy) -> Iterator[str]:
    """When the proxy itself ends a connection; an hour without bytes is Envoy's own limit."""
    if proxy.idle_timeout:
        yield f"closed after {proxy.idle_timeout.total_seconds():g}s without bytes"
    if proxy.max_downstream_connection_duration:
        yield f"closed after {proxy.max_downstream_connection_duration.total_seconds():g}s in any case"


def _wrong_host(call: Call, outcome: Outcome, steps: Sequence[Step]) -> tuple[str, ...]:
    """Where nobody routed a connection elsewhere, and it arrives at another host all the same."""
    _, _, host = outcome.cluster.rpartition("|")
    if not outcome.is_forwarded or outcome.cluster.count("|") != 3 or is_ip(call.host):
        return ()
    kinds = {each.origin.resource.kind for step in steps for each in step.because if isinstance(each.origin, Origin)}
    if "VirtualService" in kinds or any(is_named(host, name) for name in (call.host.lower(), call.server_name)):
        return ()
    return (f"this is not {call.host}: the bytes name no host, and {host} has the port",)


def is_named(host: str, name: str) -> bool:
    """Whether a name, perhaps short for a Service, stands for a host or one of a pattern's."""
    return fnmatchcase(name, host) or (".svc." in host and host.startswith(f"{name}."))


def _unused_rules(plan: NodePlan, call: Call) -> tuple[str, ...]:
    """Rules for HTTP that a user wrote for the host, and that bytes which are not read cannot follow."""
    if not call.is_http:
        return ()
    for configuration in plan.route_configurations.values():
        host = choose_virtual_host(configuration, call.host.encode()).chosen
        if host is None or host.domains == ("*",):
            continue
        for route in host.routes:
            written = next((each for each in route.because if each.what in ("route", "route match")), None)
            if written is not None and not isinstance(written.origin, IstioDefault):
                return (f"the HTTP rules at {written.origin} have no effect here: the request is not read",)
    return ()


def _as_tcp(call: Call, outcome: Outcome) -> Outcome:
    """A connection has no status; where it fails it is reset."""
    if outcome.is_forwarded:
        what = "TLS" if call.is_tls else "bytes"
        sentence = f"{what} passed through unread, both ways"
        refused = "reset, with flags UF,URX, if the upstream refuses the connection"
        notes = (*outcome.notes, refused)
        return replace(outcome, status=0, details="", sentence=sentence, notes=notes, flags_if_refused=("UF", "URX"))
    return replace(
        outcome, status=0, details="", sentence=f"{outcome.sentence}: the connection is accepted, then reset"
    )


def _through_clusters(
    plan: NodePlan,
    call: Call,
    parts: Sequence[tuple[str, int, tuple[Because, ...]]],
    steps: list[Step],
    *,
    is_http: bool,
) -> Outcome:
    total = sum(weight for _, weight, _ in parts) or 1
    outcomes = []
    for name, weight, because in parts:
        share = "" if len(parts) == 1 else f"{100 * weight / total:g}% of the traffic"
        outcomes.append(_through_cluster(plan, call, name, (share, because), steps, is_http=is_http))
    if not outcomes:
        return Outcome(sentence="the route names no cluster")
    if len(outcomes) == 1:
        return outcomes[0]
    fate = "get 503" if is_http else "are reset"
    notes = tuple(
        f"{100 * weight / total:g}% {fate}, with flag {','.join(outcome.flags)}: {outcome.sentence}"
        for (_, weight, _), outcome in zip(parts, outcomes, strict=True)
        if outcome.flags
    )
    forwarded = next((outcome for outcome in outcomes if outcome.is_forwarded), outcomes[0])
    names = " or ".join(outcome.cluster for outcome in outcomes if outcome.cluster)
    return replace(forwarded, cluster=names, notes=(*forwarded.notes, *notes))


def _through_cluster(
    plan: NodePlan, call: Call, name: str, part: tuple[str, tuple[Because, ...]], steps: list[Step], *, is_http: bool
) -> Outcome:
    share, because = part
    cluster = plan.clusters.get(name)
    if cluster is None:
        reason = "; ".join(text for text in (share, "there is no such cluster") if text)
        steps.append(Step(kind="cluster", found=name or "none", reason=reason, because=because))
        return Outcome(
            status=503, flags=("NC",), details="cluster_not_found", cluster="", sentence=_missing(plan, name)
        )
    settings = _settings(cluster, is_http=is_http)
    reason = "; ".join(text for text in (share, settings) if text)
    steps.append(Step(kind="cluster", found=name, reason=reason, because=(*because, *cluster.because)))
    return _through_endpoints(plan, call, cluster, steps, is_http=is_http)


def _missing(plan: NodePlan, name: str) -> str:
    """Which part of a cluster's name nothing gives."""
    direction, _, rest = name.partition("|")
    port, _, rest = rest.partition("|")
    subset, _, host = rest.partition("|")
    if subset and f"{direction}|{port}||{host}" in plan.clusters:
        return f"no DestinationRule that applies declares subset {subset} of {host}"
    if host and any(known.endswith(f"||{host}") for known in plan.clusters):
        return f"{host} has no port {port}"
    return "no service has this name and port"


def _settings(cluster: Cluster, *, is_http: bool) -> str:
    kind = cluster.type or (cluster.cluster_type.name if cluster.cluster_type is not None else "")
    words = {
        "ORIGINAL_DST": "to the address that the client meant",
        "STRICT_DNS": "all addresses that DNS gives",
        "LOGICAL_DNS": "the first address that DNS gives",
        "EDS": "endpoints that istiod knows",
        "STATIC": "fixed endpoints",
    }
    told = [words.get(kind, kind)]
    if kind not in ("ORIGINAL_DST", ""):
        told.append(cluster.lb_policy.lower().replace("_", " "))
    if cluster.connect_timeout is not None:
        told.append(f"connect timeout {cluster.connect_timeout.total_seconds():g}s")
    if cluster.outlier_detection is not None:
        told.append("outlier detection")
    told += upstream_protocol(cluster, is_http=is_http)
    return ", ".join(told)


def _through_endpoints(plan: NodePlan, call: Call, cluster: Cluster, steps: list[Step], *, is_http: bool) -> Outcome:
    if cluster.type == "ORIGINAL_DST" or cluster.cluster_type is not None:
        tls = _find_tls(cluster, None, call, steps, is_http=is_http)
        steps += failure_steps(cluster, is_http=is_http)
        return replace(_forwarded(cluster), hop=_meant_hop(call, cluster, tls, is_http=is_http))
    steps.append(endpoint_step(plan, cluster))
    usable = usable_endpoints(cluster)
    if not usable:
        return Outcome(
            status=503,
            flags=("UH",),
            details="no_healthy_upstream",
            cluster=cluster.name,
            sentence="blocked" if cluster.name == BLACK_HOLE else "no healthy upstream",
        )
    tls = _find_tls(cluster, usable[0], call, steps, is_http=is_http)
    steps += failure_steps(cluster, is_http=is_http)
    return replace(_forwarded(cluster), hop=_hop(usable[0], tls))


def looks_names_up(cluster: Cluster) -> bool:
    """Whether it goes by the name in each call (a dynamic forward proxy)."""
    kind = cluster.cluster_type.typed_config if cluster.cluster_type is not None else None
    return isinstance(kind, DynamicForwardProxyClusterConfig)


def _meant_hop(call: Call, cluster: Cluster, tls: UpstreamTlsContext | None, *, is_http: bool) -> Hop | None:
    """To where the call itself says: its address, or the name that it asks for."""
    if cluster.type == "ORIGINAL_DST":
        return Hop(address=call.address, port=call.port, tls=tls) if call.address is not None else None
    if not looks_names_up(cluster):
        return None
    if not is_http:
        return Hop(address=call.server_name, port=_TLS_PORT, tls=tls) if call.server_name else None
    parts = urlsplit(f"//{call.authority}")
    port = parts.port or (_TLS_PORT if tls is not None else _HTTP_PORT)
    return Hop(address=parts.hostname or "", port=port, tls=tls)


def _hop(endpoint: LbEndpoint, tls: UpstreamTlsContext | None) -> Hop | None:
    address = endpoint.endpoint.address if endpoint.endpoint is not None else None
    if isinstance(address, EnvoyInternalAddress):
        return Hop(address=address.path, port=0, tls=tls)
    if not isinstance(address, SocketAddress):
        return None
    return Hop(address=address.address, port=address.port_value or 0, tls=tls)


def _forwarded(cluster: Cluster) -> Outcome:
    return Outcome(
        details="via_upstream",
        cluster=cluster.name,
        is_forwarded=True,
        sentence="forwarded; the status is the upstream's own",
    )


def clusters_of(plan: NodePlan, action: RouteAction) -> tuple[Cluster, ...]:
    """Where a route leads, as far as there are such clusters."""
    weighted = action.weighted_clusters
    names = [part.name for part in weighted.clusters] if weighted is not None else [action.cluster or ""]
    return tuple(plan.clusters[name] for name in dict.fromkeys(names) if name in plan.clusters)


def _find_tls(
    cluster: Cluster, endpoint: LbEndpoint | None, call: Call, steps: list[Step], *, is_http: bool
) -> UpstreamTlsContext | None:
    """TLS that the proxy itself begins towards the upstream."""
    context = upstream_tls(cluster, endpoint)
    address = endpoint.endpoint.address if endpoint is not None and endpoint.endpoint is not None else None
    port = address.port_value if isinstance(address, SocketAddress) else None
    if cluster.type == "ORIGINAL_DST":
        port = call.port
    if context is not None:
        steps.append(tls_step(context, cluster, call, port, is_http=is_http))
    elif cluster.transport_socket_matches:
        reason = "auto mTLS is for endpoints whose pods have a sidecar (label security.istio.io/tlsMode: istio)"
        steps.append(Step(kind="tls", found="none", reason=reason))
    elif notes := plain_notes(port, is_http=is_http):
        steps.append(Step(kind="tls", found="none", notes=notes))
    return context
