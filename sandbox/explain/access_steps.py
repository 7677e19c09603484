"""The authorization part of a walk: which policy refuses the call, or lets it through."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.explain.call import Call
from sandbox.explain.steps import Step
from sandbox.match.facts import RequestFacts
from sandbox.match.rbac import AccessFacts, AccessRules
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import FilterChain
from sandbox.plan.rbac import HttpRbac, NetworkRbac, Rules

_PEER_PRINCIPAL = "io.istio.peer_principal"


def http_denial(call: Call, manager: HttpConnectionManager, request: RequestFacts, steps: list[Step]) -> str | None:
    """The policy that refuses a request (``none`` where no allowing one matches); ``None`` lets it through."""
    filters = (each.typed_config for each in manager.http_filters)
    facts = _facts(call)
    facts.request = request
    return _denial([each for each in filters if isinstance(each, HttpRbac)], facts, steps)


def network_denial(call: Call, chain: FilterChain, steps: list[Step]) -> str | None:
    """The same for a connection."""
    filters = (each.typed_config for each in chain.filters)
    return _denial([each for each in filters if isinstance(each, NetworkRbac)], _facts(call), steps)


def _denial(filters: Iterable[HttpRbac | NetworkRbac], facts: AccessFacts, steps: list[Step]) -> str | None:
    for each in filters:
        if each.shadow_rules is not None:
            steps.append(_dry_run(each.shadow_rules, facts))
        rules = each.rules
        if rules is None:
            continue
        access = AccessRules(rules)
        matched, denial = access.match(facts), access.decide(facts)
        policy = (rules.policies or {}).get(matched or "")
        because = policy.because if policy is not None else ()
        if denial is not None:
            reason = f"policy {matched} denies" if matched is not None else "no ALLOW policy matches"
            if not because:
                because = tuple(one for other in (rules.policies or {}).values() for one in other.because)
            steps.append(Step(kind="authorization", found="denied", reason=reason, because=because))
            return denial
        if rules.action != "LOG":
            reason = f"policy {matched} allows" if matched is not None else "no DENY policy matches"
            steps.append(Step(kind="authorization", found="allowed", reason=reason, because=because))
    return None


def _dry_run(rules: Rules, facts: AccessFacts) -> Step:
    """What policies with ``istio.io/dry-run`` would decide: nothing comes of it but what the log can tell."""
    access = AccessRules(rules)
    matched = access.match(facts)
    found = "would be allowed" if access.decide(facts) is None else "would be denied"
    reason = f"policy {matched} matches" if matched is not None else f"no {rules.action} policy matches"
    policies = (rules.policies or {}).values() if matched is None else [(rules.policies or {})[matched]]
    because = tuple(each for policy in policies for each in policy.because)
    return Step(kind="dry run", found=found, reason=reason, because=because)


def _facts(call: Call) -> AccessFacts:
    facts = AccessFacts(call.address or call.host, call.port, call.source_ip)
    facts.server_name = call.server_name
    if call.identity and call.is_mutual:
        facts.principals = (call.identity,)
        facts.state = {_PEER_PRINCIPAL: call.identity}
    return facts
