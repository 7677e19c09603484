"""DestinationRules by host: merged within a namespace, indexed by who may see them.

Source: Istio pilot/pkg/model/destination_rule.go, push_context.go ``setDestinationRules``, ``destinationRule``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from datetime import datetime
from enum import Enum

from sandbox.compiler.ages import creation_order
from sandbox.compiler.host_names import CLUSTER_DOMAIN, HostIndex, resolve_host
from sandbox.compiler.visibility import PRIVATE, PUBLIC
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination_rule import DestinationRule
from sandbox.istio.resource import Resource
from sandbox.yaml_source.problems import Problems

Rule = Resource[DestinationRule]


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """How rules of one host are merged, and who hears of what is ignored."""

    enhanced_merge: bool = True
    problems: Problems | None = None
    domain: str = CLUSTER_DOMAIN


class _Verdict(Enum):
    """What becomes of a rule next to an older one of its host."""

    MERGED = "merged"
    APART = "apart"
    BOTH = "merged, and standing for itself as well"


@dataclass(slots=True, eq=False)
class ConsolidatedRule:
    """One rule, with the rules of the same host and namespace that were merged into it."""

    rule: Rule
    """The oldest one's metadata; the merged specification."""
    export_to: frozenset[str]
    merged_from: list[Rule] = field(default_factory=list)
    """The resources themselves, as they were read."""

    @property
    def spec(self) -> DestinationRule:
        """The merged specification."""
        return self.rule.spec


class _RulesByHost:
    """Consolidated rules of one scope, by host."""

    __slots__ = ("index",)

    def __init__(self) -> None:
        self.index: HostIndex[list[ConsolidatedRule]] = HostIndex()

    def add(self, rule: Rule, read: Rule, export_to: frozenset[str], setting: RuleSettings) -> None:
        """Merge a rule (``read``: as it was read) with those of its host, or stand it beside them.

        Source: Istio's ``mergeDestinationRule``.
        """
        host = rule.spec.host
        existing = self.index.get(host)
        if existing is None:
            self.index.set(host, [ConsolidatedRule(rule, export_to, [read])])
            return
        separate = True
        for consolidated in existing:
            verdict = _verdict(consolidated, rule, export_to, setting)
            separate = verdict is not _Verdict.MERGED
            if verdict is not _Verdict.APART:
                _merge(consolidated, rule, setting.problems)
                consolidated.merged_from.append(read)
        if separate:
            existing.append(ConsolidatedRule(rule, export_to, [read]))


def _verdict(consolidated: ConsolidatedRule, rule: Rule, export_to: frozenset[str], setting: RuleSettings) -> _Verdict:
    verdict = _Verdict.MERGED if setting.enhanced_merge else _Verdict.BOTH
    if setting.enhanced_merge and export_to != consolidated.export_to:
        if not (consolidated.export_to and export_to >= consolidated.export_to):
            return _Verdict.APART
        verdict = _Verdict.BOTH
    ours, theirs = rule.spec.workload_selector, consolidated.spec.workload_selector
    if ours is not None and theirs is not None and dict(ours.match_labels) != dict(theirs.match_labels):
        return _Verdict.APART
    return _Verdict.MERGED if (ours is None) == (theirs is None) else verdict


def _merge(consolidated: ConsolidatedRule, rule: Rule, problems: Problems | None) -> None:
    merged = consolidated.rule.spec
    if problems is not None:
        _report_ignored(consolidated, rule, problems)
    known = {subset.name for subset in merged.subsets}
    added = tuple(subset for subset in rule.spec.subsets if subset.name not in known)
    policy = merged.traffic_policy if merged.traffic_policy is not None else rule.spec.traffic_policy
    spec = replace(merged, subsets=merged.subsets + added, traffic_policy=policy)
    consolidated.rule = replace(consolidated.rule, spec=spec)


def _report_ignored(consolidated: ConsolidatedRule, rule: Rule, problems: Problems) -> None:
    merged = consolidated.rule.spec
    known = {subset.name for subset in merged.subsets}
    older, related = consolidated.merged_from[0].ref, (consolidated.merged_from[0].origin,)
    for index, subset in enumerate(rule.spec.subsets):
        if subset.name in known:
            problems.report(
                "SBX0413",
                f"subset {subset.name} of {merged.host} is ignored, {older} is older and has a subset of this name",
                rule.spec.origin_of("subsets", index),
                severity="warning",
                related=related,
            )
    if rule.spec.traffic_policy is not None and merged.traffic_policy is not None:
        problems.report(
            "SBX0414",
            f"the traffic policy for {merged.host} is ignored, {older} is older and has one",
            rule.spec.origin_of("traffic_policy"),
            severity="warning",
            related=related,
        )


class DestinationRuleIndex:
    """All DestinationRules of the mesh, ready to be looked up for a client's namespace and a service."""

    __slots__ = ("_exported", "_local", "_root_local", "_root_namespace")

    def __init__(
        self, rules: Iterable[Rule], root_namespace: str, default_export_to: frozenset[str], setting: RuleSettings
    ) -> None:
        self._root_namespace = root_namespace
        self._local: dict[str, _RulesByHost] = {}
        self._exported: dict[str, _RulesByHost] = {}
        self._root_local = _RulesByHost()
        for rule in sorted(rules, key=_selector_and_age):
            self._add(rule, default_export_to, setting)

    def _add(self, read: Rule, default_export_to: frozenset[str], setting: RuleSettings) -> None:
        rule = _resolved(read, setting.domain)
        namespace = rule.namespace
        export_to = frozenset({PRIVATE} if rule.spec.workload_selector is not None else rule.spec.export_to)
        if not export_to or export_to & {PUBLIC, PRIVATE, namespace}:
            self._local.setdefault(namespace, _RulesByHost()).add(rule, read, export_to, setting)
        silent = replace(setting, problems=None)
        private = PRIVATE in default_export_to if not export_to else export_to <= {PRIVATE, namespace}
        if not private or len(export_to) > 1:
            self._exported.setdefault(namespace, _RulesByHost()).add(rule, read, export_to, silent)
        elif namespace == self._root_namespace:
            self._root_local.add(rule, read, export_to, silent)

    def rules_for(self, client_namespace: str, host: str, service_namespace: str) -> Sequence[ConsolidatedRule]:
        """The rules for a service as a client's namespace sees it (Istio's ``destinationRule``); often none."""
        if client_namespace == self._root_namespace:
            local: _RulesByHost | None = self._root_local
        else:
            local = self._local.get(client_namespace)
        found = local.index.most_specific(host) if local is not None else None
        if found is not None:
            return found
        return (
            self._exported_from(service_namespace, host, client_namespace)
            or self._exported_from(self._root_namespace, host, client_namespace)
            or ()
        )

    def _exported_from(self, owner: str, host: str, client_namespace: str) -> list[ConsolidatedRule]:
        exported = self._exported.get(owner)
        found = exported.index.most_specific(host) if exported is not None else None
        return [
            rule
            for rule in found or ()
            if not rule.export_to or PUBLIC in rule.export_to or client_namespace in rule.export_to
        ]


def _selector_and_age(rule: Rule) -> tuple[bool, tuple[datetime, str, str]]:
    """Rules with a selector first (Istio's ``sortConfigBySelectorAndCreationTime``)."""
    return rule.spec.workload_selector is None, creation_order(rule)


def _resolved(rule: Rule, domain: str) -> Rule:
    host = resolve_host(rule.spec.host, rule.namespace, domain)
    return rule if host == rule.spec.host else replace(rule, spec=replace(rule.spec, host=host))
