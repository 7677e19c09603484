"""One HTTP rule of a VirtualService: matches, actions, headers, destinations."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.istio.destination import Destination, StringMatch
from sandbox.istio.http_actions import HTTPMirrorPolicy, HTTPRedirect, HTTPRewrite
from sandbox.istio.http_route import HTTPMatchRequest, HTTPRoute
from sandbox.istio.message import Message
from sandbox.istio.validate.destination_rule import subset_name_fault
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.headers import check_header_operations, is_authority, match_name_fault
from sandbox.istio.validate.http_actions import (
    check_cors,
    check_direct_response,
    check_fault,
    check_retries,
)
from sandbox.istio.validate.primitives import host_hint, is_label, port_fault, wildcard_domain_fault
from sandbox.istio.validate.regex import regex_fault
from sandbox.istio.validate.shared import check_gateway_names, check_labels
from sandbox.istio.validate.traffic_policy import check_duration


def check_http_route(route: HTTPRoute, findings: Findings, *, delegated: bool, any_destination: bool) -> None:
    """Everything about one rule; ``delegated`` if its VirtualService has no hosts."""
    _check_conflicts(route, findings, delegated=delegated)
    with findings.errors_only():
        for match in route.match:
            _check_match(match, findings)
    check_header_operations(route.headers, findings)
    check_cors(route.cors_policy, findings)
    with findings.errors_only():
        check_fault(route.fault, findings)
    _check_mirror(route, findings)
    if route.redirect is not None:
        _check_redirect(route.redirect, route.match, findings)
    check_direct_response(route.direct_response, findings)
    check_retries(route.retries, findings)
    if route.rewrite is not None:
        _check_rewrite(route.rewrite, findings)
    _check_authority_once(route, findings)
    check_weighted(route.route, findings, any_destination=any_destination)
    for destination in route.route:
        check_header_operations(destination.headers, findings)
    check_duration(route, "timeout", findings)


def _check_conflicts(route: HTTPRoute, findings: Findings, *, delegated: bool) -> None:
    if route.delegate is not None and not delegated:
        for field in ("redirect", "route"):
            if getattr(route, field):
                findings.error(f"root HTTP route {route.name} must not specify {field}", route, field)
        return
    if route.delegate is not None:
        findings.error("delegate HTTP route cannot contain delegate", route, "delegate")
    answer = (
        "redirect" if route.redirect is not None else "direct_response" if route.direct_response is not None else ""
    )
    if answer:
        _check_answers_alone(route, answer, findings)
    elif not route.route:
        findings.error("HTTP route, redirect or directResponse is required", route)
    if route.mirror is not None and route.mirrors:
        findings.error("HTTP route cannot contain both mirror and mirrors", route, "mirrors")


def _check_answers_alone(route: HTTPRoute, answer: str, findings: Findings) -> None:
    others = ("route", "fault", "rewrite", *(["direct_response"] if answer == "redirect" else []))
    for field in others:
        if getattr(route, field):
            key, other = route.place.key(field), route.place.key(answer)
            findings.error(f"HTTP route cannot contain both {key} and {other}", route, field)


def string_match_fault(match: StringMatch | None) -> str | None:
    """A prefix is not empty, a regex is one."""
    if match is None:
        return None
    if match.regex is not None:
        return regex_match_fault(match)
    return "prefix string match should not be empty" if match.prefix == "" else None


def regex_match_fault(match: StringMatch | None) -> str | None:
    """A regex is not empty, and RE2."""
    if match is None or match.regex is None:
        return None
    return regex_fault(match.regex) if match.regex else "regex string match should not be empty"


def _check_match(match: HTTPMatchRequest, findings: Findings) -> None:
    for name, value in match.headers.items():
        findings.check(match_name_fault(name), match, "headers", name)
        findings.check(string_match_fault(value), match, "headers", name)
    for name, value in match.without_headers.items():
        findings.check(match_name_fault(name), match, "without_headers", name)
        if value.regex != "*":
            findings.check(string_match_fault(value), match, "without_headers", name)
    findings.check(regex_match_fault(match.uri), match, "uri")
    for field in ("scheme", "method", "authority"):
        findings.check(string_match_fault(getattr(match, field)), match, field)
    for name, value in match.query_params.items():
        findings.check(string_match_fault(value), match, "query_params", name)
    if match.port:
        findings.check(port_fault(match.port), match, "port")
    check_labels(match, "source_labels", findings)
    check_gateway_names(match.gateways, match, findings)
    if match.source_namespace and not is_label(match.source_namespace):
        findings.error(f"sourceNamespace match {match.source_namespace} is invalid", match, "source_namespace")


def _check_mirror(route: HTTPRoute, findings: Findings) -> None:
    if route.mirror_percent is not None:
        if route.mirror_percent > 100:
            message = f"mirrorPercent must have a max value of 100 (it has {route.mirror_percent})"
            findings.error(message, route, "mirror_percent")
        findings.warn("mirrorPercent is deprecated, use mirrorPercentage instead", route, "mirror_percent")
    if route.mirror_percentage is not None and not 0 <= route.mirror_percentage.value <= 100:
        message = f"mirrorPercentage must be between 0 and 100 (it has {route.mirror_percentage.value})"
        findings.error(message, route, "mirror_percentage")
    check_destination(route.mirror, findings)
    for mirror in route.mirrors:
        _check_mirror_policy(mirror, findings)


def _check_mirror_policy(mirror: HTTPMirrorPolicy, findings: Findings) -> None:
    if mirror.destination is None:
        findings.error("destination is required for mirrors", mirror)
        return
    check_destination(mirror.destination, findings)
    if mirror.percentage is not None and not 0 <= mirror.percentage.value <= 100:
        message = f"mirror percentage must be between 0 and 100 (it has {mirror.percentage.value})"
        findings.error(message, mirror, "percentage")


def _check_redirect(redirect: HTTPRedirect, matches: Sequence[HTTPMatchRequest], findings: Findings) -> None:
    if redirect.uri and redirect.prefix_rewrite:
        findings.error("redirect may only specify one of uri or prefixRewrite", redirect, "prefix_rewrite")
        return
    if redirect.prefix_rewrite and any(each.uri is not None and each.uri.prefix is None for each in matches):
        message = "redirect prefixRewrite requires all URI matches to use prefix match type"
        findings.error(message, redirect, "prefix_rewrite")
        return
    port_set = redirect.port is not None or redirect.derive_port is not None
    if not any((redirect.uri, redirect.prefix_rewrite, redirect.authority, port_set, redirect.scheme)):
        findings.error("redirect must specify URI, authority, scheme, or port", redirect)
    elif redirect.redirect_code and not 300 <= redirect.redirect_code <= 399:
        message = f"{redirect.redirect_code} is not a valid redirect code, must be 3xx"
        findings.error(message, redirect, "redirect_code")
    elif redirect.scheme not in ("", "http", "https"):
        findings.error('invalid redirect scheme, must be "http" or "https"', redirect, "scheme")
    elif redirect.port:
        findings.check(port_fault(redirect.port), redirect, "port")


def _check_rewrite(rewrite: HTTPRewrite, findings: Findings) -> None:
    regex = rewrite.uri_regex_rewrite
    if rewrite.uri and regex is not None:
        findings.error("rewrite may only contain one of uri or uriRegexRewrite", rewrite, "uri_regex_rewrite")
    elif not rewrite.uri and regex is None and not rewrite.authority:
        findings.error("rewrite must specify at least one of uri, uriRegexRewrite, or authority", rewrite)
    elif regex is not None and (not regex.match or not regex.rewrite):
        findings.error("uriRegexRewrite requires both rewrite and match to be specified", regex)
    elif regex is not None:
        findings.check(regex_fault(regex.match), regex, "match")


def _check_authority_once(route: HTTPRoute, findings: Findings) -> None:
    current = route.rewrite.authority if route.rewrite is not None else ""
    request = route.headers.request if route.headers is not None else None
    if request is None:
        return
    written = [("set", *item) for item in request.set.items()] + [("add", *item) for item in request.add.items()]
    for field, name, value in written:
        if not is_authority(name):
            continue
        if current:
            message = f"authority header cannot be set multiple times: have {current!r}, attempting to set {value!r}"
            findings.error(message, request, field, name)
            return
        current = value


def check_weighted(destinations: Sequence[Message], findings: Findings, *, any_destination: bool) -> None:
    """Destinations of a rule with their weights: not negative, and not all zero if there are several."""
    total = 0
    for weighted in destinations:
        destination = getattr(weighted, "destination", None)
        weight = getattr(weighted, "weight", 0)
        if destination is None:
            findings.error("destination is required", weighted)
        elif not any_destination:
            check_destination(destination, findings)
        if weight < 0:
            findings.error(f"weight {weight} < 0", weighted, "weight")
        total += weight
    if len(destinations) > 1 and total == 0:
        findings.error("total destination weight = 0", destinations[0], hint="give each destination its weight")


def check_destination(destination: Destination | None, findings: Findings) -> None:
    """Host, subset and port of a destination."""
    if destination is None:
        return
    if destination.host == "*":
        findings.error("invalid destination host *", destination, "host")
    else:
        findings.check(wildcard_domain_fault(destination.host), destination, "host", hint=host_hint(destination.host))
    if destination.subset:
        findings.check(subset_name_fault(destination.subset), destination, "subset")
    if destination.port is not None:
        findings.check(port_fault(destination.port.number), destination.port, "number")
