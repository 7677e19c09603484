"""Protocol words of ports, in any case."""

from __future__ import annotations

from typing import Final

from sandbox.yaml_source.problems import did_you_mean

HTTP: Final = frozenset({"http", "http2", "http_proxy", "grpc", "grpc-web"})
TLS: Final = frozenset({"https", "tls"})
TCP: Final = frozenset({"tcp", "https", "tls", "mongo", "redis", "mysql"})
_WORDS: Final = ("HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB", "TLS", "TCP", "MONGO", "REDIS", "MYSQL", "UDP")
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


def protocol_hint(protocol: str) -> str:
    """The word that was probably meant."""
    near = did_you_mean(protocol, _WORDS)
    return f"did you mean {near}?" if near else f"the words are {', '.join(_WORDS)}"


def protocol_fault(protocol: str) -> str | None:
    """A protocol may be left out."""
    return None if not protocol or is_known(protocol) else f"unsupported protocol: {protocol}"
