"""What a run needs besides YAML: files, workload, ports, targets of the log."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.errors import SettingsError


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host (name or address, without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class StaticMap:
    """``--map 127.0.0.1:8080=httpbin.org:80``: what arrives at ``listen`` is meant for ``target``."""

    listen: HostPort
    target: HostPort


@dataclass(frozen=True, slots=True)
class ResolveOverride:
    """``--resolve HOST[:PORT]=ADDR[:PORT]``; ``port`` None is any port, ``address_port`` None keeps the port."""

    host: str
    port: int | None
    address: str
    address_port: int | None


@dataclass(frozen=True, slots=True)
class WorkloadProxy:
    """``--proxy 127.0.0.1:15081=shop/frontend``: whoever comes to ``listen`` is this workload."""

    listen: HostPort
    workload: str | None


@dataclass(frozen=True, slots=True)
class GivenEndpoint:
    """``--endpoint NAME.NAMESPACE[:PORT]=ADDR[:PORT]``; ``port`` None is any port, ``address_port`` None its target."""

    name: str
    namespace: str
    port: int | None
    address: str
    address_port: int | None

    @property
    def address_text(self) -> str:
        """As it was written."""
        return str(HostPort(self.address, self.address_port)) if self.address_port else self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run of the proxy; addresses are ``HostPort``, ``None`` is "do not open"."""

    files: tuple[str, ...] = ()
    """Files, directories, or ``-``; read in this order."""
    mesh: str | None = None
    """A file with a bare MeshConfig (or any of the forms that carry one)."""
    namespace: str = "default"
    """Namespace of objects that name none."""
    node_type: str = "sidecar"
    """``sidecar`` or ``router`` (a gateway)."""
    workload: str | None = None
    """``NAMESPACE/NAME``; ``None`` lets the configuration decide."""
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str | None = None
    pod_ip: str | None = None
    istio_ports: bool = False
    """Open 15001 (capture), 15021 (readiness); 15000, 15020, 15053 are the admin's and the DNS proxy's."""
    capture: tuple[HostPort, ...] = ()
    """Ports that take redirected connections, besides 15001."""
    proxy: HostPort | None = HostPort("127.0.0.1", 15080)
    """The explicit HTTP proxy; gives way to a listener of the plan on the same port."""
    workload_proxies: tuple[WorkloadProxy, ...] = ()
    """Explicit HTTP proxies of other workloads."""
    socks: HostPort | None = None
    maps: tuple[StaticMap, ...] = ()
    resolve: tuple[ResolveOverride, ...] = ()
    endpoints: tuple[GivenEndpoint, ...] = ()
    """Where Services of the cluster really are, in place of what the files say."""
    dns_servers: tuple[HostPort, ...] = ()
    """Empty: those of ``/etc/resolv.conf``."""
    admin: HostPort | None = None
    """Envoy's admin port, on loopback; without it there is one on 15000 with Istio's ports."""
    access_log: str | None = None
    """Where what the YAML sends to ``/dev/stdout`` goes: a file, ``-`` or ``None`` for standard output."""
    lab: bool = False
    watch: bool = False
    allow_remote: bool = False
    seed: int | None = None
    """Seed of every draw (percentages, load balancers); ``None`` draws afresh."""
    drain_seconds: float = 2.0
    """How long SIGTERM waits for live connections."""
    control: str | None = None
    """Path of the control socket by which ``egress exec`` joins; ``None`` opens none."""
    with_gateways: bool = False
    """Run every gateway that the YAML names beside the sidecar."""
    launcher_fd: int | None = None
    """A socket to the ``egress exec`` that started us: it is told when we are ready, and we end with its program."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """``PILOT_*`` and other settings of istiod, over those of the YAML."""


def parse_host_port(text: str, default_port: int | None = None) -> HostPort:
    """``host:port``, ``[v6]:port``, ``:port`` (loopback) or, with a default port, a bare host."""
    host, separator, port = text.rpartition(":")
    if (text.startswith("[") and text.endswith("]")) or not separator or (":" in host and not host.startswith("[")):
        host, port = text, ""
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port:
        if default_port is None:
            if text.isdigit():
                raise SettingsError(f"{text!r} needs an address before the port, as in 127.0.0.1:{text}")
            raise SettingsError(f"{text!r} needs a port, as in 127.0.0.1:8080")
        return HostPort(host, default_port)
    if not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise SettingsError(f"{text!r}: {port!r} is no port")
    return HostPort(host, int(port))


def parse_static_map(text: str) -> StaticMap:
    """``LISTEN=TARGET``, both ``host:port``."""
    listen, separator, target = text.partition("=")
    if not separator:
        raise SettingsError(f"{text!r} is not LISTEN=TARGET, as in 127.0.0.1:8080=httpbin.org:80")
    return StaticMap(parse_host_port(listen), parse_host_port(target))


def parse_proxy(text: str) -> WorkloadProxy:
    """``ADDR:PORT`` or ``ADDR:PORT=NAMESPACE/NAME``."""
    listen, separator, workload = text.partition("=")
    if separator and not workload:
        raise SettingsError(f"{text!r} names no workload, as in 127.0.0.1:15081=shop/frontend")
    return WorkloadProxy(parse_host_port(listen), workload or None)


def parse_resolve(text: str) -> ResolveOverride:
    """``HOST[:PORT]=ADDR[:PORT]``; a port of 0 cannot be meant and stands for "not given"."""
    name, separator, address = text.partition("=")
    if not separator:
        raise SettingsError(f"{text!r} is not HOST[:PORT]=ADDRESS[:PORT]")
    host, to = parse_host_port(name, 0), parse_host_port(address, 0)
    try:
        ipaddress.ip_address(to.host)
    except ValueError:
        raise SettingsError(f"{text!r}: {to.host!r} is not an IP address") from None
    return ResolveOverride(host.host.lower().rstrip("."), host.port or None, to.host, to.port or None)


def parse_endpoint(text: str) -> GivenEndpoint:
    """``NAME[.NAMESPACE[.svc...]][:PORT]=ADDR[:PORT]``; the namespace is ``default`` where none is said."""
    found = parse_resolve(text)
    name, _, rest = found.host.partition(".")
    namespace, _, domain = rest.partition(".")
    if domain.partition(".")[0] not in ("", "svc"):
        raise SettingsError(f"{text!r}: {found.host!r} is no Service, as in istio-egressgateway.istio-system")
    return GivenEndpoint(name, namespace or "default", found.port, found.address, found.address_port)
