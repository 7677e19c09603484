"""What a VirtualService's rule does with a request: forward, redirect, answer (Istio route.go)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sandbox.compiler.hash_policies import because_of_hashes, hash_for_destination, translate_hash
from sandbox.compiler.header_operations import TranslatedHeaders, translate_headers
from sandbox.compiler.names import outbound_cluster
from sandbox.compiler.percentages import fractional, whole
from sandbox.compiler.proxy_headers import HeaderSettings
from sandbox.compiler.retries import RetryDefaults
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination import Destination, Percent
from sandbox.istio.http_actions import HTTPDirectResponse, HTTPRedirect, HTTPRewrite
from sandbox.istio.http_route import HTTPRoute, HTTPRouteDestination
from sandbox.istio.load_balancing import ConsistentHashLB
from sandbox.plan.base import DataSource, FractionalPercent, RegexMatcher, RuntimeFractionalPercent
from sandbox.plan.because import Because
from sandbox.plan.route import (
    ClusterWeight,
    DirectResponseAction,
    HashPolicy,
    RedirectAction,
    RegexMatchAndSubstitute,
    RequestMirrorPolicy,
    RouteAction,
    WeightedCluster,
)

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.services import Service
    from sandbox.compiler.sidecar_scope import SidecarScope

NO_TIMEOUT: Final = timedelta(0)
UNKNOWN_SERVICE: Final = "UnknownService"
"""istiod's name of the cluster of a destination without a host."""

_REDIRECT_CODES: Final = {
    0: "MOVED_PERMANENTLY",
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RouteContext:
    """For which proxy, port and gateways the routes are made."""

    push: PushContext
    proxy: Proxy
    scope: SidecarScope
    listen_port: int
    gateway_names: frozenset[str]
    """``mesh``, or ``namespace/name`` of gateways."""
    lookup_service: Callable[[str], Service | None]
    """The service of a destination's host as this lookup knows it; its only port is the default port."""
    retries: RetryDefaults
    headers: HeaderSettings
    is_tls: bool = False
    """Whether the listener terminates TLS."""


def destination_cluster(destination: Destination | None, service: Service | None, listen_port: int) -> str:
    """The cluster of a destination, existing or not; port: as given, else the only one, else the listener's."""
    if destination is None or not destination.host:
        return UNKNOWN_SERVICE
    host = service.external_name if service is not None and service.external_name else destination.host
    if destination.port is not None:
        port = destination.port.number
    elif service is not None and len(service.ports) == 1:
        port = service.ports[0].number
    else:
        port = listen_port
    return outbound_cluster(host, port, destination.subset)


@dataclass(frozen=True, slots=True)
class Forwarding:
    """A forwarding action, and the headers that stand at the route itself."""

    action: RouteAction
    headers: TranslatedHeaders
    because: tuple[Because, ...]


def forward(rule: HTTPRoute, context: RouteContext) -> Forwarding:
    """Timeout, rewrite, mirrors, destinations, hash and retries of a rule that forwards."""
    headers = translate_headers(rule.headers)
    timeout = NO_TIMEOUT if rule.timeout is None else rule.timeout
    rewritten = (rule.rewrite.authority if rule.rewrite is not None else "") or headers.authority
    hashes = [_hash(item, context) for item in rule.route]
    action = RouteAction(
        timeout=timeout,
        max_grpc_timeout=timeout,
        host_rewrite_literal=rewritten or None,
        request_mirror_policies=_mirrors(rule, context),
        hash_policy=_hash_policies(rule, hashes),
        retry_policy=context.retries.policy(rule.retries, len(hashes) == 1 and hashes[0] is not None),
    )
    if rule.rewrite is not None:
        action = _rewrite(action, rule.rewrite, context)
    because = _because_forwarding(rule, action, because_of_hashes(hashes))
    if len(rule.route) != 1:
        weighted = tuple(_weighted(item, context) for item in rule.route if item.weight)
        return Forwarding(replace(action, weighted_clusters=WeightedCluster(clusters=weighted)), headers, because)
    only = rule.route[0]
    own = translate_headers(only.headers)
    rewrite_literal = action.host_rewrite_literal or own.authority or None
    action = replace(action, cluster=_cluster(only.destination, context), host_rewrite_literal=rewrite_literal)
    return Forwarding(action, _joined(headers, own), because)


def _because_forwarding(rule: HTTPRoute, action: RouteAction, hashes: tuple[Because, ...]) -> tuple[Because, ...]:
    reasons = [Because("destination", item.origin) for item in rule.route]
    if rule.timeout is not None:
        reasons.append(Because("timeout", rule.origin_of("timeout")))
    if rule.rewrite is not None:
        reasons.append(Because("rewrite", rule.rewrite.origin))
    if rule.mirror is not None:
        reasons.append(Because("mirror", rule.mirror.origin))
    reasons.extend(Because("mirror", mirror.origin) for mirror in rule.mirrors)
    reasons.extend(dict.fromkeys(hashes))
    if action.retry_policy is not None:
        reasons.extend(action.retry_policy.because)
    elif rule.retries is not None:
        reasons.append(Because("no retries", rule.retries.origin))
    return tuple(reasons)


def _joined(first: TranslatedHeaders, second: TranslatedHeaders) -> TranslatedHeaders:
    return TranslatedHeaders(
        request_headers_to_add=first.request_headers_to_add + second.request_headers_to_add,
        request_headers_to_remove=first.request_headers_to_remove + second.request_headers_to_remove,
        response_headers_to_add=first.response_headers_to_add + second.response_headers_to_add,
        response_headers_to_remove=first.response_headers_to_remove + second.response_headers_to_remove,
    )


def _cluster(destination: Destination | None, context: RouteContext) -> str:
    service = context.lookup_service(destination.host) if destination is not None else None
    return destination_cluster(destination, service, context.listen_port)


def _weighted(item: HTTPRouteDestination, context: RouteContext) -> ClusterWeight:
    headers = translate_headers(item.headers)
    return ClusterWeight(
        name=_cluster(item.destination, context),
        weight=item.weight,
        request_headers_to_add=headers.request_headers_to_add,
        request_headers_to_remove=headers.request_headers_to_remove,
        response_headers_to_add=headers.response_headers_to_add,
        response_headers_to_remove=headers.response_headers_to_remove,
        host_rewrite_literal=headers.authority or None,
        because=(Because("destination", item.origin),),
    )


def _hash(item: HTTPRouteDestination, context: RouteContext) -> ConsistentHashLB | None:
    if item.destination is None:
        return None
    rule = context.scope.destination_rule(context.proxy, item.destination.host)
    return hash_for_destination(rule.spec, item.destination) if rule is not None else None


def _hash_policies(rule: HTTPRoute, hashes: list[ConsistentHashLB | None]) -> tuple[HashPolicy, ...]:
    """One for each destination that has a hash and, among several, a weight."""
    counted = (found for item, found in zip(rule.route, hashes, strict=True) if item.weight or len(hashes) == 1)
    policies = (translate_hash(found) for found in counted)
    return tuple(policy for policy in policies if policy is not None)


def _rewrite(action: RouteAction, rewrite: HTTPRewrite, context: RouteContext) -> RouteAction:
    regex = rewrite.uri_regex_rewrite
    substitution = None
    if regex is not None:
        substitution = RegexMatchAndSubstitute(pattern=RegexMatcher(regex=regex.match), substitution=regex.rewrite)
    return replace(
        action,
        append_x_forwarded_host=context.headers.x_forwarded_host,
        regex_rewrite=substitution,
        prefix_rewrite=rewrite.uri if regex is None else "",
    )


def _mirrors(rule: HTTPRoute, context: RouteContext) -> tuple[RequestMirrorPolicy, ...]:
    wanted = [(rule.mirror, _mirror_share(rule))] if rule.mirror is not None else []
    wanted += [(mirror.destination, _share(mirror.percentage)) for mirror in rule.mirrors if mirror.destination]
    return tuple(
        RequestMirrorPolicy(
            cluster=_cluster(destination, context),
            runtime_fraction=RuntimeFractionalPercent(default_value=share),
            trace_sampled=False,
            disable_shadow_host_suffix_append=context.push.features.disable_shadow_host_suffix,
        )
        for destination, share in wanted
        if share is not None
    )


def _mirror_share(rule: HTTPRoute) -> FractionalPercent | None:
    if rule.mirror_percentage is not None or rule.mirror_percent is None:
        return _share(rule.mirror_percentage)
    return whole(rule.mirror_percent) if rule.mirror_percent > 0 else None


def _share(percentage: Percent | None) -> FractionalPercent | None:
    """All of them by default; None where nothing is mirrored."""
    if percentage is None:
        return whole(100)
    return fractional(percentage) if percentage.value > 0 else None


def redirect(rule: HTTPRedirect, context: RouteContext) -> RedirectAction | None:
    """The redirect; None for a status code that Envoy does not know (istiod then sends a route without action)."""
    code = _REDIRECT_CODES.get(rule.redirect_code)
    if code is None:
        context.push.problems.report(
            "SBX0523",
            f"redirects with status {rule.redirect_code} are unknown to Envoy, which refuses the whole route table",
            rule.origin_of("redirect_code"),
            hint="use 301, 302, 303, 307 or 308",
        )
        return None
    return RedirectAction(
        host_redirect=rule.authority,
        path_redirect=(rule.uri or None) if not rule.prefix_rewrite else None,
        prefix_rewrite=rule.prefix_rewrite or None,
        scheme_redirect=rule.scheme or None,
        port_redirect=_redirect_port(rule, context),
        response_code=code,
    )


def _redirect_port(rule: HTTPRedirect, context: RouteContext) -> int:
    port = context.listen_port if rule.derive_port == "FROM_REQUEST_PORT" else rule.port or 0
    scheme = rule.scheme or ("https" if context.is_tls else "http")
    return 0 if port == _DEFAULT_PORTS.get(scheme) else port


def direct_response(rule: HTTPDirectResponse) -> DirectResponseAction:
    """A fixed answer."""
    body = None
    if rule.body is not None and rule.body.string is not None:
        body = DataSource(inline_string=rule.body.string)
    elif rule.body is not None and rule.body.bytes is not None:
        body = DataSource(inline_bytes=rule.body.bytes)
    return DirectResponseAction(status=rule.status, body=body)
