"""Whose admin port it is: that of the run's own workload, unless ``?node=NAMESPACE/POD`` names another one."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sandbox.admin.answers import AdminRequest, Answer, Refused

if TYPE_CHECKING:
    from sandbox.app import Sandbox
    from sandbox.metrics.node_metrics import NodeMetrics
    from sandbox.proxy.snapshot import Snapshot

PARAMETER: Final = "node"
ALL: Final = "all"


def chosen_node(sandbox: Sandbox, request: AdminRequest) -> Snapshot:
    """The node that is asked about. Raises ``Refused``."""
    nodes = sandbox.nodes
    wanted = request.query.get(PARAMETER)
    if not nodes:
        raise Refused("nothing is loaded yet\n", HTTPStatus.SERVICE_UNAVAILABLE)
    if wanted is None:
        return next(iter(nodes.values()))
    if wanted not in nodes:
        raise Refused(f"no node is called {wanted}; there are {', '.join(nodes)}\n", HTTPStatus.NOT_FOUND)
    return nodes[wanted]


def chosen_nodes(sandbox: Sandbox, request: AdminRequest) -> list[Snapshot]:
    """The same, where ``?node=all`` is everybody; none for a workload that has gone, but has been counted."""
    wanted = request.query.get(PARAMETER)
    if wanted == ALL:
        return list(sandbox.nodes.values())
    return [] if wanted in _gone(sandbox) else [chosen_node(sandbox, request)]


def chosen_metrics(sandbox: Sandbox, request: AdminRequest) -> list[NodeMetrics]:
    """What was counted for a node, also for one that has gone; ``?node=all`` is everything."""
    wanted, counted = request.query.get(PARAMETER, ""), sandbox.metrics.nodes
    if wanted == ALL:
        return list(counted.values())
    return [counted[wanted]] if wanted in _gone(sandbox) else [chosen_node(sandbox, request).node.metrics]


def list_nodes(sandbox: Sandbox, _request: AdminRequest) -> Answer:
    """One line for each: what it is, and which; then those that have gone, but have been counted."""
    here = [f"{each.plan.node_type} {name}\n" for name, each in sandbox.nodes.items()]
    return Answer("".join([*here, *(f"gone {name}\n" for name in _gone(sandbox))]))


def _gone(sandbox: Sandbox) -> list[str]:
    """Workloads of programs that have ended."""
    return [name for name in sandbox.metrics.nodes if name not in sandbox.nodes]
