"""Where a redirect route sends the client (``RouteEntryImplBase::newUri``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.match.regex import compile_rewrite
from sandbox.match.virtual_host_table import without_port

if TYPE_CHECKING:
    from sandbox.plan.route import RedirectAction, RouteMatch

STATUS = {
    "MOVED_PERMANENTLY": 301,
    "FOUND": 302,
    "SEE_OTHER": 303,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}


class Redirect:
    """A redirect action, compiled."""

    __slots__ = ("_host", "_matched", "_path", "_port", "_prefix", "_regex", "_scheme", "_strip", "status")

    def __init__(self, plan: RedirectAction, match: RouteMatch | None) -> None:
        self.status = STATUS.get(plan.response_code, 301)
        self._scheme = b"https" if plan.https_redirect else (plan.scheme_redirect or "").encode()
        self._host = plan.host_redirect.encode()
        self._port = b":%d" % plan.port_redirect if plan.port_redirect else b""
        self._path = None if plan.path_redirect is None else b"/" + plan.path_redirect.encode().removeprefix(b"/")
        self._prefix = None if plan.prefix_rewrite is None else plan.prefix_rewrite.encode()
        self._regex = None if plan.regex_rewrite is None else compile_rewrite(plan.regex_rewrite)
        self._matched = match
        self._strip = plan.strip_query

    def location(self, scheme: bytes, authority: bytes, path: bytes) -> bytes:
        """The absolute URL; ``scheme`` is that of the request, ``path`` holds the query."""
        final_scheme = self._scheme or scheme
        host = authority
        if self._host:
            host = self._host
        elif self._scheme and self._is_default_port(authority, scheme):
            host = without_port(authority)
        if self._port:
            host = (self._host or without_port(host)) + self._port
        bare, question, query = path.partition(b"?")
        target = self._target(bare)
        if self._path is not None and b"?" in target:
            return b"%b://%b%b" % (final_scheme, host, target)
        if not self._strip and question:
            target += question + query
        return b"%b://%b%b" % (final_scheme, host, target)

    def _is_default_port(self, authority: bytes, scheme: bytes) -> bool:
        port = authority[len(without_port(authority)) + 1 :]
        return (scheme == b"http" and port == b"80") or (scheme == b"https" and port == b"443")

    def _target(self, bare: bytes) -> bytes:
        if self._path is not None:
            return self._path
        if self._prefix is not None:
            return self._prefix + bare[len(matched_part(self._matched, bare)) :]
        if self._regex is not None:
            return self._regex(bare)
        return bare


def matched_part(match: RouteMatch | None, bare_path: bytes) -> bytes:
    """What of a path the route's match took: all of it, or the prefix."""
    if match is None:
        return b""
    prefix = match.prefix if match.prefix is not None else match.path_separated_prefix
    return bare_path if prefix is None else bare_path[: len(prefix.encode())]
