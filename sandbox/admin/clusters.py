"""``/clusters``: the state of every cluster and its hosts, in Envoy's words.

Source: Envoy source/server/admin/clusters_handler.cc; the order and the names are those of Envoy 1.39's answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from sandbox.admin.answers import AdminRequest, Answer, as_json
from sandbox.admin.name_filter import name_filter
from sandbox.admin.nodes import chosen_node

if TYPE_CHECKING:
    from sandbox.app import Sandbox
    from sandbox.metrics.cluster_counters import HostCounters
    from sandbox.plan.cluster import Cluster
    from sandbox.proxy.cluster_manager import ClusterManager
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.host import Host

_DEFAULTS: Final = {"max_connections": 1024, "max_pending_requests": 1024, "max_requests": 1024, "max_retries": 3}
_PRIORITIES: Final = ("default", "high")


def clusters(sandbox: Sandbox, request: AdminRequest) -> Answer:
    """All of them, those whose name contains ``?filter=``, as text or ``?format=json``."""
    node = chosen_node(sandbox, request)
    search = name_filter(request)
    manager = node.node.clusters
    found = [plan for plan in manager.plans.values() if search(plan.name)]
    if request.query.get("format") == "json":
        return as_json({"cluster_statuses": [_status(plan, manager) for plan in found]} if found else {})
    return Answer("".join(f"{line}\n" for plan in found for line in _lines(plan, manager)))


def _hosts(plan: Cluster, manager: ClusterManager) -> list[tuple[Host, ClusterRuntime]]:
    """Those known so far: a cluster that nobody has used, and that has nothing to resolve, is made for the question."""
    runtime = manager.get(plan.name)
    return [] if runtime is None else [(host, runtime) for host in runtime.hosts]


def _limits(plan: Cluster, priority: str) -> dict[str, int]:
    """Istio sets those of the default priority."""
    thresholds = plan.circuit_breakers.thresholds if plan.circuit_breakers is not None else ()
    if priority != "default" or not thresholds:
        return _DEFAULTS
    limits = {name: getattr(thresholds[0], name) for name in _DEFAULTS}
    return {name: _DEFAULTS[name] if limit is None else limit for name, limit in limits.items()}


def _lines(plan: Cluster, manager: ClusterManager) -> Iterator[str]:
    yield f"{plan.name}::observability_name::{plan.name};"
    if plan.outlier_detection is not None:
        for rate in ("success_rate", "local_origin_success_rate"):
            yield f"{plan.name}::outlier::{rate}_average::-1"
            yield f"{plan.name}::outlier::{rate}_ejection_threshold::-1"
    for priority in _PRIORITIES:
        for name, limit in _limits(plan, priority).items():
            yield f"{plan.name}::{priority}_priority::{name}::{limit}"
    yield f"{plan.name}::added_via_api::true"
    for host, runtime in _hosts(plan, manager):
        for name, value in _facts(host, runtime).items():
            yield f"{plan.name}::{host.address}::{name}::{value}"


def _facts(host: Host, runtime: ClusterRuntime) -> dict[str, object]:
    ended, locality = runtime.counters.host(host.address), host.locality
    return {
        "cx_active": host.active_connections,
        "cx_connect_fail": host.connect_failures,
        "cx_total": host.connections,
        "rq_active": host.active_requests,
        "rq_error": ended.errors,
        "rq_pending_active": 0,
        "rq_success": ended.successes,
        "rq_timeout": ended.timeouts,
        "rq_total": host.requests,
        "hostname": host.hostname,
        "health_flags": "healthy" if host.healthy else _health_flag(host),
        "weight": host.weight,
        "region": locality.region if locality is not None else "",
        "zone": locality.zone if locality is not None else "",
        "sub_zone": locality.sub_zone if locality is not None else "",
        "canary": "false",
        "priority": host.priority,
        "success_rate": -1,
        "local_origin_success_rate": -1,
    }


def _health_flag(host: Host) -> str:
    """Ejected, or told so by the plan."""
    return "/failed_outlier_check" if host.health_status in ("UNKNOWN", "HEALTHY") else "/failed_eds_health"


def _status(plan: Cluster, manager: ClusterManager) -> dict[str, Any]:
    hosts = [_host_status(host, runtime) for host, runtime in _hosts(plan, manager)]
    thresholds = [{"priority": "HIGH"} if priority == "high" else {} for priority in _PRIORITIES]
    limits = [{**told, **_limits(plan, name)} for told, name in zip(thresholds, _PRIORITIES, strict=True)]
    return {
        "name": plan.name,
        "added_via_api": True,
        **({"host_statuses": hosts} if hosts else {}),
        "circuit_breakers": {"thresholds": limits},
        "observability_name": f"{plan.name};",
        **({"eds_service_name": plan.name} if plan.type == "EDS" else {}),
    }


def _host_status(host: Host, runtime: ClusterRuntime) -> dict[str, Any]:
    target, locality = host.target, host.locality
    place = {name: getattr(locality, name) for name in ("region", "zone", "sub_zone")} if locality is not None else {}
    return {
        "address": {"pipe": {"path": target}}
        if isinstance(target, str)
        else {"socket_address": {"address": target[0], "port_value": target[1]}},
        "stats": _host_stats(host, runtime.counters.host(host.address)),
        "health_status": _health(host),
        **({"hostname": host.hostname} if host.hostname else {}),
        "weight": host.weight,
        **({"priority": host.priority} if host.priority else {}),
        "locality": {name: value for name, value in place.items() if value},
    }


def _health(host: Host) -> dict[str, object]:
    told = "HEALTHY" if host.health_status in ("UNKNOWN", "HEALTHY") else host.health_status
    ejected = not host.healthy and told == "HEALTHY"
    return {**({"failed_outlier_check": True} if ejected else {}), "eds_health_status": told}


def _host_stats(host: Host, ended: HostCounters) -> list[dict[str, str]]:
    """Protobuf's JSON: zeros and the kind COUNTER are left out."""
    counters = {
        "cx_connect_fail": host.connect_failures,
        "cx_total": host.connections,
        "rq_error": ended.errors,
        "rq_success": ended.successes,
        "rq_timeout": ended.timeouts,
        "rq_total": host.requests,
    }
    gauges = {"cx_active": host.active_connections, "rq_active": host.active_requests, "rq_pending_active": 0}
    told = [{**_value(value), "name": name} for name, value in counters.items()]
    return told + [{"type": "GAUGE", **_value(value), "name": name} for name, value in gauges.items()]


def _value(value: int) -> dict[str, str]:
    return {"value": str(value)} if value else {}
