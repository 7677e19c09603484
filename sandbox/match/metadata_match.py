"""Matchers of dynamic metadata (``envoy.type.matcher.v3``): what filters found out about a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sandbox.match.string_match import compile_string_matcher
from sandbox.plan.rbac import MetadataMatcher, ValueMatcher

Metadata = Mapping[str, Mapping[str, object]]
"""Structures by the filter that made them."""


def compile_metadata_matcher(matcher: MetadataMatcher) -> Callable[[Metadata], bool]:
    """Whether the value at a path fulfils a matcher; nothing is there where no filter left anything."""
    keys = tuple(segment.key for segment in matcher.path)
    matches = compile_value_matcher(matcher.value or ValueMatcher())

    def predicate(metadata: Metadata) -> bool:
        value: object = metadata.get(matcher.filter)
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return matches(value) != matcher.invert

    return predicate


def compile_value_matcher(matcher: ValueMatcher) -> Callable[[object], bool]:
    """``envoy.type.matcher.v3.ValueMatcher`` on a value of a structure (``None`` is absent)."""
    if matcher.string_match is not None:
        matches = compile_string_matcher(matcher.string_match)
        return lambda value: isinstance(value, str) and matches(value.encode())
    if matcher.bool_match is not None:
        wanted = matcher.bool_match
        return lambda value: value is wanted
    if matcher.present_match is not None:
        present = matcher.present_match
        return lambda value: (value is not None) is present
    if matcher.list_match is not None and matcher.list_match.one_of is not None:
        item = compile_value_matcher(matcher.list_match.one_of)
        return lambda value: isinstance(value, list | tuple) and any(item(each) for each in value)
    if matcher.or_match is not None:
        alternatives = tuple(map(compile_value_matcher, matcher.or_match.value_matchers))
        return lambda value: any(each(value) for each in alternatives)
    return lambda _value: False
