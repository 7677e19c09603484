"""Small worlds for tests: a client in namespace ``default``, YAML around it, and what its sidecar is told."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

from sandbox.compiler.find_proxy import find_proxy
from sandbox.compiler.listeners import build_sidecar_listeners
from sandbox.compiler.push_context import PushContext
from sandbox.compiler.sidecar_routes import build_sidecar_routes
from sandbox.istio.load import load_texts
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import FilterChain, Listener, TcpProxy
from sandbox.plan.route import Route, RouteConfiguration, VirtualHost

CLIENT = """\
apiVersion: v1
kind: Pod
metadata:
  name: client
  namespace: default
  labels: {app: client}
spec:
  containers: [{name: app}]
status:
  podIP: 10.0.0.9
"""


def service_entry(host: str, *ports: str, resolution: str = "DNS", more: str = "") -> str:
    """A ServiceEntry; ports are written ``80/HTTP``, ``more`` is further YAML of the spec."""
    split = [port.split("/") for port in ports]
    name = host.replace("*", "any").replace(".", "-")
    written = ", ".join(f"{{number: {number}, name: p{number}, protocol: {protocol}}}" for number, protocol in split)
    return (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
        f"metadata: {{name: {name}, namespace: default}}\n"
        f"spec:\n  hosts: ['{host}']\n  ports: [{written}]\n  resolution: {resolution}\n"
        + "".join(f"  {line}\n" for line in dedent(more).strip().splitlines())
    )


def virtual_service(name: str, spec: str, namespace: str = "default") -> str:
    """A VirtualService with the YAML of its spec."""
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
    body = "".join(f"  {line}\n" for line in dedent(spec).strip().splitlines())
    return f"{head}metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n{body}"


def mesh(settings: str) -> str:
    """The mesh configuration."""
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n"
    return head + "".join(f"    {line}\n" for line in dedent(settings).strip().splitlines())


@dataclass(frozen=True)
class Told:
    """What the client's sidecar is told, and what was found on the way."""

    listeners: dict[str, Listener]
    routes: dict[str, RouteConfiguration]
    codes: list[str]

    def host(self, routes: str, name: str) -> VirtualHost:
        """One virtual host."""
        return next(host for host in self.routes[routes].virtual_hosts if host.name == name)

    def routes_of(self, routes: str, name: str) -> tuple[Route, ...]:
        """The routes of one virtual host."""
        return self.host(routes, name).routes

    def chains(self, listener: str) -> list[FilterChain]:
        """All chains of a listener, the default one last."""
        found = self.listeners[listener]
        default = [found.default_filter_chain] if found.default_filter_chain is not None else []
        return [*found.filter_chains, *default]


def told(*documents: str, client: str = CLIENT) -> Told:
    """Compile the client's sidecar in a world of these documents."""
    configuration = load_texts([("world.yaml", "---\n".join((client, *documents)))])
    push = PushContext(configuration)
    proxy = find_proxy(configuration, "default/client")
    assert proxy is not None
    scope = push.sidecar_scope(proxy)
    parts = push.plan_parts(scope, ())
    listeners = build_sidecar_listeners(push, proxy, scope, parts)
    routes = build_sidecar_routes(push, proxy, scope, listeners, parts)
    codes = [problem.code for problem in (*configuration.problems, *push.problems)]
    return Told({listener.name: listener for listener in listeners}, dict(routes), codes)


def tcp_proxy(chain: FilterChain) -> TcpProxy:
    """The chain's TCP proxy."""
    config = chain.filters[-1].typed_config
    assert isinstance(config, TcpProxy)
    return config


def manager(chain: FilterChain) -> HttpConnectionManager:
    """The chain's connection manager."""
    config = chain.filters[-1].typed_config
    assert isinstance(config, HttpConnectionManager)
    return config


def criteria(chain: FilterChain) -> tuple[object, ...]:
    """Server names, blocks and application protocols a chain asks for."""
    match = chain.filter_chain_match
    if match is None:
        return ()
    blocks = tuple(f"{block.address_prefix}/{block.prefix_len}" for block in match.prefix_ranges)
    return (*match.server_names, *blocks, *match.application_protocols)
