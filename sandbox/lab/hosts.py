"""The hosts of the embedded internet: names, ports and who answers."""

from __future__ import annotations

from typing import Literal

from sandbox.frozen_dataclass import dataclass

Kind = Literal["httpbin", "site", "echo", "mysql", "redis", "proxy", "sni-proxy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabHost:
    """One machine: all its names have one address and one certificate."""

    names: tuple[str, ...]
    kind: Kind
    http: tuple[int, ...] = ()
    https: tuple[int, ...] = ()
    tcp: tuple[int, ...] = ()
    certificate_names: tuple[str, ...] = ()
    """Where the certificate is for other names than ``names`` (a wildcard)."""
    addresses: tuple[str, ...] = ()
    """Addresses of the real internet that are this host's too: connections to them come here."""
    asks_for_certificate: bool = False
    """Whether HTTPS is mutual: clients need a certificate of the local authority."""
    about: str = ""


WIKIPEDIA_LANGUAGES = ("www", "en", "de", "fr", "es", "ja", "zh")

HOSTS: tuple[LabHost, ...] = (
    LabHost(
        names=("httpbin.org", "www.httpbin.org"),
        kind="httpbin",
        http=(80,),
        https=(443,),
        about="/get /headers /status/N /delay/S ...",
    ),
    LabHost(names=("www.aliyun.com",), kind="site", http=(80,), https=(443,), about="301 to https; Tengine"),
    LabHost(names=("www.google.com", "google.com"), kind="site", http=(80,), https=(443,), about="a page"),
    LabHost(names=("edition.cnn.com",), kind="site", http=(80,), https=(443,), about="301 to https; a page"),
    LabHost(
        names=(*(f"{language}.wikipedia.org" for language in WIKIPEDIA_LANGUAGES), "wikipedia.org"),
        kind="site",
        http=(80,),
        https=(443,),
        certificate_names=("*.wikipedia.org", "wikipedia.org"),
        addresses=("203.0.113.20",),
        about="a page that names its language",
    ),
    LabHost(names=("api.example.com", "www.example.com"), kind="httpbin", http=(80,), https=(443,), about="as httpbin"),
    LabHost(names=("tcp-echo.example.com",), kind="echo", tcp=(9000,), about="sends back what it gets"),
    LabHost(names=("mysql.example.com",), kind="mysql", tcp=(3306,), about="speaks first: a database's greeting"),
    LabHost(names=("redis.example.com",), kind="redis", tcp=(6379,), about="PING, ECHO, SET, GET, INFO"),
    LabHost(names=("aliyun.com",), kind="site", http=(80,), https=(443,), about="301 to https; Tengine"),
    LabHost(
        names=("my-nginx.example.com",),
        kind="httpbin",
        http=(80,),
        https=(443,),
        asks_for_certificate=True,
        about="mutual TLS: only with a certificate of the local authority (egress certs --secret)",
    ),
    LabHost(
        names=("my-company-proxy.example.com",),
        kind="proxy",
        tcp=(3128,),
        addresses=("203.0.113.10",),
        about="CONNECT to any of these hosts",
    ),
    LabHost(
        names=("sni-proxy.example.com",),
        kind="sni-proxy",
        tcp=(18443,),
        about="TLS to any of these hosts, by the server name",
    ),
)
