"""Rules of a VirtualService that no request can reach, and matches that an earlier one covers.

Source: Istio pkg/config/validation/validation.go (``analyzeUnreachableHTTPRules``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sandbox.analysis import messages
from sandbox.analysis.mesh_index import MeshIndex
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination import StringMatch
from sandbox.istio.http_route import HTTPMatchRequest, HTTPRoute
from sandbox.yaml_source.problems import Problems

_DEFAULT_METHOD = "exact:GET"


def analyze_unreachable_rules(index: MeshIndex, problems: Problems) -> None:
    """IST0130 and IST0131 for http, tcp and tls rules."""
    for virtual_service in index.each("VirtualService"):
        for rules in (virtual_service.spec.http, virtual_service.spec.tcp, virtual_service.spec.tls):
            _analyze_rules(rules, problems)
        _analyze_overlaps(virtual_service.spec.http, problems)


def _analyze_rules(rules: tuple[Any, ...], problems: Problems) -> None:
    seen: list[tuple[Any, int]] = []
    unconditional = False
    for number, rule in enumerate(rules):
        name = _name(rule, number)
        if not rule.match:
            if unconditional:
                _report_unreachable(rule, name, "only the last rule can have no matches", problems)
            unconditional = True
            continue
        duplicates = 0
        for position, match in enumerate(rule.match):
            if unconditional:
                _report_unreachable(rule, name, "route without matches defined before", problems)
                continue
            bare = replace(match, name="") if isinstance(match, HTTPMatchRequest) else match
            earlier = next((where for other, where in seen if other == bare), None)
            if earlier is None:
                seen.append((bare, number))
                continue
            duplicates += 1
            values = (name, _name(match, position), _name(rules[earlier], earlier))
            messages.INEFFECTIVE_MATCH.report(problems, match.origin, *values)
        if duplicates == len(rule.match):
            _report_unreachable(rule, name, "all matches used by prior rules", problems)


def _report_unreachable(rule: Any, name: str, why: str, problems: Problems) -> None:
    messages.UNREACHABLE_RULE.report(problems, rule.origin, name, why)


def _name(message: Any, number: int) -> str:
    """The rule's or match's own name in quotes, else its number."""
    name = getattr(message, "name", "")
    return f'"{name}"' if name else f"#{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _PrefixMatch:
    """A match by path prefix, with its other conditions as comparable texts."""

    rule: str
    name: str
    prefix: str
    port: int
    method: str
    authority: str
    maps: tuple[Mapping[str, str], ...]
    match: HTTPMatchRequest

    def covers(self, other: _PrefixMatch) -> bool:
        """Whether every request that ``other`` takes comes here first."""
        return (
            other.prefix.startswith(self.prefix)
            and self.port == other.port
            and self.method.startswith(other.method)
            and self.authority.startswith(other.authority)
            and all(_map_covers(mine, theirs) for mine, theirs in zip(self.maps, other.maps, strict=True))
        )


def _map_covers(mine: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    return mine.keys() == theirs.keys() and all(value.startswith(theirs[key]) for key, value in mine.items())


def _analyze_overlaps(rules: tuple[HTTPRoute, ...], problems: Problems) -> None:
    """A prefix that an earlier, shorter prefix covers; equal matches are told elsewhere."""
    seen: list[HTTPMatchRequest] = []
    found: list[_PrefixMatch] = []
    for number, rule in enumerate(rules):
        if not rule.match:
            break
        for position, match in enumerate(rule.match):
            bare = replace(match, name="")
            if bare in seen:
                continue
            seen.append(bare)
            if match.uri is not None and match.uri.prefix:
                found.append(_prefix_match(rule, number, match, position))
    for first, earlier in enumerate(found):
        for later in found[first + 1 :]:
            if later.prefix != earlier.prefix and earlier.covers(later):
                values = (
                    later.rule,
                    f"{later.name} of prefix {later.prefix}",
                    f"{earlier.name} of prefix {earlier.prefix} on {earlier.rule}",
                )
                messages.INEFFECTIVE_MATCH.report(problems, later.match.origin, *values)


def _prefix_match(rule: HTTPRoute, number: int, match: HTTPMatchRequest, position: int) -> _PrefixMatch:
    maps = (match.headers, match.query_params, match.without_headers)
    return _PrefixMatch(
        rule=_name(rule, number),
        name=_name(match, position),
        prefix=match.uri.prefix or "" if match.uri is not None else "",
        port=match.port,
        method=_text(match.method) or _DEFAULT_METHOD,
        authority=_text(match.authority),
        maps=tuple({key: _text(value) for key, value in conditions.items()} for conditions in maps),
        match=match,
    )


def _text(match: StringMatch | None) -> str:
    if match is None:
        return ""
    if match.exact:
        return f"exact:{match.exact}"
    return f"prefix:{match.prefix}" if match.prefix else ""
