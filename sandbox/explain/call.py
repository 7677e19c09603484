"""The call that is to be explained: what a program in the workload would do."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from sandbox.frozen_dataclass import dataclass

_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_TLS_PORTS: Final = frozenset({443, 8443, 465, 636, 853, 993, 995, 5671, 8883})
_SCHEMES: Final = {"ws": "http", "wss": "https"}


class CallRefused(ValueError):
    """The text names no call; the message says what would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. ``scheme`` says what the client speaks: ``http``, ``https``, ``tls`` (not HTTP) or ``tcp``."""

    scheme: str
    host: str
    port: int
    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    address: str | None = None
    """IP literal the name resolves to, where the caller knows it."""
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    """What a TLS client offers."""
    sni: str | None = None
    """Server name that is sent where it is not the host, as between proxies."""
    source_ip: str = "0.0.0.0"
    """The caller's address, for authorization."""
    identity: str = ""
    """The caller's SPIFFE identity, shown where its proxy begins mutual TLS."""
    is_mutual: bool = False
    """Whether the callee sees the caller's certificate."""
    inside: Call | None = None
    """What arrives where the callee ends the TLS of the proxy before it."""

    @property
    def is_http(self) -> bool:
        """Whether the client speaks HTTP, perhaps inside TLS."""
        return self.scheme in ("http", "https")

    @property
    def is_tls(self) -> bool:
        """Whether the client begins with a ClientHello."""
        return self.scheme in ("https", "tls")

    @property
    def server_name(self) -> str:
        """The SNI: the host, unless it is an address."""
        if self.is_tls and self.sni is not None:
            return self.sni.lower()
        return "" if not self.is_tls or is_ip(self.host) else self.host.lower()

    @property
    def authority(self) -> str:
        """The Host header as common clients write it: without the scheme's own port."""
        for name, value in self.headers:
            if name.lower() in ("host", ":authority"):
                return value
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if _DEFAULT_PORTS.get(self.scheme) == self.port else f"{host}:{self.port}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if not self.is_http:
            return f"{host}:{self.port} ({'TLS' if self.is_tls else 'TCP'})"
        port = "" if _DEFAULT_PORTS[self.scheme] == self.port else f":{self.port}"
        return f"{self.method} {self.scheme}://{host}{port}{self.path}"


def parse_call(
    target: str,
    *,
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    address: str | None = None,
) -> Call:
    """A call from ``URL`` or ``HOST:PORT``; for the latter TLS is spoken on ports that are known for it, else TCP.

    Schemes: http, https, ws, wss, tcp, tls. Raises CallRefused.
    """
    if address is not None and not is_ip(address):
        raise CallRefused(f"{address} is not an IP address")
    text = target if "://" in target else f"//{target}"
    try:
        parts = urlsplit(text)
        host, given_port = parts.hostname, parts.port
    except ValueError as fault:
        raise CallRefused(f"{target}: {fault}") from None
    if not host:
        raise CallRefused(f"{target} names no host; write a URL, or HOST:PORT")
    scheme = parts.scheme
    if scheme not in ("", "tcp", "tls", *_DEFAULT_PORTS):
        raise CallRefused(f"{scheme} is not a scheme of calls; http, https, ws, wss, tcp and tls are")
    port = given_port if given_port is not None else _DEFAULT_PORTS.get(scheme)
    if port is None:
        raise CallRefused(f"{target} names no port; write HOST:PORT, or a URL with http or https")
    if not scheme:
        scheme = "tls" if port in _TLS_PORTS else "tcp"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Call(
        scheme=_SCHEMES.get(scheme, scheme),
        host=host,
        port=port,
        method=method.upper(),
        path=path,
        headers=tuple(headers),
        address=address,
        alpn=("http/1.1",) if scheme == "wss" else ("h2", "http/1.1"),
    )


def is_ip(text: str) -> bool:
    """Whether it is an IP literal."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
