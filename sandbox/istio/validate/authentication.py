"""PeerAuthentication and RequestAuthentication."""

from __future__ import annotations

import re
from typing import Final

from sandbox.istio.peer_authentication import PeerAuthentication
from sandbox.istio.request_authentication import JWTRule, RequestAuthentication
from sandbox.istio.resource import Resource
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.headers import strict_name_fault
from sandbox.istio.validate.jwks import jwks_fault, private_keys
from sandbox.istio.validate.shared import check_attachment, check_policy_selector
from sandbox.istio.validate.traffic_policy import check_duration

_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_URI: Final = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):|(?![^/?#]*:))(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)"
)
_AUTHORITY: Final = re.compile(r"(?:\[[^\[\]]*\]|[^\s\[\]<>\"^`{|}\\:]*)(?::[0-9]*)?")
_BAD_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")


def validate_peer_authentication(resource: Resource[PeerAuthentication], findings: Findings) -> None:
    """Selector and ports; only a workload's policy can speak of ports."""
    policy = resource.spec
    selected = policy.selector is not None and bool(policy.selector.match_labels)
    if policy.port_level_mtls and not selected:
        message = "mesh/namespace peer authentication cannot have port level mTLS"
        findings.error(message, policy, "port_level_mtls", hint="select a workload by matchLabels")
    if not policy.port_level_mtls and policy.place.value("port_level_mtls") is not None:
        findings.error("port level mTLS, if defined, must have at least one element", policy, "port_level_mtls")
    for port in policy.port_level_mtls:
        if not 1 <= port <= 65535:
            findings.error("port must be in range 1..65535", policy, "port_level_mtls", str(port))
    check_policy_selector(policy.selector, findings)


def validate_request_authentication(resource: Resource[RequestAuthentication], findings: Findings) -> None:
    """Attachment and JWT rules."""
    policy = resource.spec
    check_attachment(policy, policy.selector, policy.targetRef, policy.targetRefs, findings)
    for rule in policy.jwt_rules:
        _check_rule(rule, findings)


def _check_rule(rule: JWTRule, findings: Findings) -> None:
    if "" in rule.audiences:
        findings.error("audience must be non-empty string", rule, "audiences")
    if not rule.issuer and not rule.jwks_uri:
        findings.error("issuer or jwksUri must be non-empty string", rule)
    _check_keys(rule, findings)
    for header in rule.from_headers:
        if not header.name:
            findings.error("location header name must be non-empty string", header)
    for field, meaning in (("from_params", "location query"), ("from_cookies", "cookie name")):
        if "" in getattr(rule, field):
            findings.error(f"{meaning} must be non-empty string", rule, field)
    for claim in rule.output_claim_to_headers:
        if not claim.claim or not claim.header:
            findings.error("outputClaimToHeaders header and claim value must be non-empty string", claim)
        else:
            findings.check(strict_name_fault(claim.header), claim, "header")
    check_duration(rule, "timeout", findings)


def _check_keys(rule: JWTRule, findings: Findings) -> None:
    if rule.jwks_uri:
        findings.check(_uri_fault(rule.jwks_uri), rule, "jwks_uri")
    if rule.jwks:
        fault = jwks_fault(rule.jwks)
        findings.check(fault, rule, "jwks")
        for index in private_keys(rule.jwks) if fault is None else ():
            message = f"jwks key at index {index} contains private key material; only public keys are used"
            findings.warn(message, rule, "jwks")


def _uri_fault(uri: str) -> str | None:
    """As Go's ``url.Parse`` takes it, with a scheme that can be fetched."""
    match = _URI.match(uri)
    if _CONTROL.search(uri) or match is None or _BAD_ESCAPE.search(match["path"]):
        return f"invalid URI {uri!r}"
    scheme, authority = match["scheme"] or "", (match["authority"] or "").rpartition("@")[2]
    if authority and _AUTHORITY.fullmatch(authority) is None:
        return f"invalid URI {uri!r}"
    return None if scheme.lower() in ("http", "https") else f"URI scheme {scheme!r} is not supported"
