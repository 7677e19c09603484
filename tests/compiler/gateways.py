"""A gateway for tests: its pod, the Service in front of it, and what it is told."""

from __future__ import annotations

from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import FilterChain, Listener
from sandbox.plan.route import RouteConfiguration
from sandbox.plan.tls import DownstreamTlsContext

from .nodes import Compiled, compiled, manifest

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: client
  namespace: default
  labels: {istio: gateway}
spec:
  containers: [{name: istio-proxy}]
status:
  podIP: 10.0.0.9
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: gateway, namespace: default}
spec:
  clusterIP: 10.96.0.9
  selector: {istio: gateway}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: https, port: 443, targetPort: 8443}
"""


def gateway(name: str, *servers: str, namespace: str = "default", **metadata: str) -> str:
    """A Gateway for our pod; each server is YAML in braces."""
    listed = "\n".join(f"- {server}" for server in servers)
    return manifest("Gateway", name, f"selector: {{istio: gateway}}\nservers:\n{listed}", namespace, **metadata)


def http_server(*hosts: str, port: int = 80, name: str = "http", more: str = "") -> str:
    """A server of plain HTTP."""
    return _server(port, name, "HTTP", hosts, more)


def tls_server(*hosts: str, tls: str, port: int = 443, protocol: str = "HTTPS", name: str = "https") -> str:
    """A server with TLS settings."""
    return _server(port, name, protocol, hosts, f", tls: {tls}")


def _server(port: int, name: str, protocol: str, hosts: tuple[str, ...], more: str) -> str:
    listed = ", ".join(f"'{host}'" for host in hosts)
    return f"{{port: {{number: {port}, name: {name}, protocol: {protocol}}}, hosts: [{listed}]{more}}}"


def routed(name: str, host: str, gateways: str = "gw", namespace: str = "default", rule: str = "") -> str:
    """A VirtualService for gateways; the rule's YAML, or a redirect that says who it was."""
    rule = rule or f"{{redirect: {{uri: /{name}}}}}"
    spec = f"hosts: ['{host}']\ngateways: [{gateways}]\nhttp:\n- {rule}"
    return manifest("VirtualService", name, spec, namespace)


def router(*documents: str) -> Compiled:
    """What our gateway is told in a world of these documents."""
    return compiled(SERVICE, *documents, client=POD, node="router")


def listeners(world: Compiled) -> dict[str, Listener]:
    """Listeners by name."""
    return {listener.name: listener for listener in world.plan.listeners}


def domains(routes: RouteConfiguration) -> dict[str, tuple[str, ...]]:
    """The domains of every virtual host."""
    return {host.name: host.domains for host in routes.virtual_hosts}


def route_name(chain: FilterChain) -> str:
    """The routes that a chain uses."""
    config = chain.filters[-1].typed_config
    assert isinstance(config, HttpConnectionManager)
    assert config.rds is not None
    return config.rds.route_config_name


def tls_of(chain: FilterChain) -> DownstreamTlsContext | None:
    """How a chain terminates TLS, if it does."""
    config = chain.transport_socket.typed_config if chain.transport_socket is not None else None
    return config if isinstance(config, DownstreamTlsContext) else None
