"""Which workload a run is: the one that was named, the only one that the files describe, or one made up."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from sandbox.istio.kinds import WORKLOAD_KINDS
from sandbox.loading.kubernetes_text import ELSEWHERE
from sandbox.loading.stand_in_gateways import gateway_workloads
from sandbox.yaml_source.problems import did_you_mean

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.istio.load import Configuration
    from sandbox.settings import Settings

UNKNOWN_WORKLOAD = "SBX0702"
MADE_UP_ADDRESS = "10.244.0.10"
DEFAULT_WORKLOAD = "egress-sandbox"


def own_proxy(configuration: Configuration, settings: Settings) -> Proxy:
    """The proxy that we are: a workload of the configuration, or one made up, with what the settings say on top."""
    from sandbox.compiler import find_proxy, undescribed_proxy
    from sandbox.compiler.find_proxy import UNKNOWN_ADDRESS

    node_type: Literal["sidecar", "router"] = "router" if settings.node_type == "router" else "sidecar"
    only = next(iter(gateway_workloads(configuration)), None) if node_type == "router" else only_workload(configuration)
    workload = settings.workload or only or f"{settings.namespace}/{DEFAULT_WORKLOAD}"
    proxy = find_proxy(configuration, workload, node_type)
    if proxy is None:
        proxy = undescribed_proxy(configuration, workload, MADE_UP_ADDRESS, node_type)
        if settings.workload is not None and not settings.labels:
            _report_unknown_workload(configuration, workload)
    changes: dict[str, Any] = {}
    if proxy.ip_addresses == (UNKNOWN_ADDRESS,):
        changes["ip_addresses"] = (MADE_UP_ADDRESS,)
    if settings.labels:
        changes["labels"] = {**proxy.labels, **settings.labels}
    if settings.service_account is not None:
        changes["service_account"] = settings.service_account
    if settings.pod_ip is not None:
        changes["ip_addresses"] = (settings.pod_ip,)
    return dataclasses.replace(proxy, **changes) if changes else proxy


def _report_unknown_workload(configuration: Configuration, workload: str) -> None:
    """A slip of the pen, perhaps: the files describe workloads, but not this one."""
    known = [
        f"{resource.namespace}/{resource.name}"
        for kind in ("Pod", *WORKLOAD_KINDS)
        for resource in configuration.resources(kind)
    ]
    if known:
        near = did_you_mean(workload, known)
        hint = f"; did you mean {near}?" if near else ""
        sentence = f"no object describes the workload {workload}: it is taken as a pod without labels{hint}"
        configuration.problems.report(UNKNOWN_WORKLOAD, sentence, None)


def described_workloads(configuration: Configuration) -> list[str]:
    """``namespace/name`` of Pods besides the gateways, then of what makes pods; none that ``--endpoint`` made."""
    selectors = [gateway.spec.selector.items() for gateway in configuration.resources("Gateway")]
    found: list[str] = []
    for kind in ("Pod", *WORKLOAD_KINDS):
        for resource in configuration.resources(kind):
            if ELSEWHERE in resource.metadata.annotations:
                continue
            template = resource if kind == "Pod" else resource.spec.pod_template
            labels = template.metadata.labels.items() if template is not None else None
            if labels is not None and not any(selector and selector <= labels for selector in selectors):
                found.append(f"{resource.namespace}/{resource.name}")
    return found


def only_workload(configuration: Configuration) -> str | None:
    """``namespace/name`` where the configuration describes exactly one Pod besides its gateways."""
    pods = {f"{pod.namespace}/{pod.name}" for pod in configuration.resources("Pod")}
    found = [workload for workload in described_workloads(configuration) if workload in pods]
    return found[0] if len(found) == 1 else None
