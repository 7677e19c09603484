"""Authorization of HTTP requests (``envoy.filters.http.rbac``): who may send what where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.match.rbac import AccessRules, denial_details

if TYPE_CHECKING:
    from sandbox.match.facts import RequestFacts
    from sandbox.plan.http_connection_manager import HttpConnectionManager
    from sandbox.plan.rbac import Rules
    from sandbox.proxy.http_stream import HttpStream

REFUSAL = b"RBAC: access denied"


class AccessFilter:
    """One RBAC filter of a connection manager."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Rules) -> None:
        self._rules = AccessRules(rules)

    def refusal(self, stream: HttpStream, request: RequestFacts) -> str | None:
        """The details of a 403; ``None`` lets the request through."""
        from sandbox.proxy.filter_chain import access_facts  # the chain knows us

        facts = access_facts(stream.codec.connection)
        facts.request = request
        remote = stream.info.downstream_remote_address
        if remote is not None:
            facts.remote_ip = remote.rpartition(":")[0].strip("[]")
        if stream.info.dynamic_metadata is not None:
            facts.metadata = stream.info.dynamic_metadata
        policy = self._rules.decide(facts)
        return None if policy is None else denial_details(policy)


def access_filters(plan: HttpConnectionManager) -> tuple[AccessFilter, ...]:
    """The manager's RBAC filters in their order."""
    from sandbox.plan.rbac import HttpRbac

    rules = [each.typed_config.rules for each in plan.http_filters if isinstance(each.typed_config, HttpRbac)]
    return tuple(AccessFilter(each) for each in rules if each is not None)
