"""A root VirtualService's rule and its delegate's rules become one list of rules.

Source: Istio pilot/pkg/model/virtualservice.go (``MergeHTTPRoutes``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Final

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination import StringMatch
from sandbox.istio.http_route import HTTPMatchRequest, HTTPRoute
from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.span import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegatedRule(HTTPRoute):
    """A rule of a delegate, as the root's rule that delegates to it lets it pass."""

    delegated_by: Origin
    """The line of the root's rule."""


_INHERITED: Final = (
    "rewrite",
    "direct_response",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirror_percent",
    "mirror_percentage",
    "cors_policy",
    "headers",
)
"""Fields that a delegate's rule takes from the root where it has none itself; all or nothing."""
_INHERITED_MATCHES: Final = ("uri", "scheme", "method", "authority")


def merge_delegate(root: HTTPRoute, delegate: Iterable[HTTPRoute], problems: Problems) -> tuple[HTTPRoute, ...]:
    """The delegate's rules as the root lets them pass; a rule whose conditions contradict the root's is dropped."""
    merged = [(rule, _merge_rule(root, rule)) for rule in delegate]
    for rule, result in merged:
        if result is None:
            problems.report(
                "SBX0513",
                "no match of the delegate's rule agrees with the rule that delegates to it: the rule is ignored",
                rule.origin,
                severity="warning",
                hint=f"compare with {root.origin}",
            )
    return tuple(result for _, result in merged if result is not None)


def _merge_rule(root: HTTPRoute, rule: HTTPRoute) -> HTTPRoute | None:
    matches = _merge_matches(root.match, rule.match)
    if matches is None:
        return None
    inherited = {name: getattr(root, name) for name in _INHERITED if getattr(rule, name) is None}
    own = {field.name: getattr(rule, field.name) for field in fields(HTTPRoute)}
    merged = {"match": matches, "name": _join(root.name, rule.name), "mirrors": rule.mirrors or root.mirrors}
    return DelegatedRule(**{**own, **inherited, **merged, "delegate": None, "delegated_by": root.origin})


def _join(root: str, leaf: str) -> str:
    return f"{root}-{leaf}" if root and leaf else root or leaf


def _merge_matches(
    root: tuple[HTTPMatchRequest, ...], leaf: tuple[HTTPMatchRequest, ...]
) -> tuple[HTTPMatchRequest, ...] | None:
    """Every pair that agrees, by the delegate's matches first; None when one of those agrees with nothing."""
    if not root or not leaf:
        return root or leaf
    merged: list[HTTPMatchRequest] = []
    for leaf_match in leaf:
        agreeing = [_merge_match(root_match, leaf_match) for root_match in root if _agree(root_match, leaf_match)]
        if not agreeing:
            return None
        merged.extend(agreeing)
    return tuple(merged)


def _merge_match(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> HTTPMatchRequest:
    inherited = {name: getattr(root, name) for name in _INHERITED_MATCHES if getattr(leaf, name) is None}
    return replace(
        leaf,
        name=_join(root.name, leaf.name),
        headers={**root.headers, **leaf.headers},
        without_headers={**root.without_headers, **leaf.without_headers},
        query_params={**root.query_params, **leaf.query_params},
        source_labels={**root.source_labels, **leaf.source_labels},
        port=leaf.port or root.port,
        source_namespace=leaf.source_namespace or root.source_namespace,
        gateways=leaf.gateways or root.gateways,
        stat_prefix=leaf.stat_prefix or root.stat_prefix,
        **inherited,
    )


def _agree(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> bool:
    pairs = [(getattr(root, name), getattr(leaf, name)) for name in _INHERITED_MATCHES]
    pairs += [(root.headers.get(key), value) for key, value in leaf.headers.items()]
    pairs += [(root.without_headers.get(key), value) for key, value in leaf.without_headers.items()]
    pairs += [(root.query_params.get(key), value) for key, value in leaf.query_params.items()]
    return (
        all(_texts_agree(*pair) for pair in pairs)
        and root.ignore_uri_case == leaf.ignore_uri_case
        and (not root.port or not leaf.port or root.port == leaf.port)
        and (not root.source_namespace or root.source_namespace == leaf.source_namespace)
        and all(root.source_labels.get(key, value) == value for key, value in leaf.source_labels.items())
        and _gateways_agree(root.gateways, leaf.gateways)
    )


def _gateways_agree(root: tuple[str, ...], leaf: tuple[str, ...]) -> bool:
    return not root or not leaf or (len(root) >= len(leaf) and set(leaf) <= set(root))


def _texts_agree(root: StringMatch | None, leaf: StringMatch | None) -> bool:
    """Whether the delegate narrows the root's condition; a regular expression neither narrows nor is narrowed."""
    if root is None or leaf is None:
        return True
    if (root.regex and (leaf.regex or leaf.prefix or leaf.exact)) or (leaf.regex and (root.prefix or root.exact)):
        return False
    if root.exact:
        return not leaf.prefix and leaf.exact == root.exact
    if root.prefix:
        return (leaf.prefix or leaf.exact or "").startswith(root.prefix)
    return False
