"""The ordered routes of one VirtualService, and the default route of a service (Istio route.go).

Used for sidecars and gateways alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from sandbox.compiler import route_actions
from sandbox.compiler.cors import translate_cors_policy
from sandbox.compiler.delegates import DelegatedRule
from sandbox.compiler.faults import translate_fault
from sandbox.compiler.hash_policies import because_of_hashes, hash_for_service, translate_hash
from sandbox.compiler.header_operations import TranslatedHeaders, translate_headers
from sandbox.compiler.names import outbound_cluster, parse_subset_key
from sandbox.compiler.retries import RetryDefaults, retry_defaults
from sandbox.compiler.route_actions import NO_TIMEOUT, RouteContext
from sandbox.compiler.route_matches import MATCH_ALL, is_catch_all, path_text, translate_match
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.http_route import HTTPMatchRequest, HTTPRoute
from sandbox.istio.load_balancing import ConsistentHashLB
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import VirtualService
from sandbox.plan import filter_names
from sandbox.plan.base import Extension
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.route import Decorator, DirectResponseAction, RedirectAction, Route, RouteAction, RouteMatch

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.services import Service, ServicePort
    from sandbox.compiler.sidecar_scope import SidecarScope

__all__ = ["RouteContext", "build_default_route", "build_http_routes", "is_catch_all", "retry_defaults"]

DEFAULT_ROUTE: Final = "default"
"""The name of a service's route where no VirtualService applies."""

_DEFAULT_BECAUSE: Final = Because(
    "route", IstioDefault("a service without a VirtualService gets all requests for its hosts")
)


def build_http_routes(virtual_service: Resource[VirtualService], context: RouteContext) -> tuple[Route, ...]:
    """The routes in the order they are written; empty when the VirtualService has none for this port and gateway.

    Nothing after a route that matches every request is made, as it could not be reached.
    """
    routes: list[Route] = []
    rules = virtual_service.spec.http
    for index, rule in enumerate(rules):
        for match in rule.match or (None,):
            route = _translate(rule, match, virtual_service, context)
            if route is not None:
                routes.append(route)
            if match is None or (route is not None and route.match is not None and is_catch_all(route.match)):
                if match is None or not _depends_on_client(match):
                    _report_unreachable(rules[index + 1 :], rule, context)
                return tuple(routes)
    return tuple(routes)


def _depends_on_client(match: HTTPMatchRequest) -> bool:
    """Whether the match applies to some ports, gateways or clients only, so that others get past it."""
    return bool(match.port or match.gateways or match.source_labels or match.source_namespace)


def _report_unreachable(rest: tuple[HTTPRoute, ...], catch_all: HTTPRoute, context: RouteContext) -> None:
    for rule in rest:
        context.push.problems.report(
            "SBX0521",
            "an earlier rule takes every request: this one is never reached",
            rule.origin,
            hint=f"the earlier rule is {catch_all.origin}; move it to the end",
            related=(catch_all.origin,),
        )


def applies_to_source(match: HTTPMatchRequest, proxy: Proxy, gateway_names: frozenset[str]) -> bool:
    """Conditions on the source; where gateways are named, labels and namespace do not count."""
    if match.gateways:
        return not gateway_names.isdisjoint(match.gateways)
    return all(
        proxy.labels.get(key) == value for key, value in match.source_labels.items()
    ) and match.source_namespace in ("", proxy.namespace)


def _translate(
    rule: HTTPRoute,
    match: HTTPMatchRequest | None,
    virtual_service: Resource[VirtualService],
    context: RouteContext,
) -> Route | None:
    if match is not None:
        if match.port not in (0, context.listen_port):
            return None
        if not applies_to_source(match, context.proxy, context.gateway_names):
            return None
    runtime_match = translate_match(match)
    done = _act(rule, context)
    return Route(
        name=rule.name if match is None or not match.name else f"{rule.name}.{match.name}",
        match=runtime_match,
        action=done.action,
        decorator=Decorator(operation=_operation(done.action, runtime_match, virtual_service.name, context)),
        typed_per_filter_config=_filter_config(rule, context),
        request_headers_to_add=done.headers.request_headers_to_add,
        request_headers_to_remove=done.headers.request_headers_to_remove,
        response_headers_to_add=done.headers.response_headers_to_add,
        response_headers_to_remove=done.headers.response_headers_to_remove,
        stat_prefix=match.stat_prefix if match is not None else "",
        because=(*_because(rule, match), *done.because),
    )


@dataclass(frozen=True, slots=True)
class _Done:
    action: RouteAction | RedirectAction | DirectResponseAction | None
    headers: TranslatedHeaders
    because: tuple[Because, ...]


def _act(rule: HTTPRoute, context: RouteContext) -> _Done:
    if rule.redirect is not None:
        because = (Because("redirect", rule.redirect.origin),)
        return _Done(route_actions.redirect(rule.redirect, context), translate_headers(rule.headers), because)
    if rule.direct_response is not None:
        because = (Because("direct response", rule.direct_response.origin),)
        return _Done(route_actions.direct_response(rule.direct_response), translate_headers(rule.headers), because)
    forwarding = route_actions.forward(rule, context)
    return _Done(forwarding.action, forwarding.headers, forwarding.because)


def _because(rule: HTTPRoute, match: HTTPMatchRequest | None) -> Iterator[Because]:
    if match is None:
        yield Because("route", rule.origin)
    else:
        yield Because("route match", match.origin)
    if isinstance(rule, DelegatedRule):
        yield Because("delegation", rule.delegated_by)
    if rule.fault is not None:
        yield Because("fault", rule.fault.origin)
    if rule.headers is not None:
        yield Because("headers", rule.headers.origin)
    if rule.cors_policy is not None:
        yield Because("CORS policy", rule.cors_policy.origin)


def _operation(
    action: RouteAction | RedirectAction | DirectResponseAction | None,
    match: RouteMatch,
    name: str,
    context: RouteContext,
) -> str:
    cluster = action.cluster if isinstance(action, RouteAction) else None
    key = parse_subset_key(cluster) if cluster else None
    where = f"{name}:{context.listen_port}" if key is None else f"{key.host}:{key.port}"
    return where + path_text(match)


def _filter_config(rule: HTTPRoute, context: RouteContext) -> Mapping[str, Extension] | None:
    config: dict[str, Extension] = {}
    if rule.fault is not None:
        fault = translate_fault(rule.fault)
        config[filter_names.FAULT] = fault
        unsupported = (rule.fault.delay and not fault.delay) or (rule.fault.abort and not fault.abort)
        if unsupported:
            context.push.problems.report(
                "SBX0526",
                "only fixedDelay, httpStatus and grpcStatus are implemented by Istio: the fault is ignored",
                rule.fault.origin,
            )
    if rule.cors_policy is not None:
        config[filter_names.CORS] = translate_cors_policy(rule.cors_policy)
    return config or None


@dataclass(frozen=True, slots=True)
class DefaultRoutes:
    """Makes the default routes of services; what they have in common is made once."""

    scope: SidecarScope
    proxy: Proxy
    retries: RetryDefaults

    def route(self, service: Service, port: ServicePort) -> Route:
        """All requests to the service's cluster, without timeout, with the default retries."""
        return build_default_route(service, port, self._hash(service, port), self.retries)

    def _hash(self, service: Service, port: ServicePort) -> ConsistentHashLB | None:
        rule = self.scope.destination_rule(self.proxy, service.host)
        return hash_for_service(rule.spec, port.number) if rule is not None else None


def build_default_route(
    service: Service, port: ServicePort, consistent_hash: ConsistentHashLB | None, retries: RetryDefaults
) -> Route:
    """The route of a service that no VirtualService routes."""
    policy = translate_hash(consistent_hash)
    line = port.origin or service.origin
    because = (_DEFAULT_BECAUSE,) if line is None else (Because("service port", line), _DEFAULT_BECAUSE)
    return Route(
        name=DEFAULT_ROUTE,
        match=MATCH_ALL,
        action=RouteAction(
            cluster=outbound_cluster(service.host, port.number),
            timeout=NO_TIMEOUT,
            max_grpc_timeout=NO_TIMEOUT,
            retry_policy=retries.plain,
            hash_policy=() if policy is None else (policy,),
        ),
        decorator=Decorator(operation=f"{service.host}:{port.number}/*"),
        because=because if policy is None else (*because, *because_of_hashes((consistent_hash,))),
    )
