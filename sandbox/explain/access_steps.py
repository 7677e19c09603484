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
    rules = [each.rules for each in filters if isinstance(each, HttpRbac) and each.rules is not None]
    facts = _facts(call)
    facts.request = request
    return _denial(rules, facts, steps)


def network_denial(call: Call, chain: FilterChain, steps: list[Step]) -> str | None:
    """The same for a connection."""
    filters = (each.typed_config for each in chain.filters)
    rules = [each.rules for each in filters if isinstance(each, NetworkRbac) and each.rules is not None]
    return _denial(rules, _facts(call), steps)


def _denial(all_rules: Iterable[Rules], facts: AccessFacts, steps: list[Step]) -> str | None:
    for rules in all_rules:
        access = AccessRules(rules)
        matched, denial = access.match(facts), access.decide(facts)
        policy = (rules.policies or {}).get(matched or "")
        because = policy.because if policy is not None else ()
        if denial is not None:
            reason = f"policy {matched} denies" if matched is not None else "no ALLOW policy matches"
            if not because:
                because = tuple(each for other in (rules.policies or {}).values() for each in other.because)
            steps.append(Step(kind="authorization", found="denied", reason=reason, because=because))
            return denial
        if rules.action != "LOG":
            reason = f"policy {matched} allows" if matched is not None else "no DENY policy matches"
            steps.append(Step(kind="authorization", found="allowed", reason=reason, because=because))
    return None


def _facts(call: Call) -> AccessFacts:
    facts = AccessFacts(call.address or call.host, call.port, call.source_ip)
    facts.server_name = call.server_name
    if call.identity and call.is_mutual:
        facts.principals = (call.identity,)
        facts.state = {_PEER_PRINCIPAL: call.identity}
    return facts
