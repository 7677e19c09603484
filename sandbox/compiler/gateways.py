"""The Gateways of one gateway workload, merged into the ports it listens on.

Source: Istio pilot/pkg/model/gateway.go and push_context.go (``mergeGateways``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import NamedTuple

from sandbox.compiler.protocols import Protocol, parse_protocol
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.gateway import Gateway, Server
from sandbox.istio.resource import Resource
from sandbox.yaml_source.problems import Problems

PASSTHROUGH_MODES = frozenset({"PASSTHROUGH", "AUTO_PASSTHROUGH"})


class ServiceTarget(NamedTuple):
    """A port of a Kubernetes Service that selects the gateway's pod, and the pod's port behind it."""

    service_port: int
    target_port: int


class ServerPort(NamedTuple):
    """What tells one group of servers from another: port of the pod, protocol as written, bind address."""

    number: int
    protocol: str
    bind: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GatewayServer:
    """One server of one Gateway; ``hosts`` have their namespaces resolved: ``ns/host`` or ``host``."""

    server: Server
    gateway: Resource[Gateway]
    hosts: tuple[str, ...]
    route_name: str = ""

    @property
    def gateway_name(self) -> str:
        """``namespace/name``, as VirtualServices refer to it."""
        return f"{self.gateway.namespace}/{self.gateway.name}"

    @property
    def number(self) -> int:
        """The port as the Gateway declares it."""
        return self.server.port.number if self.server.port is not None else 0

    @property
    def protocol(self) -> Protocol:
        """The port's protocol."""
        return parse_protocol(self.server.port.protocol if self.server.port is not None else "")

    @property
    def is_passthrough(self) -> bool:
        """TLS that the gateway does not terminate."""
        return self.server.tls is not None and self.server.tls.mode in PASSTHROUGH_MODES

    @property
    def is_http(self) -> bool:
        """HTTP, or HTTPS that the gateway terminates."""
        return self.protocol.is_http or (self.protocol is Protocol.HTTPS and not self.is_passthrough)

    @property
    def is_tls(self) -> bool:
        """TLS in any mode; an HTTP server's ``tls`` block only asks for redirects."""
        return self.server.tls is not None and not self.protocol.is_http

    @property
    def terminates_https(self) -> bool:
        """HTTPS that the gateway terminates."""
        return self.server.tls is not None and self.protocol is Protocol.HTTPS and not self.is_passthrough

    @property
    def sni_hosts(self) -> tuple[str, ...]:
        """The hosts without namespaces, sorted, each once."""
        return tuple(sorted({host.split("/")[1] if "/" in host else host for host in self.hosts}))

    @property
    def redirects_to_https(self) -> bool:
        """``tls.httpsRedirect``."""
        return self.server.tls is not None and self.server.tls.https_redirect


@dataclass(slots=True)
class PortServers:
    """The servers that share a port; ``route_name`` is theirs where all are plain HTTP."""

    servers: list[GatewayServer]
    route_name: str = ""


@dataclass(slots=True)
class MergedGateways:
    """All servers of a gateway workload: by port in order of appearance, and by route configuration."""

    ports: dict[ServerPort, PortServers] = field(default_factory=dict)
    by_route_name: dict[str, list[GatewayServer]] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    """``namespace/name`` of the Gateways, also of those whose servers are all kept out."""
    auto_passthrough: bool = False
    """Whether a server is AUTO_PASSTHROUGH, even one that another one on its port keeps out."""


def merge_gateways(
    gateways: Iterable[Resource[Gateway]], targets: tuple[ServiceTarget, ...], problems: Problems
) -> MergedGateways:
    """Merge the servers of the gateways (oldest first); ``targets`` translate service ports to pod ports."""
    merger = _Merger(problems)
    for gateway in gateways:
        for server in gateway.spec.servers:
            if server.port is None:
                continue
            merger.merged.names[f"{gateway.namespace}/{gateway.name}"] = None
            port = _resolve_port(server.port.number, targets)
            hosts = resolve_server_hosts(server.hosts, gateway.namespace)
            entry = GatewayServer(server=server, gateway=gateway, hosts=hosts)
            name = _route_name(entry, port)
            merger.add(GatewayServer(server=server, gateway=gateway, hosts=hosts, route_name=name), port)
    return merger.merged


def _resolve_port(number: int, targets: tuple[ServiceTarget, ...]) -> int:
    """The pod's port behind a service's port; the first service that has it counts, else the port is taken as it is."""
    return next((target.target_port for target in targets if target.service_port == number), number)


def resolve_server_hosts(hosts: tuple[str, ...], namespace: str) -> tuple[str, ...]:
    """``./h`` is ``<namespace>/h``, ``*/h`` is ``h``; ``*/*`` makes the whole list ``*``."""
    if "*/*" in hosts:
        return ("*",)
    return tuple(_resolve_host(host, namespace) for host in hosts)


def _resolve_host(host: str, namespace: str) -> str:
    prefix, slash, name = host.partition("/")
    if not slash:
        return host
    return {".": f"{namespace}/{name}", "*": name}.get(prefix, host)


def _route_name(entry: GatewayServer, port: int) -> str:
    """``http.8080`` by the pod's port, ``https.443.name.gateway.namespace`` by the declared one; else none."""
    bind = f".{entry.server.bind}" if entry.server.bind else ""
    if entry.protocol.is_http:
        return f"http.{port}{bind}"
    if entry.protocol is Protocol.HTTPS and not entry.is_passthrough and entry.server.port is not None:
        gateway = f"{entry.gateway.name}.{entry.gateway.namespace}"
        return f"https.{entry.number}.{entry.server.port.name}.{gateway}{bind}"
    return ""


def _mergeable(new: Protocol, current: Protocol) -> bool:
    return (new.is_http or new is current) and current.is_http


class _Merger:
    """Takes servers one by one; those that conflict with earlier ones are dropped and told."""

    def __init__(self, problems: Problems) -> None:
        self.merged = MergedGateways()
        self._problems = problems
        self._numbers: set[int] = set()
        self._plaintext: dict[int, ServerPort] = {}
        self._tls_hosts: dict[int, dict[str, str]] = {}

    def add(self, entry: GatewayServer, number: int) -> None:
        """Take one server in, on the pod's port ``number``."""
        if entry.server.tls is not None and not self._claim_hosts(entry, number):
            return
        self.merged.auto_passthrough |= entry.server.tls is not None and entry.server.tls.mode == "AUTO_PASSTHROUGH"
        protocol = entry.server.port.protocol if entry.server.port is not None else ""
        port = ServerPort(number, protocol, entry.server.bind)
        if number not in self._numbers:
            self._numbers.add(number)
            self._open(entry, port)
        elif number in self._plaintext:
            self._beside_plaintext(entry, port, self._plaintext[number])
        elif entry.is_tls:
            self._beside_tls(entry, port)
        else:
            self._open(entry, port)

    def _claim_hosts(self, entry: GatewayServer, number: int) -> bool:
        """Hosts of TLS servers become SNI matches, so each may stand once on a port and bind address."""
        known = self._tls_hosts.setdefault(number, {})
        duplicates = [host for host in entry.hosts if known.get(host) == entry.server.bind]
        if duplicates:
            self._drop(entry, f"host {', '.join(duplicates)} is already served with TLS on port {number}")
            return False
        known.update(dict.fromkeys(entry.hosts, entry.server.bind))
        return True

    def _open(self, entry: GatewayServer, port: ServerPort) -> None:
        if not entry.is_tls:
            self._plaintext[port.number] = port
        if entry.is_http:
            self.merged.by_route_name[entry.route_name] = [entry]
        self.merged.ports[port] = PortServers([entry], entry.route_name)

    def _beside_plaintext(self, entry: GatewayServer, port: ServerPort, current: ServerPort) -> None:
        """Plain HTTP joins plain HTTP; another bind address is another listener; all else conflicts."""
        if current.bind != port.bind:
            self._at_other_bind(entry, port)
            return
        if not _mergeable(entry.protocol, parse_protocol(current.protocol)) or not entry.route_name:
            self._drop(entry, f"port {port.number} already serves {current.protocol}")
            return
        self.merged.ports[current].servers.append(entry)
        self.merged.by_route_name.setdefault(entry.route_name, []).append(entry)

    def _at_other_bind(self, entry: GatewayServer, port: ServerPort) -> None:
        known = self.merged.ports.get(port)
        if known is None:
            self._open(entry, port)
            return
        known.route_name = entry.route_name
        known.servers.append(entry)
        self.merged.by_route_name.setdefault(entry.route_name, []).append(entry)

    def _beside_tls(self, entry: GatewayServer, port: ServerPort) -> None:
        """TLS joins TLS, told apart by SNI."""
        if entry.is_http:
            if entry.route_name in self.merged.by_route_name:
                self._drop(entry, f"another server has the same port name on port {port.number}")
                return
            self.merged.by_route_name[entry.route_name] = [entry]
        known = self.merged.ports.setdefault(port, PortServers([]))
        known.servers.append(entry)

    def _drop(self, entry: GatewayServer, reason: str) -> None:
        self._problems.report(
            "SBX0541",
            f"server of gateway {entry.gateway_name} is ignored: {reason}",
            entry.server.origin,
            severity="warning",
            hint="give each server its own port, hosts or bind address",
        )
