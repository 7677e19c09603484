"""``?filter=``: a regular expression (RE2) that a name must hold somewhere."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.admin.answers import AdminRequest, Refused
from sandbox.match.regex import RegexRefused, compile_search


def name_filter(request: AdminRequest, parameter: str = "filter") -> Callable[[str], bool]:
    """Whether a name is asked for; any is where nothing is given. Raises ``Refused``."""
    try:
        return compile_search(request.query.get(parameter, ""))
    except RegexRefused as refused:
        raise Refused(f"Invalid re2 regex: {refused}\n") from None
