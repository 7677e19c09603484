"""Names and values of HTTP headers that a configuration matches or writes."""

from __future__ import annotations

import re
from typing import Final

from sandbox.istio.headers import HeaderOperations, Headers
from sandbox.istio.validate.findings import Findings

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~A-Za-z0-9]+")
_STRICT_NAME: Final = re.compile("[-_A-Za-z0-9]+")
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_PSEUDO: Final = frozenset({":method", ":scheme", ":authority", ":path", ":status"})
_JWT_CLAIM: Final = "@request.auth.claims"
_EMPTY: Final = "header name cannot be empty"


def is_jwt_claim(name: str) -> bool:
    """A match on a claim of a validated token, written as a header name."""
    if not name.lower().startswith(_JWT_CLAIM):
        return False
    claim = name[len(_JWT_CLAIM) :]
    return (claim.startswith(".") and len(claim) > 1) or (claim[:1] == "[" and claim[-1:] == "]" and len(claim) > 2)


def is_authority(name: str) -> bool:
    """The header that names the host, by either name."""
    return name.lower() in (":authority", "host")


def match_name_fault(name: str) -> str | None:
    """A header to match on: a token, a pseudo header, or a claim."""
    if not name:
        return _EMPTY
    if is_jwt_claim(name) or name in _PSEUDO or _TOKEN.fullmatch(name):
        return None
    return f"header name {name} is not a valid header name"


def strict_name_fault(name: str) -> str | None:
    """A header of letters, digits, ``-`` and ``_`` only."""
    if not name:
        return _EMPTY
    return None if _STRICT_NAME.fullmatch(name) else f"header name {name} is not a valid header name"


def cors_name_fault(name: str) -> str | None:
    """A header in a CORS list: a token, or ``*``."""
    if not name:
        return _EMPTY
    return None if _TOKEN.fullmatch(name) else f"header name {name} is not a valid header name"


def _written_name_fault(name: str, *, authority_allowed: bool) -> str | None:
    if not name:
        return _EMPTY
    if authority_allowed and is_authority(name):
        return None
    if name.lower() == "host":
        return f"invalid header {name!r}: cannot set Host header"
    return f'invalid header {name!r}: header cannot have ":" prefix' if name.startswith(":") else None


def header_value_fault(value: str) -> str | None:
    """A value to write: no control characters, and ``%`` only in pairs, doubled or around a variable."""
    if _CONTROL.search(value):
        return f"header value {value!r} has control characters"
    return _variables_fault(value)


def _variables_fault(value: str) -> str | None:
    position = 0
    while (start := value.find("%", position)) >= 0:
        if start + 1 == len(value):
            return f"header value {value!r} ends in an un-escaped %"
        if value[start + 1] == "%":
            position = start + 2
            continue
        end = _variable_end(value, start + 1)
        if isinstance(end, str):
            return f"header value {value!r}: {end}"
        position = end
    return None


def _variable_end(value: str, start: int) -> int | str:
    """Where the variable that begins at ``start`` has ended; or what is wrong with it."""
    for position in range(start, len(value)):
        if value[position] == "%":
            return position + 1
        if value[position] == "(":
            return _arguments_end(value, position + 1)
    return "un-terminated variable expression"


_STRING, _FIRST, _IN_ARRAY, _BETWEEN, _AFTER_ARRAY, _CLOSED = range(6)


def _arguments_end(value: str, start: int) -> int | str:
    """Envoy's states after ``%NAME(``: a list of strings in brackets, or free text up to ``)``."""
    state, position = _FIRST, start
    while position < len(value):
        character = value[position]
        if state == _CLOSED and character == "%":
            return position + 1
        if state == _STRING and character == "\\":
            if position + 1 == len(value):
                return "un-terminated backslash"
            position += 1
        else:
            following = _next_state(state, character)
            if isinstance(following, str):
                return following
            state = following
        position += 1
    return "un-terminated variable expression"


def _next_state(state: int, character: str) -> int | str:
    moves = {
        _FIRST: {"[": _IN_ARRAY},
        _IN_ARRAY: {'"': _STRING},
        _STRING: {")": _CLOSED, '"': _BETWEEN},
        _BETWEEN: {",": _IN_ARRAY, "]": _AFTER_ARRAY},
        _AFTER_ARRAY: {")": _CLOSED},
        _CLOSED: {},
    }[state]
    if character in moves:
        return moves[character]
    if state == _STRING or character == " ":
        return state
    if state == _FIRST:
        return _STRING
    expected = " or ".join(f"'{one}'" for one in moves) or "'%'"
    return f"expected {expected}, found {character!r}"


def check_header_operations(headers: Headers | None, findings: Findings) -> None:
    """Headers that a route or a destination adds, sets and removes."""
    if headers is None:
        return
    if headers.request is not None:
        _check_operations(headers.request, findings, authority_allowed=True)
    if headers.response is not None:
        _check_operations(headers.response, findings, authority_allowed=False)


def _check_operations(operations: HeaderOperations, findings: Findings, *, authority_allowed: bool) -> None:
    for field, written in (("add", operations.add), ("set", operations.set)):
        for name, value in written.items():
            findings.check(_written_name_fault(name, authority_allowed=authority_allowed), operations, field, name)
            findings.check(header_value_fault(value), operations, field, name)
    for index, name in enumerate(operations.remove):
        findings.check(_written_name_fault(name, authority_allowed=False), operations, "remove", index)
