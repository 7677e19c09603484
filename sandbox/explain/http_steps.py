"""The HTTP part of a walk: virtual host, route, faults and policies, and what the caller gets."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandbox.explain import access_steps, cluster_steps
from sandbox.explain.call import Call
from sandbox.explain.failure_steps import failure_notes, flags_if_refused
from sandbox.explain.near import nearest, other_ports
from sandbox.explain.policy_steps import (
    NOT_OF_MATCH,
    policy_step,
    preflight_answer,
    seconds_text,
    share_text,
    timeout_notes,
)
from sandbox.explain.steps import Hop, Outcome, Step
from sandbox.match import reference
from sandbox.match.facts import RequestFacts
from sandbox.match.rbac import denial_details
from sandbox.plan import NodePlan
from sandbox.plan.http_connection_manager import HttpConnectionManager, HTTPFault
from sandbox.plan.route import (
    DirectResponseAction,
    RedirectAction,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)

_REDIRECTS: Final = {
    "MOVED_PERMANENTLY": 301,
    "FOUND": 302,
    "SEE_OTHER": 303,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}
_NO_ROUTE: Final = Outcome(
    status=404, flags=("NR",), details="route_not_found", sentence="the proxy answers 404 with an empty body"
)


def through_routes(plan: NodePlan, call: Call, manager: HttpConnectionManager, steps: list[Step]) -> Outcome:
    """The way of a request through the routes of a connection manager."""
    configuration = manager.route_config
    if configuration is None and manager.rds is not None:
        configuration = plan.route_configurations.get(manager.rds.route_config_name)
    if configuration is None:
        return replace(_NO_ROUTE, sentence="there is no route configuration: the proxy answers 404")
    virtual_host = _find_virtual_host(plan, call, configuration, steps)
    is_redirected = virtual_host is not None and virtual_host.require_tls == "ALL" and call.scheme != "https"
    route = _find_route(call, virtual_host, steps) if virtual_host is not None and not is_redirected else None
    policy = access_steps.http_denial(call, manager, request_facts(call), steps)
    if policy is not None:
        return _denied(policy, route)
    if is_redirected:
        return _way_to_tls(call)
    return _NO_ROUTE if route is None else _act(plan, call, route, steps)


def _way_to_tls(call: Call) -> Outcome:
    """A server with ``httpsRedirect``, and a client that came without TLS."""
    location = f"https://{call.authority}{call.path}"
    return Outcome(status=301, details="direct_response", sentence=f"the proxy redirects to {location}")


def _denied(policy: str, route: Route | None) -> Outcome:
    action = route.action if route is not None else None
    return Outcome(
        status=403,
        details=denial_details(policy),
        cluster=(action.cluster or "") if isinstance(action, RouteAction) else "",
        route=route.name if route is not None else "",
        sentence="the proxy refuses the request: RBAC: access denied",
    )


def request_facts(call: Call) -> RequestFacts:
    """The request as the router sees it."""
    headers = [(name.lower().encode(), value.encode()) for name, value in call.headers]
    return RequestFacts(
        call.method.encode(),
        None if call.method == "CONNECT" else call.path.encode(),
        call.authority.encode(),
        call.scheme.encode(),
        [(name, value) for name, value in headers if name not in (b"host", b":authority")],
    )


def _find_virtual_host(
    plan: NodePlan, call: Call, configuration: RouteConfiguration, steps: list[Step]
) -> VirtualHost | None:
    choice = reference.choose_virtual_host(configuration, call.authority.encode())
    host = choice.chosen
    is_catch_all = host is None or host.domains == ("*",)
    others = [loser for loser in choice.losers if loser.candidate.domains != ("*",)]
    losers = nearest(
        others, lambda each: each.domains[0] if each.domains else each.name, call.host if is_catch_all else ""
    )
    if is_catch_all and plan.node_type != "router":
        losers += other_ports(plan, call)
    steps.append(
        Step(
            kind="virtual host",
            found=host.name if host is not None else "none",
            reason=f"{choice.reason} (routes {configuration.name})",
            because=host.because if host is not None else configuration.because,
            losers=losers,
        )
    )
    return host


def _find_route(call: Call, virtual_host: VirtualHost, steps: list[Step]) -> Route | None:
    choice = reference.choose_route(virtual_host, request_facts(call))
    route = choice.chosen
    losers = [loser for loser in sorted(choice.losers, key=_distance) if not _is_rest(loser)]
    if route is not None and match_text(route.match) != EVERY_PATH:
        losers = [loser for loser in losers if _distance(loser) < _PATH_DIFFERS]
    steps.append(
        Step(
            kind="route",
            found="none" if route is None else f"{route.name or 'without a name'}: {match_text(route.match)}",
            reason=choice.reason,
            because=() if route is None else tuple(each for each in route.because if each.what not in NOT_OF_MATCH),
            losers=nearest(losers, lambda each: f"{each.name or 'route'}: {match_text(each.match)}"),
        )
    )
    return route


EVERY_PATH: Final = "every path"
_PATH_DIFFERS: Final = 2


def _distance(loser: reference.Loser[Route]) -> int:
    """How far a route was from taking the request: it is shadowed, another criterion fails, the path differs."""
    if loser.reason == reference.SHADOWED:
        return 0
    return _PATH_DIFFERS if loser.reason.startswith("path ") else 1


def _is_rest(loser: reference.Loser[Route]) -> bool:
    """A last route that takes what others leave was not shadowed by them: that is what it is there for."""
    return loser.reason == reference.SHADOWED and match_text(loser.candidate.match) == EVERY_PATH


def match_text(match: RouteMatch | None) -> str:
    """A route's match in a few words."""
    if match is None:
        return "everything"
    if match.safe_regex is not None:
        path = f"path matches {match.safe_regex.regex}"
    elif match.path is not None:
        path = f"path {match.path}"
    elif match.path_separated_prefix is not None:
        path = f"path {match.path_separated_prefix} and below"
    else:
        path = f"path {match.prefix}*" if match.prefix not in ("/", None) else EVERY_PATH
    names = [header.name.removeprefix(":") for header in match.headers]
    names += [f"query {parameter.name}" for parameter in match.query_parameters]
    return path + (f", {', '.join(names)}" if names else "")


def _act(plan: NodePlan, call: Call, route: Route, steps: list[Step]) -> Outcome:
    fault = _fault(route)
    aborted = _find_fault(fault, steps) if fault is not None else None
    action = route.action
    if isinstance(action, DirectResponseAction):
        outcome = _direct_response(action, route)
    elif isinstance(action, RedirectAction):
        outcome = _redirect(action, route)
    elif isinstance(action, RouteAction):
        steps.append(policy_step(plan, call, action, route))
        outcome = cluster_steps.through_route(plan, call, action, steps)
        hop = _rewritten(call, action, route, outcome.hop)
        clusters = cluster_steps.clusters_of(plan, action)
        flags = flags_if_refused(action.retry_policy)
        notes = outcome.notes
        if outcome.is_forwarded:
            notes += (*timeout_notes(action), *failure_notes(action.retry_policy, clusters))
        outcome = replace(outcome, route=route.name, notes=notes, hop=hop, flags_if_refused=flags)
    else:
        outcome = Outcome(sentence="the route has no action")
    preflight = preflight_answer(call, route) if aborted is None else None
    if preflight is not None:
        return replace(preflight, route=route.name, cluster=outcome.cluster)
    if aborted is not None:
        return _as_grpc(call, replace(aborted, route=route.name, cluster=outcome.cluster))
    return _as_grpc(call, _with_fault(outcome, fault))


def _rewritten(call: Call, action: RouteAction, route: Route, hop: Hop | None) -> Hop | None:
    """The hop with host and path as the route leaves them."""
    if hop is None:
        return None
    path = None
    match = route.match
    taken = match.prefix or match.path_separated_prefix or match.path if match is not None else None
    if action.prefix_rewrite and taken is not None:
        path = action.prefix_rewrite + call.path[len(taken) :]
    return replace(hop, authority=action.host_rewrite_literal, path=path)


def _as_grpc(call: Call, outcome: Outcome) -> Outcome:
    """What the proxy itself answers to gRPC is 200 with a ``grpc-status``."""
    content_type = request_facts(call).header(b"content-type") or b""
    if outcome.is_forwarded or not outcome.status or not content_type.startswith(b"application/grpc"):
        return outcome
    return replace(outcome, status=200, notes=(*outcome.notes, f"gRPC: {outcome.status} becomes a grpc-status"))


def _direct_response(action: DirectResponseAction, route: Route) -> Outcome:
    body = action.body
    has_body = body is not None and bool(body.inline_string or body.inline_bytes or body.filename)
    return Outcome(
        status=action.status,
        details="direct_response",
        route=route.name,
        sentence=f"the proxy itself answers {action.status} with {'a' if has_body else 'an empty'} body",
    )


def _redirect(action: RedirectAction, route: Route) -> Outcome:
    status = _REDIRECTS.get(action.response_code, 301)
    parts = (
        ("https", action.https_redirect),
        (f"scheme {action.scheme_redirect}", action.scheme_redirect),
        (f"host {action.host_redirect}", action.host_redirect),
        (f"port {action.port_redirect}", action.port_redirect),
        (f"path {action.path_redirect}", action.path_redirect),
        (f"prefix {action.prefix_rewrite}", action.prefix_rewrite),
    )
    target = ", ".join(text for text, is_set in parts if is_set) or "the same place"
    return Outcome(
        status=status, details="direct_response", route=route.name, sentence=f"the proxy redirects to {target}"
    )


# --- faults and policies ---


def _fault(route: Route) -> HTTPFault | None:
    configs = (route.typed_per_filter_config or {}).values()
    return next((config for config in configs if isinstance(config, HTTPFault)), None)


def _find_fault(fault: HTTPFault, steps: list[Step]) -> Outcome | None:
    """Tells the fault; the outcome where it aborts every request."""
    told: list[str] = []
    delay, abort = fault.delay, fault.abort
    if delay is not None:
        told.append(f"delay {seconds_text(delay.fixed_delay)}{_for_share(delay.percentage)}")
    status = None
    if abort is not None:
        status = abort.http_status or (200 if abort.grpc_status is not None else None)
        told.append(f"abort with {status}{_for_share(abort.percentage)}")
    steps.append(Step(kind="fault", found=", ".join(told) or "none", because=fault.because))
    if abort is None or (abort.percentage is not None and abort.percentage.share < 1):
        return None
    is_delayed = delay is not None and (delay.percentage is None or delay.percentage.share >= 1)
    return Outcome(
        status=status,
        flags=("DI", "FI") if is_delayed else ("FI",),
        details="fault_filter_abort",
        sentence=f"the proxy aborts the request with {status}: fault filter abort",
    )


def _for_share(percentage: object) -> str:
    share = share_text(percentage)
    return f" for{share}" if share else ""


def _with_fault(outcome: Outcome, fault: HTTPFault | None) -> Outcome:
    if fault is None:
        return outcome
    notes: list[str] = []
    flags = outcome.flags
    delay, abort = fault.delay, fault.abort
    if delay is not None:
        if delay.percentage is None or delay.percentage.share >= 1:
            flags = ("DI", *flags)
            notes.append(f"after a delay of {seconds_text(delay.fixed_delay)}")
        else:
            notes.append(
                f"{share_text(delay.percentage).strip()} wait {seconds_text(delay.fixed_delay)} first (flag DI)"
            )
    if abort is not None and abort.percentage is not None and abort.percentage.share > 0:
        notes.append(f"{share_text(abort.percentage).strip()} get {abort.http_status} instead (flag FI)")
    return replace(outcome, flags=flags, notes=(*outcome.notes, *notes))
