"""What unquoted text means: the YAML 1.1 words and numbers that sigs.k8s.io/yaml knows."""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_FLOAT_WORDS: Final = {
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER: Final = re.compile(
    r"[-+]?(?:(?P<decimal>0|[1-9][0-9_]*)|0(?P<octal>[0-7_]+)|0[xX][0-9a-fA-F_]+|0[bB][01_]+)\Z"
)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_MAX_DIGITS: Final = 400

_NUMBER_STARTS: Final = frozenset("+-.0123456789")
_PREFIX: Final = "tag:yaml.org,2002:"
CORE_TAGS: Final = frozenset({"!", *(_PREFIX + word for word in ("str", "int", "float", "bool", "null", "map", "seq"))})
"""Tags that change nothing but the type of a scalar."""


def resolve_plain(text: str) -> object:
    """The value of unquoted text: null, a boolean, a number, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    return _number(text)


def key_text(text: str) -> str:
    """The text of an unquoted key: ``yes`` and ``on`` are the boolean and become ``true``, as in JSON."""
    value = _WORDS.get(text)
    return text if value is None else str(value).lower()


def _number(text: str) -> object:
    if len(text) > _MAX_DIGITS:
        return text
    integer = _INTEGER.match(text)
    if integer is not None:
        digits = text.replace("_", "")
        if integer["decimal"]:
            return int(digits)
        return int(digits, 8) if integer["octal"] else int(digits, 0)
    if _FLOAT.match(text):
        return float(text)
    return _FLOAT_WORDS.get(text, text)


def resolve_tagged(tag: str, text: str) -> object:
    """The value of text under a tag of ``CORE_TAGS``; ``ValueError`` says why it cannot have that type."""
    if tag in ("!", _PREFIX + "str"):
        return text
    value = resolve_plain(text)
    types: dict[str, tuple[type, ...]] = {
        _PREFIX + "int": (int,),
        _PREFIX + "float": (float, int),
        _PREFIX + "bool": (bool,),
        _PREFIX + "null": (type(None),),
    }
    if not isinstance(value, types.get(tag, ())):
        raise ValueError(f"the text {text!r} is no {tag.removeprefix(_PREFIX)}")
    return value
