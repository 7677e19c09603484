"""Whole plans for tests: a few documents of YAML, and what one proxy in them is told."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

from sandbox.compiler import compile_node, find_proxy
from sandbox.compiler.proxy import NodeType
from sandbox.compiler.push_context import PushContext
from sandbox.istio.load import load_texts
from sandbox.istio.load_cache import LoadCache
from sandbox.plan import NodePlan
from sandbox.plan.base import Pipe, SocketAddress
from sandbox.plan.cluster import Cluster
from sandbox.plan.tls import UpstreamTlsContext

from .sidecars import CLIENT


@dataclass(frozen=True)
class Compiled:
    """A plan, the context it came from, and the codes of what was found."""

    plan: NodePlan
    push: PushContext

    @property
    def codes(self) -> list[str]:
        """Codes of the compiler's findings."""
        return [problem.code for problem in self.push.problems]

    def cluster(self, name: str) -> Cluster:
        """A cluster by name."""
        return self.plan.clusters[name]

    def outbound(self) -> list[str]:
        """Names of clusters of services, sorted."""
        return sorted(name for name in self.plan.clusters if name.startswith("outbound"))


def compiled(
    *documents: str,
    client: str = CLIENT,
    node: NodeType = "sidecar",
    previous: Compiled | None = None,
    cache: LoadCache | None = None,
) -> Compiled:
    """Compile the pod ``default/client`` in a world of these documents, one file each."""
    files = [(f"{index}.yaml", dedent(text)) for index, text in enumerate((client, *documents))]
    push = PushContext(load_texts(files, cache=cache), previous.push if previous is not None else None)
    proxy = find_proxy(push.configuration, "default/client", node)
    assert proxy is not None
    return Compiled(compile_node(push, proxy), push)


def manifest(kind: str, name: str, spec: str, namespace: str = "default", **metadata: str) -> str:
    """One object of Istio; ``metadata`` values are YAML."""
    groups = {"PeerAuthentication": "security.istio.io/v1"}
    head = f"apiVersion: {groups.get(kind, 'networking.istio.io/v1')}\nkind: {kind}\nmetadata:\n"
    fields = {"name": name, "namespace": namespace, **metadata}
    lines = "".join(f"  {key}: {value}\n" for key, value in fields.items())
    body = "".join(f"  {line}\n" for line in dedent(spec).strip().splitlines())
    return f"{head}{lines}spec:\n{body}"


def addresses(cluster: Cluster) -> list[str]:
    """``address:port`` (or the socket's path) of every endpoint, with ``@priority`` unless it is 0."""
    found = []
    for group in cluster.load_assignment.endpoints if cluster.load_assignment is not None else ():
        for item in group.lb_endpoints:
            place = item.endpoint.address if item.endpoint is not None else None
            text = place.path if isinstance(place, Pipe) else ""
            if isinstance(place, SocketAddress):
                text = f"{place.address}:{place.port_value}"
            found.append(text + (f"@{group.priority}" if group.priority else ""))
    return found


def tls_of(cluster: Cluster) -> UpstreamTlsContext | None:
    """The TLS context of a cluster, if it has one."""
    config = cluster.transport_socket.typed_config if cluster.transport_socket is not None else None
    return config if isinstance(config, UpstreamTlsContext) else None
