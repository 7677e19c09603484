"""What matching may look at: facts of one connection, and of one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from sandbox.wire.http_message import Header

_NO_METADATA: Final[Mapping[str, Mapping[str, object]]] = {}


class ConnectionFacts(msgspec.Struct, frozen=True):
    """What a filter chain may be chosen by; addresses are IP literals, names are as the inspectors found them."""

    destination_ip: str
    destination_port: int
    source_ip: str = "127.0.0.1"
    source_port: int = 0
    transport_protocol: str = "raw_buffer"
    """``tls`` where an inspector saw a ClientHello."""
    server_name: str = ""
    """SNI in lower case; empty where none was sent or no inspector looked."""
    application_protocols: tuple[str, ...] = ()
    """ALPN of the ClientHello, or what the HTTP inspector found (``http/1.1``, ``http/1.0``, ``h2c``)."""


class RequestFacts(msgspec.Struct, eq=False):
    """What a route may be chosen by. ``path`` is ``:path`` with its query, ``None`` for CONNECT.

    ``headers`` are all but the pseudo headers, names in lower case; ``authority`` stands for ``host`` too.
    """

    method: bytes
    path: bytes | None
    authority: bytes | None
    scheme: bytes = b"http"
    headers: Sequence[Header] = ()
    metadata: Mapping[str, Mapping[str, object]] = _NO_METADATA
    """What filters have left by now, as a token's claims."""
    _bare_path: bytes | None = None
    _query: dict[bytes, bytes] | None = None

    @property
    def bare_path(self) -> bytes:
        """The path without query and fragment."""
        bare = self._bare_path
        if bare is None:
            path = self.path or b""
            bare = path.partition(b"?")[0]
            if b"#" in bare:
                bare = bare.partition(b"#")[0]
            self._bare_path = bare
        return bare

    @property
    def query(self) -> dict[bytes, bytes]:
        """The first value of each query parameter, as written (nothing is decoded)."""
        if self._query is None:
            self._query = _parse_query(self.path or b"")
        return self._query

    def values(self, name: bytes) -> list[bytes]:
        """All values of a header, one for each time it was sent; pseudo headers by their name."""
        pseudo = PSEUDO_HEADERS.get(name)
        if pseudo is None:
            return [value for key, value in self.headers if key == name]
        value: bytes | None = getattr(self, pseudo)
        return [] if value is None else [value]

    def header(self, name: bytes) -> bytes | None:
        """The values of a header joined with ``,``; pseudo headers by their name; ``None`` where it is missing."""
        pseudo = PSEUDO_HEADERS.get(name)
        if pseudo is not None:
            value: bytes | None = getattr(self, pseudo)
            return value
        found = [value for key, value in self.headers if key == name]
        if not found:
            return None
        return found[0] if len(found) == 1 else b",".join(found)


PSEUDO_HEADERS: Final = {
    b":method": "method",
    b":path": "path",
    b":authority": "authority",
    b"host": "authority",
    b":scheme": "scheme",
}
"""Pseudo headers, and ``host``, which is one of them under another name: the attribute that has the value."""


def _parse_query(path: bytes) -> dict[bytes, bytes]:
    query: dict[bytes, bytes] = {}
    question = path.find(b"?")
    if question < 0:
        return query
    for parameter in path[question + 1 :].partition(b"#")[0].split(b"&"):
        name, _, value = parameter.partition(b"=")
        query.setdefault(name, value)
    return query
