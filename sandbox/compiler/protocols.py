"""Protocols of ports: names, families, and how Kubernetes ports say theirs (Istio pkg/config/protocol, kube)."""

from __future__ import annotations

from enum import Enum
from typing import Final


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

    @property
    def is_http(self) -> bool:
        """Spoken by an HTTP connection manager."""
        return self in _HTTP

    @property
    def is_http2(self) -> bool:
        """HTTP/2 towards the upstream."""
        return self in _HTTP2

    @property
    def is_tcp(self) -> bool:
        """Carried as bytes, TLS included."""
        return self in _TCP

    @property
    def is_tls(self) -> bool:
        """Routed by server name."""
        return self in _TLS

    @property
    def is_unsupported(self) -> bool:
        """Not known: to be detected."""
        return self is Protocol.UNSUPPORTED


_HTTP: Final = frozenset({Protocol.HTTP, Protocol.HTTP2, Protocol.HTTP_PROXY, Protocol.GRPC, Protocol.GRPC_WEB})
_HTTP2: Final = frozenset({Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB})
_TCP: Final = frozenset({Protocol.TCP, Protocol.HTTPS, Protocol.TLS, Protocol.MONGO, Protocol.REDIS, Protocol.MYSQL})
_TLS: Final = frozenset({Protocol.HTTPS, Protocol.TLS})
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
