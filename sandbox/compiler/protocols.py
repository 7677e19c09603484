"""Protocols of ports: names, families, and how Kubernetes ports say theirs (Istio pkg/config/protocol, kube)."""

from __future__ import annotations

from enum import Enum
from typing import Final

_HTTP: Final = frozenset({"HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-Web"})
_HTTP2: Final = frozenset({"HTTP2", "GRPC", "GRPC-Web"})
_TCP: Final = frozenset({"TCP", "HTTPS", "TLS", "Mongo", "Redis", "MySQL"})
_TLS: Final = frozenset({"HTTPS", "TLS"})


class Protocol(Enum):
    """A port's protocol; the value is Istio's word."""

    TCP = "TCP"
    UDP = "UDP"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-Web"
    HTTP = "HTTP"
    HTTP_PROXY = "HTTP_PROXY"
    HTTP2 = "HTTP2"
    HTTPS = "HTTPS"
    TLS = "TLS"
    MONGO = "Mongo"
    REDIS = "Redis"
    MYSQL = "MySQL"
    UNSUPPORTED = "UnsupportedProtocol"

    __hash__ = object.__hash__
    """Members are single, and hashed a lot."""

    is_http: bool
    """Spoken by an HTTP connection manager."""
    is_http2: bool
    """HTTP/2 towards the upstream."""
    is_tcp: bool
    """Carried as bytes, TLS included."""
    is_tls: bool
    """Routed by server name."""
    is_unsupported: bool
    """Not known: to be detected."""

    def __init__(self, word: str) -> None:
        self.is_http = word in _HTTP
        self.is_http2 = word in _HTTP2
        self.is_tcp = word in _TCP
        self.is_tls = word in _TLS
        self.is_unsupported = word == "UnsupportedProtocol"


_BY_NAME: Final = {protocol.value.lower(): protocol for protocol in Protocol if protocol is not Protocol.UNSUPPORTED}
_APP_PROTOCOLS: Final = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}
_WELL_KNOWN_PORTS: Final = frozenset({25, 53, 3306, 27017})


def parse_protocol(name: str) -> Protocol:
    """A protocol by Istio's word for it, in any case."""
    return _BY_NAME.get(name.lower(), Protocol.UNSUPPORTED)


def kubernetes_protocol(port: int, name: str, transport: str, app_protocol: str | None) -> Protocol:
    """The protocol of a Kubernetes service port (Istio pkg/config/kube/conversion.go)."""
    if transport == "UDP":
        return Protocol.UDP
    if app_protocol in _APP_PROTOCOLS:
        return _APP_PROTOCOLS[app_protocol]
    word = name if app_protocol is None else app_protocol
    if word[: len("grpc-web")].lower() == "grpc-web":
        return Protocol.GRPC_WEB
    protocol = parse_protocol(word.partition("-")[0])
    if protocol is Protocol.UNSUPPORTED and port in _WELL_KNOWN_PORTS:
        return Protocol.TCP
    return protocol
