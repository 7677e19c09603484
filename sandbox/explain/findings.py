"""Which of a configuration's problems a walk tells: those of what decides on its way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from sandbox.explain.steps import Walk
from sandbox.plan.because import IstioDefault
from sandbox.yaml_source.problems import Problem
from sandbox.yaml_source.span import Origin, ResourceRef

_RULE: Final = re.compile(r"spec\.(?:http|tls|tcp)\[\d+\]")
_OF_OTHER_RULES: Final = frozenset({"SBX0521"})
"""Codes that are told of another rule than the one that decides: it never gets to decide."""


def concerning(walk: Walk, problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Those about an object that decides at one of the nodes, or is related to one, and about that kind of node.

    Of a VirtualService's rules only the one that decides is spoken of.
    """
    deciding = [(node.node_type, origin) for node in walk.nodes for origin in _origins(node)]
    named = {(kind, origin.resource) for node_type, origin in deciding for kind in ("", node_type)}
    rules: dict[ResourceRef, set[str]] = {}
    for _, origin in deciding:
        rules.setdefault(origin.resource, set()).update(_RULE.findall(origin.path))
    return tuple(
        dict.fromkeys(
            problem
            for problem in problems
            if any((problem.node_type, resource) in named for resource in _resources(problem))
            and _is_of_rule(problem, rules)
        )
    )


def _origins(node: Walk) -> Iterable[Origin]:
    origins = (each.origin for step in node.steps for each in step.because)
    return (origin for origin in origins if not isinstance(origin, IstioDefault))


def _resources(problem: Problem) -> Iterable[ResourceRef | None]:
    return (problem.resource, *(origin.resource for origin in problem.related))


def _is_of_rule(problem: Problem, rules: Mapping[ResourceRef, set[str]]) -> bool:
    rule = _RULE.match(problem.path)
    decided = rules.get(problem.resource) if problem.resource is not None else None
    return rule is None or not decided or rule[0] in decided or problem.code in _OF_OTHER_RULES
