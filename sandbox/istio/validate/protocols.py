"""Protocol words of ports, in any case."""

from __future__ import annotations

from typing import Final

HTTP: Final = frozenset({"http", "http2", "http_proxy", "grpc", "grpc-web"})
TLS: Final = frozenset({"https", "tls"})
TCP: Final = frozenset({"tcp", "https", "tls", "mongo", "redis", "mysql"})
_KNOWN: Final = HTTP | TCP | {"udp"}


def is_known(protocol: str) -> bool:
    """Whether istiod knows the word; the empty one it does not."""
    return protocol.lower() in _KNOWN


def is_http(protocol: str) -> bool:
    """Plain-text HTTP in some form."""
    return protocol.lower() in HTTP


def is_tls(protocol: str) -> bool:
    """HTTPS and TLS."""
    return protocol.lower() in TLS


def is_tcp(protocol: str) -> bool:
    """What is carried as TCP, TLS included; the unknown is not."""
    return protocol.lower() in TCP


def protocol_fault(protocol: str) -> str | None:
    """A protocol may be left out."""
    return None if not protocol or is_known(protocol) else f"unsupported protocol: {protocol}"
