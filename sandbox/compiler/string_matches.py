"""Istio's string matches as Envoy's (Istio util.go ``ConvertToEnvoyMatch``)."""

from __future__ import annotations

from sandbox.istio.destination import StringMatch
from sandbox.plan.base import RegexMatcher, StringMatcher


def translate_string_match(match: StringMatch) -> StringMatcher | None:
    """The matcher; None where the match names no kind (``{}``)."""
    if match.exact is not None:
        return StringMatcher(exact=match.exact)
    if match.prefix is not None:
        return StringMatcher(prefix=match.prefix)
    if match.regex is not None:
        return StringMatcher(safe_regex=RegexMatcher(regex=match.regex))
    return None


def is_present_match(match: StringMatch) -> bool:
    """Whether any value will do: ``{}``, or the regular expression ``*``, which is none."""
    return match.exact is None and match.prefix is None and match.regex in (None, "*")
