"""One rule of an AuthorizationPolicy as an RBAC policy: permissions from ``to``, principals from ``from``.

Source: Istio pilot/pkg/security/authz/model/model.go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from sandbox.compiler.authorization_attributes import (
    ATTRIBUTES,
    HOST,
    METHOD,
    PATH,
    Attribute,
    NotExpressible,
    Term,
    attribute_of,
)
from sandbox.compiler.trust_domains import TrustDomains
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.authorization_policy import From, Rule, To
from sandbox.plan.because import Because
from sandbox.plan.rbac import Permission, PermissionSet, Policy, Principal, PrincipalSet

Node = TypeVar("Node", Permission, Principal)

MATCH_NEVER = Policy(
    permissions=(Permission(not_rule=Permission(any=True)),),
    principals=(Principal(not_id=Principal(any=True)),),
)
"""What a policy without rules becomes."""


MOST_REPEATED = 4096
"""Values of one attribute beyond which they are no longer doubled; the doubles decide nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleContext:
    """For which chain and policy a rule is translated."""

    policy_namespace: str
    for_tcp: bool
    strict: bool
    """ALLOW: one value that cannot be expressed drops the whole rule; else only the value is left out."""
    trust_domains: TrustDomains


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One attribute of a rule with its values."""

    key: str
    attribute: Attribute
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()
    migrations: int = 1
    """How often trust domain aliases are written out: istiod's sources share the rules of their conditions."""


def translate_rule(rule: Rule, context: RuleContext) -> Policy:
    """The rule as an RBAC policy.

    Raises:
        NotExpressible: an attribute is unknown, or (``context.strict``) a value cannot be matched on this chain.
    """
    base = _conditions(rule)
    permissions = [_permission(clauses, context) for clauses in _alternatives(rule.to, base, "permission")]
    shared = tuple(replace(clause, migrations=max(1, len(rule.from_))) for clause in base)
    principals = [_principal(clauses, context) for clauses in _alternatives(rule.from_, shared, "principal")]
    return Policy(
        permissions=tuple(permissions),
        principals=tuple(principals),
        because=(Because("authorization rule", rule.origin),),
    )


def _conditions(rule: Rule) -> tuple[Clause, ...]:
    clauses: list[Clause] = []
    for condition in rule.when:
        attribute = attribute_of(condition.key)
        if attribute is None:
            raise NotExpressible(f"unknown attribute {condition.key}")
        clauses.append(
            Clause(key=condition.key, attribute=attribute, values=condition.values, not_values=condition.not_values)
        )
    return tuple(clause for clause in clauses if clause.values or clause.not_values)


def _alternatives(
    entries: tuple[To, ...] | tuple[From, ...], conditions: tuple[Clause, ...], side: str
) -> list[tuple[Clause, ...]]:
    """Each entry's clauses before the ``when`` conditions of the same side; without entries the conditions alone."""
    base = tuple(clause for clause in conditions if clause.attribute.side == side)
    if not entries:
        return [base]
    return [_entry_clauses(entry) + base for entry in entries]


def _entry_clauses(entry: To | From) -> tuple[Clause, ...]:
    clauses = _operation_clauses(entry) if isinstance(entry, To) else _source_clauses(entry)
    return tuple(clause for clause in clauses if clause.values or clause.not_values)


def _operation_clauses(entry: To) -> tuple[Clause, ...]:
    operation = entry.operation
    if operation is None:
        return ()
    return (
        Clause(key=":authority", attribute=HOST, values=operation.hosts, not_values=operation.not_hosts),
        Clause(key=":method", attribute=METHOD, values=operation.methods, not_values=operation.not_methods),
        Clause(key="path-matcher", attribute=PATH, values=operation.paths, not_values=operation.not_paths),
        _clause("destination.port", operation.ports, operation.not_ports),
    )


def _source_clauses(entry: From) -> tuple[Clause, ...]:
    source = entry.source
    if source is None:
        return ()
    return (
        _clause("source.principal", source.principals, source.not_principals),
        _clause("request.auth.principal", source.request_principals, source.not_request_principals),
        _clause("source.serviceAccount", source.service_accounts, source.not_service_accounts),
        _clause("source.trustDomain", source.trust_domains, source.not_trust_domains),
        _clause("source.namespace", source.namespaces, source.not_namespaces),
        _clause("remote.ip", source.remote_ip_blocks, source.not_remote_ip_blocks),
        _clause("source.ip", source.ip_blocks, source.not_ip_blocks),
    )


def _clause(key: str, values: tuple[str, ...], not_values: tuple[str, ...]) -> Clause:
    return Clause(key=key, attribute=ATTRIBUTES[key], values=values, not_values=not_values)


def _permission(clauses: tuple[Clause, ...], context: RuleContext) -> Permission:
    terms: list[Permission] = []
    for clause in clauses:
        wanted, single = _matchers(clause, clause.values, context, Permission)
        unwanted, _ = _matchers(clause, clause.not_values, context, Permission)
        if wanted:
            terms.append(wanted[0] if single else Permission(or_rules=PermissionSet(rules=wanted)))
        if unwanted:
            inner = unwanted[0] if single else Permission(or_rules=PermissionSet(rules=unwanted))
            terms.append(Permission(not_rule=inner))
    return Permission(and_rules=PermissionSet(rules=tuple(terms) or (Permission(any=True),)))


def _principal(clauses: tuple[Clause, ...], context: RuleContext) -> Principal:
    terms: list[Principal] = []
    for clause in clauses:
        wanted, single = _matchers(clause, clause.values, context, Principal)
        unwanted, _ = _matchers(clause, clause.not_values, context, Principal)
        if wanted:
            terms.append(wanted[0] if single else Principal(or_ids=PrincipalSet(ids=wanted)))
        if unwanted:
            inner = unwanted[0] if single else Principal(or_ids=PrincipalSet(ids=unwanted))
            terms.append(Principal(not_id=inner))
    return Principal(and_ids=PrincipalSet(ids=tuple(terms) or (Principal(any=True),)))


def _matchers(
    clause: Clause, values: tuple[str, ...], context: RuleContext, node: type[Node]
) -> tuple[tuple[Node, ...], bool]:
    """The values as matchers, and whether the attribute makes one of all values."""
    attribute = clause.attribute
    term = Term(key=clause.key, policy_namespace=context.policy_namespace)
    for _ in range(clause.migrations):
        if len(values) <= MOST_REPEATED:
            values = context.trust_domains.migrate(clause.key, values)
    groups = [values] if attribute.every is not None and values else [(value,) for value in values]
    found: list[Node] = []
    for group in groups:
        try:
            found.append(_match(attribute, term, group, context, node))
        except NotExpressible:
            if context.strict:
                raise
    return tuple(found), attribute.every is not None


def _match(attribute: Attribute, term: Term, group: tuple[str, ...], context: RuleContext, node: type[Node]) -> Node:
    if context.for_tcp and attribute.http_only:
        raise NotExpressible(f'"{term.key}" is HTTP only')
    if attribute.every is not None:
        matcher = attribute.every(term, group)
    elif attribute.one is not None:
        matcher = attribute.one(term, group[0])
    else:
        raise NotExpressible(f"no matcher for {term.key}")
    assert isinstance(matcher, node)
    return matcher
