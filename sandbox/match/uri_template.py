"""Envoy's URI templates as authorization policies use them: ``{*}`` is one segment, ``{**}`` any number of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sandbox.match.regex import compile_full_match

LETTERS: Final = r"[a-zA-Z0-9-._~%!$&'()+,;:@=]"
OPERATOR: Final = re.compile(r"\{(\*\*?)\}|\*\*?")


def compile_uri_template(template: str) -> Callable[[bytes], bool]:
    """Whether a path (without its query) fits the template."""
    pattern, last = "", 0
    for operator in OPERATOR.finditer(template):
        pattern += re.escape(template[last : operator.start()])
        pattern += f"(?:{LETTERS}|/)*" if "**" in operator[0] else f"{LETTERS}+"
        last = operator.end()
    return compile_full_match(pattern + re.escape(template[last:]))
