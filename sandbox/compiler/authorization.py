"""AuthorizationPolicies as RBAC filters of a gateway: AUDIT, DENY, ALLOW, each enforced and as a dry run.

A sidecar's outbound side has none of them. Source: Istio pilot/pkg/security/authz/builder/builder.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.compiler.authorization_attributes import NotExpressible
from sandbox.compiler.authorization_rules import MATCH_NEVER, RuleContext, translate_rule
from sandbox.compiler.policy_attachment import policies_for
from sandbox.compiler.provider_clusters import lookup_cluster
from sandbox.compiler.trust_domains import TrustDomains
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.authorization_policy import AuthorizationPolicy
from sandbox.istio.resource import Resource
from sandbox.plan import filter_names
from sandbox.plan.because import Because
from sandbox.plan.http_connection_manager import HttpFilter
from sandbox.plan.listener import Filter
from sandbox.plan.rbac import HttpRbac, NetworkRbac, Policy, Rules
from sandbox.yaml_source.problems import Problems

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

DRY_RUN_ANNOTATION = "istio.io/dry-run"
STAT_PREFIX = "tcp."

BAD_CUSTOM_SUFFIX = "-deny-due-to-bad-CUSTOM-action"
CUSTOM_PREFIX = "istio-ext-authz"

_RBAC_ACTIONS = {"AUDIT": "LOG", "DENY": "DENY", "ALLOW": "ALLOW"}
"""Istio's action to Envoy's, in the order of the filters."""
_SHADOW_PREFIXES = {"ALLOW": "istio_dry_run_allow_", "DENY": "istio_dry_run_deny_"}
_TRUE_WORDS = frozenset({"1", "t", "T", "true", "TRUE", "True"})

AuthorizationResource = Resource[AuthorizationPolicy]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationFilters:
    """The filters of one gateway; CUSTOM stands before authentication, the others after it."""

    custom_http: tuple[HttpFilter, ...] = ()
    custom_tcp: tuple[Filter, ...] = ()
    http: tuple[HttpFilter, ...] = ()
    tcp: tuple[Filter, ...] = ()
    because: tuple[Because, ...] = ()


def build_authorization(push: PushContext, proxy: Proxy) -> AuthorizationFilters:
    """The RBAC filters that the policies of this gateway make, for HTTP and for TCP chains."""
    policies: list[AuthorizationResource] = policies_for(push.configuration, "AuthorizationPolicy", proxy)
    if not policies:
        return AuthorizationFilters()
    mesh = push.configuration.mesh
    domains = TrustDomains((mesh.trust_domain, *mesh.trust_domain_aliases))
    by_action = {
        action: [policy for policy in policies if policy.spec.action == action] for action in (*_RBAC_ACTIONS, "CUSTOM")
    }
    _report_authorizers(by_action["CUSTOM"], push.problems)
    custom_http = _custom_rules(by_action["CUSTOM"], domains, for_tcp=False)
    custom_tcp = _custom_rules(by_action["CUSTOM"], domains, for_tcp=True)
    if len(custom_tcp) == 1:
        custom_tcp = {name: rules for name, rules in custom_tcp.items() if not _is_asked_by_http(push, name)}
    enforced = [
        (_RBAC_ACTIONS[action], by_action[action], for_tcp)
        for for_tcp in (False, True)
        for action in _RBAC_ACTIONS
        if by_action[action]
    ]
    built = [(for_tcp, _rule_sets(action, group, domains, for_tcp)) for action, group, for_tcp in enforced]
    return AuthorizationFilters(
        custom_http=tuple(
            HttpFilter(name=filter_names.HTTP_RBAC, typed_config=HttpRbac(rules=rules))
            for rules in custom_http.values()
        ),
        custom_tcp=tuple(
            Filter(name=filter_names.NETWORK_RBAC, typed_config=NetworkRbac(rules=rules, stat_prefix=STAT_PREFIX))
            for rules in custom_tcp.values()
        ),
        http=tuple(_http_filter(sets) for for_tcp, sets in built if not for_tcp),
        tcp=tuple(_tcp_filter(sets) for for_tcp, sets in built if for_tcp),
        because=tuple(Because("authorization policy", policy.origin) for policy in policies),
    )


@dataclass(frozen=True, slots=True)
class _RuleSets:
    """What is enforced and what is only evaluated; None where no policy is of that sort."""

    enforced: Rules | None
    shadow: Rules | None

    @property
    def shadow_prefix(self) -> str:
        return _SHADOW_PREFIXES.get(self.shadow.action if self.shadow is not None else "ALLOW", "")


def _http_filter(sets: _RuleSets) -> HttpFilter:
    return HttpFilter(
        name=filter_names.HTTP_RBAC,
        typed_config=HttpRbac(
            rules=sets.enforced, shadow_rules=sets.shadow, shadow_rules_stat_prefix=sets.shadow_prefix
        ),
    )


def _tcp_filter(sets: _RuleSets) -> Filter:
    return Filter(
        name=filter_names.NETWORK_RBAC,
        typed_config=NetworkRbac(
            rules=sets.enforced,
            shadow_rules=sets.shadow,
            shadow_rules_stat_prefix=sets.shadow_prefix,
            stat_prefix=STAT_PREFIX,
        ),
    )


def _rule_sets(
    action: str, policies: Iterable[AuthorizationResource], domains: TrustDomains, for_tcp: bool
) -> _RuleSets:
    enforced: dict[str, Policy] | None = None
    shadow: dict[str, Policy] | None = None
    for policy in policies:
        context = RuleContext(
            policy_namespace=policy.namespace, for_tcp=for_tcp, strict=action == "ALLOW", trust_domains=domains
        )
        translated = _policy_rules(policy, context)
        if policy.metadata.annotations.get(DRY_RUN_ANNOTATION, "") in _TRUE_WORDS:
            shadow = {**(shadow or {}), **translated}
        else:
            enforced = {**(enforced or {}), **translated}
    return _RuleSets(
        enforced=None if enforced is None else Rules(action=action, policies=enforced),
        shadow=None if shadow is None else Rules(action=action, policies=shadow),
    )


def _policy_rules(policy: AuthorizationResource, context: RuleContext, prefix: str = "") -> dict[str, Policy]:
    """The policy's rules by name; a rule that cannot be expressed on this chain is left out."""
    names = f"{prefix}ns[{policy.namespace}]-policy[{policy.name}]-rule"
    if not policy.spec.rules:
        return {f"{names}[0]": replace(MATCH_NEVER, because=(Because("policy without rules", policy.origin),))}
    rules: dict[str, Policy] = {}
    for index, rule in enumerate(policy.spec.rules):
        try:
            rules[f"{names}[{index}]"] = translate_rule(rule, context)
        except NotExpressible:
            continue
    return rules


def _report_authorizers(policies: Iterable[AuthorizationResource], problems: Problems) -> None:
    for policy in policies:
        problems.report(
            "SBX0544",
            f'the external authorizer "{_provider(policy)}" is not emulated: requests that its rules match are denied',
            policy.spec.origin_of("action"),
            severity="warning",
            hint="use action ALLOW or DENY to decide in the proxy",
        )


def _provider(policy: AuthorizationResource) -> str:
    return policy.spec.provider.name if policy.spec.provider is not None else ""


def _custom_rules(
    policies: Iterable[AuthorizationResource], domains: TrustDomains, *, for_tcp: bool
) -> dict[str, Rules]:
    """Rules by authorizer: as none is asked, they deny, as istiod's do for an unusable provider."""
    by_provider: dict[str, dict[str, Policy]] = {}
    for policy in policies:
        provider = _provider(policy)
        context = RuleContext(policy_namespace=policy.namespace, for_tcp=for_tcp, strict=False, trust_domains=domains)
        prefix = f"{CUSTOM_PREFIX}-{provider}-" if provider else f"{CUSTOM_PREFIX}-"
        by_provider.setdefault(provider, {}).update(_policy_rules(policy, context, prefix))
    return {provider: _denying(by_provider[provider]) for provider in sorted(by_provider)}


def _is_asked_by_http(push: PushContext, name: str) -> bool:
    """Whether the authorizer is a known one that only HTTP requests can be shown to."""
    provider = next((each for each in push.mesh.extension_providers if each.name == name), None)
    asked = provider.envoy_ext_authz_http if provider is not None else None
    return asked is not None and lookup_cluster(push, asked.service, asked.port) is not None


def _denying(policies: Mapping[str, Policy]) -> Rules:
    return Rules(action="DENY", policies={name + BAD_CUSTOM_SUFFIX: policy for name, policy in policies.items()})
