"""Rules of a VirtualService that are never reached, and matches without effect.

Istio's ``analyzeUnreachableHTTPRules`` and its siblings in ``pkg/config/validation/validation.go``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields
from itertools import combinations
from typing import Final, NamedTuple

from sandbox.istio.destination import StringMatch
from sandbox.istio.http_route import HTTPMatchRequest
from sandbox.istio.message import Message
from sandbox.istio.validate.findings import Findings
from sandbox.istio.virtual_service import VirtualService

_UNREACHABLE: Final = "IST0130"
_INEFFECTIVE: Final = "IST0131"
_EXACT_GET: Final = "exact:GET"


def check_reachability(service: VirtualService, findings: Findings) -> None:
    """HTTP, TCP and TLS rules, each list by itself."""
    for rules in (service.http, service.tcp, service.tls):
        _Analysis(rules, findings).run()


class _PrefixMatch(NamedTuple):
    """A match by URI prefix, in the form in which istiod compares two of them."""

    rule: Message
    match: Message
    rule_name: str
    match_name: str
    prefix: str
    port: int
    texts: tuple[str, str]
    """Method and authority as ``exact:…`` or ``prefix:…``."""
    maps: tuple[Mapping[str, str], ...]
    """Headers, query parameters, headers that must be absent."""


class _Analysis:
    """One list of rules, in order."""

    def __init__(self, rules: Sequence[Message], findings: Findings) -> None:
        self.rules = rules
        self.findings = findings
        self.seen: dict[Hashable, int] = {}
        self.matchless: int | None = None
        self.prefixes: list[_PrefixMatch] = []

    def run(self) -> None:
        for index, rule in enumerate(self.rules):
            matches: tuple[Message, ...] = getattr(rule, "match", ())
            if matches:
                self._rule(index, rule, matches)
                continue
            if self.matchless is not None:
                self._unreachable(index, rule, "only the last rule can have no matches")
            self.matchless = index
        self._overlapping()

    def _rule(self, index: int, rule: Message, matches: tuple[Message, ...]) -> None:
        duplicates = 0
        for position, match in enumerate(matches):
            if self.matchless is not None:
                self._unreachable(index, rule, "route without matches defined before")
                continue
            earlier = self.seen.setdefault(_identity(match), index)
            if earlier != index or self._already_here(matches, position):
                name = _name(self.rules[earlier], earlier)
                self._ineffective(_name(rule, index), _name(match, position), name, match)
                duplicates += 1
            elif isinstance(match, HTTPMatchRequest):
                self._remember_prefix(rule, match, _name(rule, index), _name(match, position))
        if duplicates == len(matches):
            self._unreachable(index, rule, "all matches used by prior rules")

    @staticmethod
    def _already_here(matches: tuple[Message, ...], position: int) -> bool:
        return _identity(matches[position]) in {_identity(match) for match in matches[:position]}

    def _unreachable(self, index: int, rule: Message, reason: str) -> None:
        message = f"rule {_name(rule, index)} not used ({reason})"
        hint = "istiod tries rules from the top; put the more special ones first"
        self.findings.warn(message, rule, hint=hint, code=_UNREACHABLE)

    def _ineffective(self, rule_name: str, match_name: str, earlier: str, match: Message) -> None:
        message = f"rule {rule_name} match {match_name} is not used (duplicate/overlapping match in rule {earlier})"
        self.findings.warn(message, match, code=_INEFFECTIVE)

    def _remember_prefix(self, rule: Message, match: HTTPMatchRequest, rule_name: str, match_name: str) -> None:
        if match.uri is None or not match.uri.prefix:
            return
        maps = (match.headers, match.query_params, match.without_headers)
        self.prefixes.append(
            _PrefixMatch(
                rule=rule,
                match=match,
                rule_name=rule_name,
                match_name=match_name,
                prefix=match.uri.prefix,
                port=match.port,
                texts=(_exact_or_prefix(match.method) or _EXACT_GET, _exact_or_prefix(match.authority)),
                maps=tuple({name: _exact_or_prefix(value) for name, value in one.items()} for one in maps),
            )
        )

    def _overlapping(self) -> None:
        for earlier, later in combinations(self.prefixes, 2):
            if later.prefix == earlier.prefix or not _covers(earlier, later):
                continue
            match_name = f"{later.match_name} of prefix {later.prefix}"
            by = f"{earlier.match_name} of prefix {earlier.prefix} on {earlier.rule_name}"
            self._ineffective(later.rule_name, match_name, by, later.match)


def _covers(earlier: _PrefixMatch, later: _PrefixMatch) -> bool:
    """Whether istiod thinks that the later match cannot be reached; it compares texts in this order only."""
    if not later.prefix.startswith(earlier.prefix) or later.port != earlier.port:
        return False
    if not all(one.startswith(other) for one, other in zip(earlier.texts, later.texts, strict=True)):
        return False
    return all(_covers_map(one, other) for one, other in zip(earlier.maps, later.maps, strict=True))


def _covers_map(earlier: Mapping[str, str], later: Mapping[str, str]) -> bool:
    if len(earlier) != len(later):
        return False
    return all(name in later and value.startswith(later[name]) for name, value in earlier.items())


def _exact_or_prefix(match: StringMatch | None) -> str:
    if match is None:
        return ""
    return f"exact:{match.exact}" if match.exact else f"prefix:{match.prefix}" if match.prefix else ""


def _identity(value: object) -> Hashable:
    """A match without its name and place, so that two equal ones are equal."""
    if isinstance(value, Message):
        names = (field.name for field in fields(value) if field.name != "place")
        skipped = "name" if isinstance(value, HTTPMatchRequest) else ""
        return tuple(_identity(getattr(value, name)) for name in names if name != skipped)
    if isinstance(value, Mapping):
        return tuple(sorted((key, _identity(item)) for key, item in value.items()))
    return value if not isinstance(value, tuple) else tuple(_identity(item) for item in value)


def _name(message: Message, index: int) -> str:
    name = getattr(message, "name", "")
    return f'"{name}"' if name else f"#{index}"
