"""Compiles Envoy's string matchers to functions on bytes."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.match.facts import RequestFacts
from sandbox.plan.base import HeaderMatcher, StringMatcher

BytesPredicate = Callable[[bytes], bool]
RequestPredicate = Callable[[RequestFacts], bool]


def compile_string_matcher(matcher: StringMatcher) -> BytesPredicate:
    """Whether a value matches; an empty matcher matches nothing. Raises RegexRefused for a pattern that RE2 refuses."""
    if matcher.safe_regex is not None:
        from sandbox.match.regex import compile_full_match

        return compile_full_match(matcher.safe_regex.regex)
    if matcher.ignore_case:
        return _compile_ignoring_case(matcher)
    if matcher.exact is not None:
        return matcher.exact.encode().__eq__
    if matcher.prefix is not None:
        prefix = matcher.prefix.encode()
        return lambda value: value.startswith(prefix)
    if matcher.suffix is not None:
        suffix = matcher.suffix.encode()
        return lambda value: value.endswith(suffix)
    if matcher.contains is not None:
        part = matcher.contains.encode()
        return lambda value: part in value
    return _never


def _compile_ignoring_case(matcher: StringMatcher) -> BytesPredicate:
    """Letters A to Z only, as ``absl::EqualsIgnoreCase``; that is what ``bytes.lower`` does."""
    if matcher.exact is not None:
        exact = matcher.exact.encode().lower()
        return lambda value: value.lower() == exact
    if matcher.prefix is not None:
        prefix = matcher.prefix.encode().lower()
        return lambda value: value.lower().startswith(prefix)
    if matcher.suffix is not None:
        suffix = matcher.suffix.encode().lower()
        return lambda value: value.lower().endswith(suffix)
    if matcher.contains is not None:
        part = matcher.contains.encode().lower()
        return lambda value: part in value.lower()
    return _never


def _never(_value: bytes) -> bool:
    return False


def compile_header_matcher(matcher: HeaderMatcher) -> RequestPredicate:
    """Whether a request fulfils one header matcher (Envoy's ``HeaderUtility::HeaderData``).

    A missing header fails a string match even when inverted, unless it is to be treated as empty. Of a repeated
    header any value may match (the codec joins those that are lists by Envoy's book).
    """
    name = matcher.name.lower().encode()
    if matcher.string_match is None:
        present = matcher.present_match is not False
        wanted = present != matcher.invert_match
        return lambda facts: (facts.header(name) is not None) is wanted
    matches = compile_string_matcher(matcher.string_match)
    inverted = matcher.invert_match
    if_missing = matcher.treat_missing_header_as_empty and matches(b"") != inverted

    def predicate(facts: RequestFacts) -> bool:
        values = facts.values(name)
        if not values:
            return if_missing
        return any(map(matches, values)) != inverted

    return predicate
