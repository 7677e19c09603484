"""AuthorizationPolicy: rules, sources, operations, conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from sandbox.istio.authorization_policy import AuthorizationPolicy, Condition, Operation, Rule, Source
from sandbox.istio.message import Message
from sandbox.istio.resource import Resource
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.primitives import is_cidr, is_ip_address
from sandbox.istio.validate.shared import check_attachment

_NOT_CUSTOM: Final = (
    "namespaces",
    "not_namespaces",
    "service_accounts",
    "not_service_accounts",
    "trust_domains",
    "not_trust_domains",
    "principals",
    "not_principals",
    "request_principals",
    "not_request_principals",
)
_NOT_CUSTOM_KEYS: Final = ("source.namespace", "source.serviceAccount", "source.trustDomain", "source.principal")
_TCP_SOURCE: Final = (
    "principals",
    "not_principals",
    "ip_blocks",
    "not_ip_blocks",
    "namespaces",
    "not_namespaces",
    "remote_ip_blocks",
    "not_remote_ip_blocks",
    "service_accounts",
    "not_service_accounts",
)
_LITERAL: Final = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@=]+")
_ONLY_HTTP: Final = (
    "configured AuthorizationPolicy will deny all traffic to TCP ports under its scope "
    "due to the use of only HTTP attributes in a DENY rule"
)
_NEVER: Final = "without rules is meaningless as it will never be triggered"
_EVERYTHING: Final = "add an empty rule {} for every request"

ValuesRule = Callable[[Sequence[str]], str | None]


def validate_authorization_policy(resource: Resource[AuthorizationPolicy], findings: Findings) -> None:
    """Every rule about an AuthorizationPolicy by itself."""
    policy = resource.spec
    check_attachment(policy, policy.selector, policy.targetRef, policy.targetRefs, findings)
    if policy.action == "CUSTOM":
        _check_custom(policy, findings)
    elif policy.provider is not None:
        message = f"provider must not be with non CUSTOM action, found {policy.action}"
        findings.error(message, policy, "provider")
    if policy.action == "DENY" and not policy.rules:
        findings.error(f"DENY action {_NEVER}", policy, "action", hint=_EVERYTHING)
    for rule in policy.rules:
        only_http = _check_rule(rule, findings)
        if only_http and policy.action == "DENY":
            findings.warn(_ONLY_HTTP, rule, hint="name the port in to.operation.ports")


def _check_custom(policy: AuthorizationPolicy, findings: Findings) -> None:
    if not policy.rules:
        findings.error(f"CUSTOM action {_NEVER}", policy, "action", hint=_EVERYTHING)
    elif policy.provider is None or not policy.provider.name:
        findings.error("provider.name must not be empty", policy, "action")
    froms = (each for rule in policy.rules for each in rule.from_)
    for source in (each.source for each in froms if each.source is not None):
        for field in (field for field in _NOT_CUSTOM if getattr(source, field)):
            message = f"{source.place.key(field)} is currently not supported with CUSTOM action"
            findings.error(message, source, field)
    for condition in (condition for rule in policy.rules for condition in rule.when):
        if condition.key in _NOT_CUSTOM_KEYS or condition.key.startswith("request.auth."):
            message = f"{condition.key} is currently not supported with CUSTOM action"
            findings.error(message, condition, "key")


def _check_rule(rule: Rule, findings: Findings) -> bool:
    """Gives whether the rule looks at nothing that a TCP connection has."""
    sources = [each.source for each in rule.from_ if each.source is not None]
    operations = [each.operation for each in rule.to if each.operation is not None]
    for each in rule.from_:
        if each.source is None:
            findings.error("from.source must be set", each)
    for source in sources:
        _check_source(source, findings)
    for other in rule.to:
        if other.operation is None:
            findings.error("to.operation must be set", other)
    for operation in operations:
        _check_operation(operation, findings)
    for condition in rule.when:
        _check_condition(condition, findings)
    tcp_source = any(getattr(source, field) for source in sources for field in _TCP_SOURCE)
    tcp_operation = any(operation.ports or operation.not_ports for operation in operations)
    return bool((sources and not operations and not tcp_source) or (operations and not tcp_operation))


def _check_source(source: Source, findings: Findings) -> None:
    identities = source.principals + source.not_principals + source.namespaces + source.not_namespaces
    if identities and (source.service_accounts or source.not_service_accounts):
        message = "cannot set serviceAccounts with namespaces or principals"
        findings.error(message, source, "service_accounts")
    rules: dict[str, tuple[ValuesRule, ...]] = {
        "principals": (empty_value_fault,),
        "request_principals": (empty_value_fault,),
        "namespaces": (empty_value_fault,),
        "service_accounts": (service_account_fault,),
        "trust_domains": (trust_domain_fault,),
        "ip_blocks": (ip_block_fault, empty_value_fault),
        "remote_ip_blocks": (ip_block_fault, empty_value_fault),
    }
    _check_lists(source, rules, "from.source must not be empty", findings)


def _check_operation(operation: Operation, findings: Findings) -> None:
    rules: dict[str, tuple[ValuesRule, ...]] = {
        "ports": (port_list_fault, empty_value_fault),
        "methods": (empty_value_fault,),
        "paths": (empty_value_fault, path_template_fault),
        "hosts": (empty_value_fault,),
    }
    _check_lists(operation, rules, "to.operation must not be empty", findings)


def _check_lists(at: Message, rules: dict[str, tuple[ValuesRule, ...]], if_empty: str, findings: Findings) -> None:
    """Each list and its ``not_`` sibling; at least one of them all has something in it."""
    written = {name: getattr(at, name) for field in rules for name in (field, f"not_{field}")}
    if not any(written.values()):
        findings.error(if_empty, at)
    for name, values in written.items():
        for rule in rules[name.removeprefix("not_")]:
            findings.check(rule(values), at, name)


def _check_condition(condition: Condition, findings: Findings) -> None:
    if not condition.key:
        findings.error("key must not be empty", condition)
        return
    if not condition.values and not condition.not_values:
        findings.error(f"at least one of values or notValues must be set for key {condition.key}", condition)
        return
    for field in ("values", "not_values"):
        fault = attribute_fault(condition.key, getattr(condition, field))
        if fault is not None:
            findings.error(f"invalid {condition.place.key(field)} for key {condition.key}: {fault}", condition, field)


def empty_value_fault(values: Sequence[str]) -> str | None:
    """No empty texts."""
    return "empty value not allowed" if "" in values else None


def wildcard_fault(values: Sequence[str]) -> str | None:
    """At most one ``*``, at the start or the end."""
    for value in values:
        if value.count("*") > 1:
            return f"at most one wildcard is allowed: {value!r}"
        if "*" in value and not value.startswith("*") and not value.endswith("*"):
            return f"wildcard is only allowed at the start or end: {value!r}"
    return empty_value_fault(values)


def trust_domain_fault(values: Sequence[str]) -> str | None:
    """Trust domains have no slash."""
    slashed = next((value for value in values if "/" in value), None)
    return f"trust domain must not contain '/': {slashed!r}" if slashed is not None else wildcard_fault(values)


def service_account_fault(values: Sequence[str]) -> str | None:
    """``name`` or ``namespace/name``, at most 16 of them."""
    if len(values) > 16:
        return "may not have more than 16 values"
    for value in values:
        if not value or "*" in value:
            return "wildcard not allowed" if value else "empty value not allowed"
        parts = value.split("/")
        if len(parts) > 2 or "" in parts:
            return f"expected format 'serviceAccount' or 'namespace/serviceAccount', found {value!r}"
        if len(value) > 320:
            return f"value cannot exceed 320 characters, found {value!r}"
    return None


def ip_block_fault(values: Sequence[str]) -> str | None:
    """Addresses and CIDR blocks."""
    for value in values:
        if "/" in value and not is_cidr(value):
            return f"bad CIDR range ({value})"
        if "/" not in value and not is_ip_address(value):
            return f"bad IP address ({value})"
    return None


def port_list_fault(values: Sequence[str]) -> str | None:
    """Ports as text."""
    for value in values:
        if not (value.isascii() and value.isdecimal()) or int(value[:20]) > 65535:
            return f"bad port ({value})"
    return None


def path_template_fault(values: Sequence[str]) -> str | None:
    """``{*}`` is one segment, ``{**}`` the rest; no other braces."""
    for value in values:
        fault = _segments_fault(value.strip("/").split("/"), template="{*}" in value or "{**}" in value)
        if fault is not None:
            return f"invalid or unsupported path {value}: {fault}"
    return None


def _segments_fault(segments: Sequence[str], *, template: bool) -> str | None:
    rest = False
    for segment in segments:
        operator = segment in ("{*}", "{**}")
        if operator and rest:
            return "{**} is not the last operator"
        rest = rest or segment == "{**}"
        if not operator and ("{" in segment or "}" in segment):
            return "contains a brace beyond a supported path template"
        if not operator and template and not _LITERAL.fullmatch(segment):
            return f"segment {segment!r} is no literal"
    return None


_FREE: Final = (
    "source.namespace",
    "source.principal",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "connection.sni",
)
_RULES: Final[dict[str, ValuesRule]] = {
    "source.ip": ip_block_fault,
    "remote.ip": ip_block_fault,
    "destination.ip": ip_block_fault,
    "destination.port": port_list_fault,
    "source.serviceAccount": service_account_fault,
    "source.trustDomain": wildcard_fault,
}


def attribute_fault(key: str, values: Sequence[str]) -> str | None:
    """A condition on an attribute istiod knows, with values it can have."""
    empty = empty_value_fault(values)
    if empty is not None or key in _FREE:
        return empty
    if key in _RULES:
        return _RULES[key](values)
    if key.startswith(("request.headers", "request.auth.claims", "experimental.envoy.filters.")):
        bracket = key.find("[")
        sound = key.endswith("]") and 0 < bracket < len(key) - 2
        return None if sound else f"bad key ({key}): should have format a[b]"
    if key == "destination.namespace":
        return f"attribute {key} is replaced by the metadata.namespace"
    if key.startswith("destination.labels"):
        return f"attribute {key} is replaced by the workload selector"
    return f"unknown attribute: {key}"
