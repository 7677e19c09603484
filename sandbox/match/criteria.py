"""Each criterion of a match written plainly: it holds, or here is the sentence that says why not."""

from __future__ import annotations

from sandbox.match.facts import RequestFacts
from sandbox.match.metadata_match import compile_metadata_matcher
from sandbox.match.regex import compile_full_match
from sandbox.plan.base import HeaderMatcher, StringMatcher
from sandbox.plan.rbac import MetadataMatcher
from sandbox.plan.route import QueryParameterMatcher, RouteMatch

LONGEST_SHOWN = 60


def shown(value: bytes | str) -> str:
    """A value for people: text in single quotes, cut where it is long."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    return f"'{text}'" if len(text) <= LONGEST_SHOWN else f"'{text[: LONGEST_SHOWN - 1]}…'"


def string_failure(matcher: StringMatcher, value: bytes) -> str | None:
    """Why a value does not match, as the end of a sentence (``is not 'GET'``); ``None`` where it does."""
    if matcher.safe_regex is not None:
        pattern = matcher.safe_regex.regex
        return None if compile_full_match(pattern)(value) else f"does not match all of {shown(pattern)} (regex)"
    text = value.lower() if matcher.ignore_case else value

    def wanted(pattern: str) -> bytes:
        return pattern.encode().lower() if matcher.ignore_case else pattern.encode()

    if matcher.exact is not None:
        return None if text == wanted(matcher.exact) else f"is not {shown(matcher.exact)}"
    if matcher.prefix is not None:
        return None if text.startswith(wanted(matcher.prefix)) else f"does not start with {shown(matcher.prefix)}"
    if matcher.suffix is not None:
        return None if text.endswith(wanted(matcher.suffix)) else f"does not end with {shown(matcher.suffix)}"
    if matcher.contains is not None:
        return None if wanted(matcher.contains) in text else f"does not contain {shown(matcher.contains)}"
    return "is matched by nothing (the matcher is empty)"


def string_success(matcher: StringMatcher) -> str:
    """What a value that matched is, as the end of a sentence; for inverted matches."""
    if matcher.safe_regex is not None:
        return f"matches {shown(matcher.safe_regex.regex)} (regex)"
    if matcher.exact is not None:
        return f"is {shown(matcher.exact)}"
    if matcher.prefix is not None:
        return f"starts with {shown(matcher.prefix)}"
    if matcher.suffix is not None:
        return f"ends with {shown(matcher.suffix)}"
    return f"contains {shown(matcher.contains or '')}"


def header_failure(matcher: HeaderMatcher, facts: RequestFacts) -> str | None:
    """Why a request does not fulfil a header match; ``None`` where it does."""
    name = matcher.name
    label = name[1:] if name.startswith(":") else f"header {name}"
    values = facts.values(name.lower().encode())
    if matcher.string_match is None:
        must_be_there = (matcher.present_match is not False) != matcher.invert_match
        if bool(values) == must_be_there:
            return None
        return f"{label} is missing" if must_be_there else f"{label} is there, and must not be"
    if not values and not matcher.treat_missing_header_as_empty:
        return f"{label} is missing"
    failures = [string_failure(matcher.string_match, value) for value in values or [b""]]
    is_matched = None in failures
    if is_matched != matcher.invert_match:
        return None
    if is_matched:
        return f"{label} {string_success(matcher.string_match)}, and must not"
    return f"{label} {shown(b', '.join(values))} {failures[0]}"


def query_failure(matcher: QueryParameterMatcher, facts: RequestFacts) -> str | None:
    """Why a request does not fulfil a query parameter match; ``None`` where it does."""
    label = f"query parameter {matcher.name}"
    value = facts.query.get(matcher.name.encode())
    if matcher.present_match is not None:
        if (value is not None) == matcher.present_match:
            return None
        return f"{label} is missing" if matcher.present_match else f"{label} is there, and must not be"
    if value is None:
        return f"{label} is missing"
    failure = string_failure(matcher.string_match, value) if matcher.string_match is not None else None
    return None if failure is None else f"{label} {shown(value)} {failure}"


def path_failure(match: RouteMatch, facts: RequestFacts) -> str | None:
    """Why the path (without its query) does not match; ``None`` where it does."""
    if facts.path is None:
        return "the request has no path (CONNECT)"
    path = facts.bare_path
    ignore_case = match.case_sensitive is False
    if match.safe_regex is not None:
        failure = string_failure(StringMatcher(safe_regex=match.safe_regex), path)
    elif match.path is not None:
        failure = string_failure(StringMatcher(exact=match.path, ignore_case=ignore_case), path)
    elif match.path_separated_prefix is not None:
        failure = _separated_failure(match.path_separated_prefix, path, ignore_case=ignore_case)
    elif match.prefix is not None:
        failure = string_failure(StringMatcher(prefix=match.prefix, ignore_case=ignore_case), path)
    else:
        failure = "is matched by nothing (the route has no path match)"
    return None if failure is None else f"path {shown(path)} {failure}"


def _separated_failure(prefix: str, path: bytes, *, ignore_case: bool) -> str | None:
    failure = string_failure(StringMatcher(prefix=prefix, ignore_case=ignore_case), path)
    if failure is not None:
        return failure
    following = path[len(prefix.encode()) :]
    return None if following[:1] in (b"", b"/") else f"goes on after {shown(prefix)} without a '/'"


def metadata_failure(matcher: MetadataMatcher, facts: RequestFacts) -> str | None:
    """What is wrong with what filters found out, as a token's claims; ``None`` where it fits."""
    if compile_metadata_matcher(matcher)(facts.metadata):
        return None
    if not facts.metadata:
        return "there is no valid token with claims"
    name = ".".join(segment.key for segment in matcher.path[1:])
    return f"the token's claim {name} is {'what it must not be' if matcher.invert else 'another, or missing'}"


def route_failure(match: RouteMatch, facts: RequestFacts) -> str | None:
    """The first criterion of a route's match that a request does not fulfil; ``None`` where it fulfils all."""
    failure = path_failure(match, facts)
    if failure is not None:
        return failure
    for header in match.headers:
        failure = header_failure(header, facts)
        if failure is not None:
            return failure
    for parameter in match.query_parameters:
        failure = query_failure(parameter, facts)
        if failure is not None:
            return failure
    failures = (metadata_failure(matcher, facts) for matcher in match.dynamic_metadata)
    return next((failure for failure in failures if failure is not None), None)
