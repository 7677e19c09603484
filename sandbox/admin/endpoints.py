"""The paths of each port: what answers them, and what help says about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox.admin.answers import AdminRequest, Answer, Refused
from sandbox.admin.clusters import clusters
from sandbox.admin.config import configuration
from sandbox.admin.guard import check_caller
from sandbox.admin.lifecycle import drain, drain_listeners, health, problems, quit_program
from sandbox.admin.listeners import listeners
from sandbox.admin.logging_levels import levels
from sandbox.admin.nodes import list_nodes
from sandbox.admin.server_info import ready, server_info
from sandbox.admin.stats import prometheus, stats

if TYPE_CHECKING:
    from sandbox.app import Sandbox

Handler = Callable[["Sandbox", AdminRequest], Answer]
_NODE = {"node": "NAMESPACE/POD of a gateway or workload beside the run's own; see /nodes"}
_NODES = {"node": f"{_NODE['node']}; all for every one"}
_FILTER = {"filter": "Regular expression (RE2) for filtering by name"}
_USED = {"usedonly": "Only include stats that have been written to"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path; ``changes`` is what takes POST."""

    handler: Handler
    words: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    changes: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """What one port answers."""

    endpoints: Mapping[str, Endpoint]
    has_help: bool = False

    def answer(self, sandbox: Sandbox, request: AdminRequest, *, is_loopback_only: bool) -> Answer:
        """The answer to one request."""
        endpoint = self.endpoints.get(request.path)
        try:
            check_caller(request, is_loopback_only=is_loopback_only, changes=endpoint is not None and endpoint.changes)
            if endpoint is None:
                return self._without_endpoint(request)
            if endpoint.changes and request.method != "POST":
                words = f"Method {request.method} not allowed, POST required."
                return Answer(words, HTTPStatus.METHOD_NOT_ALLOWED)
            sandbox.count_ended()
            return endpoint.handler(sandbox, request)
        except Refused as refused:
            return refused.answer

    def _without_endpoint(self, request: AdminRequest) -> Answer:
        if not self.has_help:
            return Answer("", HTTPStatus.NOT_FOUND)
        if request.path in ("/", "/help"):
            return Answer(f"admin commands are:\n{self.help_text()}")
        return Answer(f"invalid path. admin commands are:\n{self.help_text()}", HTTPStatus.NOT_FOUND)

    def help_text(self) -> str:
        """Every path with its parameters, as Envoy lists them."""
        lines: list[str] = []
        for path, endpoint in sorted(self.endpoints.items()):
            lines.append(f"  {path}{' (POST)' if endpoint.changes else ''}: {endpoint.words}")
            lines += [f"      {name}: {words}" for name, words in endpoint.parameters.items()]
        return "".join(f"{line}\n" for line in lines)


ADMIN = Port(
    {
        "/clusters": Endpoint(
            clusters,
            "upstream cluster status",
            {**_FILTER, "format": "File format to use; One of (text, json)", **_NODE},
        ),
        "/config_dump": Endpoint(
            configuration,
            "dump current Envoy configs",
            {
                "resource": "The resource to dump",
                "mask": "The fields to keep, of each item where a resource is given",
                "name_regex": "Dump only the resources whose names match",
                "include_eds": "Dump endpoints, too",
                **_NODE,
            },
        ),
        "/drain_listeners": Endpoint(
            drain_listeners,
            "drain listeners",
            {
                "graceful": "Ask clients to close their connections first",
                "inboundonly": "Drains inbound listeners, of which there are none",
            },
            changes=True,
        ),
        "/listeners": Endpoint(listeners, "print listener info", {"format": "One of (text, json)", **_NODE}),
        "/logging": Endpoint(
            levels,
            "query/change logging levels",
            {"paths": "logger:level,logger:level", "level": "The level of all loggers"},
            changes=True,
        ),
        "/nodes": Endpoint(list_nodes, "print the sidecar, gateways and workloads of this process"),
        "/problems": Endpoint(problems, "print what was found in the configuration"),
        "/quitquitquit": Endpoint(quit_program, "exit the server", changes=True),
        "/ready": Endpoint(ready, "print server state, return 200 if LIVE, otherwise return 503"),
        "/server_info": Endpoint(server_info, "print server version/status information", _NODE),
        "/stats": Endpoint(
            stats,
            "print server stats",
            {
                **_USED,
                **_FILTER,
                "format": "One of (text, json, prometheus)",
                "type": "One of (All, Counters, Gauges, Histograms)",
                **_NODES,
            },
        ),
        "/stats/prometheus": Endpoint(
            prometheus, "print server stats in prometheus format", {**_USED, **_FILTER, **_NODES}
        ),
    },
    has_help=True,
)
"""Envoy's own port, 15000; ``/nodes`` and ``/problems`` are ours."""

AGENT = Port(
    {
        "/drain": Endpoint(drain, "", changes=True),
        "/healthz/ready": Endpoint(health, ""),
        "/metrics": Endpoint(prometheus, ""),
        "/quitquitquit": Endpoint(quit_program, "", changes=True),
        "/stats/prometheus": Endpoint(prometheus, ""),
    }
)
"""istio-agent's port, 15020: Envoy's metrics and the agent's, which here are none."""

METRICS = Port({"/stats/prometheus": Endpoint(prometheus, "")})
"""15090, the listener that Prometheus reads in a mesh."""
