"""The compiler: from typed resources to what istiod would tell one proxy."""

from __future__ import annotations

from sandbox.compiler.proxy import NodeType, Proxy
from sandbox.compiler.push_context import PushContext
from sandbox.istio.load import Configuration
from sandbox.plan import NodePlan


def find_proxy(configuration: Configuration, workload: str, node_type: NodeType = "sidecar") -> Proxy | None:
    """The proxy of a workload given as ``namespace/pod``; None when no such pod is known."""
    raise NotImplementedError


def compile_node(push: PushContext, proxy: Proxy) -> NodePlan:
    """The plan of one proxy."""
    raise NotImplementedError
