"""A node's plan as the JSON that ``curl localhost:15000/config_dump?include_eds`` gives, which istioctl reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sandbox.envoy_config.codec import TYPE_URL, Json, encode
from sandbox.plan import NodePlan
from sandbox.plan.because import Because
from sandbox.plan.cluster import Cluster
from sandbox.plan.route import RouteConfiguration

_ADMIN: Final = TYPE_URL + "envoy.admin.v3."
_LISTENER: Final = TYPE_URL + "envoy.config.listener.v3.Listener"
_ROUTES: Final = TYPE_URL + "envoy.config.route.v3.RouteConfiguration"
_CLUSTER: Final = TYPE_URL + "envoy.config.cluster.v3.Cluster"
_ENDPOINTS: Final = TYPE_URL + "envoy.config.endpoint.v3.ClusterLoadAssignment"
_ADS: Final = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
_EDS: Final = "EDS"
_BECAUSE: Final = "because"


def config_dump(plan: NodePlan, *, version: str = "", because: bool = False) -> dict[str, Json]:
    """The dump: ``version`` is told as that of all resources; ``because`` adds the reasons to every object."""
    dumper = _Dumper(plan, version, because)
    return {
        "configs": [
            dumper.bootstrap(),
            dumper.clusters(),
            dumper.endpoints(),
            dumper.listeners(),
            dumper.routes(),
        ]
    }


@dataclasses.dataclass(frozen=True, slots=True)
class _Dumper:
    """Makes the sections of one dump."""

    plan: NodePlan
    version: str
    because: bool

    def bootstrap(self) -> dict[str, Json]:
        namespace, _, name = self.plan.workload.rpartition("/")
        node = {
            "id": f"{self.plan.node_type}~~{name}.{namespace}~{namespace}.svc.cluster.local",
            "cluster": f"{name}.{namespace}",
            "metadata": {"NAME": name, "NAMESPACE": namespace},
        }
        return {"@type": _ADMIN + "BootstrapConfigDump", "bootstrap": {"node": node}}

    def clusters(self) -> dict[str, Json]:
        found = [self._versioned({"cluster": self._cluster(cluster)}) for cluster in self.plan.clusters.values()]
        return {"@type": _ADMIN + "ClustersConfigDump", "version_info": self.version, "dynamic_active_clusters": found}

    def _cluster(self, cluster: Cluster) -> dict[str, Json]:
        if cluster.type != _EDS:
            return self._message(_CLUSTER, cluster)
        message = self._message(_CLUSTER, replace(cluster, load_assignment=None))
        return message | {"eds_cluster_config": {"eds_config": _ADS, "service_name": cluster.name}}

    def endpoints(self) -> dict[str, Json]:
        found = [
            {"endpoint_config": self._message(_ENDPOINTS, cluster.load_assignment)}
            for cluster in self.plan.clusters.values()
            if cluster.load_assignment is not None
        ]
        return {"@type": _ADMIN + "EndpointsConfigDump", "dynamic_endpoint_configs": found}

    def listeners(self) -> dict[str, Json]:
        found = [
            {
                "name": listener.name,
                "active_state": self._versioned({"listener": self._message(_LISTENER, listener)}),
            }
            for listener in self.plan.listeners
        ]
        return {"@type": _ADMIN + "ListenersConfigDump", "version_info": self.version, "dynamic_listeners": found}

    def routes(self) -> dict[str, Json]:
        configurations: Mapping[str, RouteConfiguration] = self.plan.route_configurations
        found = [
            self._versioned({"route_config": self._message(_ROUTES, configuration)})
            for configuration in configurations.values()
        ]
        return {"@type": _ADMIN + "RoutesConfigDump", "dynamic_route_configs": found}

    def _message(self, type_url: str, message: object) -> dict[str, Json]:
        encoded = encode(message)
        if self.because:
            _explain(message, encoded)
        return {"@type": type_url} | encoded

    def _versioned(self, entry: dict[str, Json]) -> dict[str, Json]:
        return {"version_info": self.version} | entry if self.version else entry


def _explain(message: Any, encoded: Json) -> None:
    """Add the reasons of a message, and of all messages in it, to its JSON."""
    if not dataclasses.is_dataclass(message) or not isinstance(encoded, dict):
        return
    for field in dataclasses.fields(message):
        value = getattr(message, field.name)
        if field.name == _BECAUSE:
            if value:
                encoded[_BECAUSE] = [_reason(reason) for reason in value]
            continue
        oneof = getattr(value, "ONEOF", None)
        inner = encoded.get(oneof if oneof is not None and field.name == "action" else field.name)
        _explain_value(value, inner.get(oneof) if oneof is not None and field.name != "action" and inner else inner)


def _explain_value(value: object, encoded: Json) -> None:
    if isinstance(value, tuple) and isinstance(encoded, list):
        for item, inner in zip(value, encoded, strict=True):
            oneof = getattr(item, "ONEOF", None)
            _explain_value(item, inner if oneof is None else inner.get(oneof))
    elif isinstance(value, Mapping) and isinstance(encoded, dict):
        for key, item in value.items():
            _explain_value(item, encoded.get(str(key)))
    else:
        _explain(value, encoded)


def _reason(reason: Because) -> dict[str, Json]:
    """What was decided, and the line or default that decided it."""
    return {"what": reason.what, "origin": str(reason.origin)}
