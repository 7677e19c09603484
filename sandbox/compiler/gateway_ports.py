"""The Gateways that apply to a gateway workload, and its ports behind Kubernetes Services.

Source: Istio pilot/pkg/model/push_context.go (``mergeGateways``) and serviceregistry/kube/controller.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from sandbox.compiler.ages import by_creation_time
from sandbox.compiler.gateways import MergedGateways, ServiceTarget, merge_gateways
from sandbox.compiler.protocols import Protocol, kubernetes_protocol
from sandbox.istio.kinds import WORKLOAD_KINDS
from sandbox.istio.kubernetes import KubernetesServicePort, PodSpec, ServiceSpec
from sandbox.istio.resource import Resource

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

NO_TRANSLATION_LABEL: Final = "experimental.istio.io/disable-gateway-port-translation"
_CACHE_KEY: Final = "merged gateways"
PRIVILEGED_PORTS: Final = 1024


def merged_gateways(push: PushContext, proxy: Proxy) -> MergedGateways:
    """The merged Gateways of a gateway workload, computed once."""
    key = (_CACHE_KEY, proxy.workload)
    merged = push.cache.get(key)
    if not isinstance(merged, MergedGateways):
        selected = [
            gateway
            for gateway in by_creation_time(push.configuration.resources("Gateway"))
            if gateway.spec.selector.items() <= proxy.labels.items()
            and (gateway.namespace == proxy.namespace or not push.features.scope_gateway_to_namespace)
        ]
        targets = (*_service_targets(push, proxy), *_entry_targets(push, proxy))
        merged = merge_gateways(selected, targets, push.problems)
        push.cache[key] = merged
    return merged


def listening_port(push: PushContext, proxy: Proxy, port: int) -> int:
    """Where the gateway's pod gets what is sent to a port of its Services."""
    targets = (*_service_targets(push, proxy), *_entry_targets(push, proxy))
    return next((each.target_port for each in targets if each.service_port == port and each.target_port), port)


def can_bind(proxy: Proxy, port: int) -> bool:
    """Whether the gateway may listen on a port; one that says it is unprivileged may not below 1024."""
    return port >= PRIVILEGED_PORTS or proxy.metadata.raw.get("UNPRIVILEGED_POD") != "true"


def _service_targets(push: PushContext, proxy: Proxy) -> Iterator[ServiceTarget]:
    """The ports of the Services of its namespace that select the gateway's pod, with the pod's ports behind them.

    Where none does, those of Services without selector, whose endpoints somebody wrote (``GetProxyServiceTargets``).
    """
    own = [each for each in push.configuration.resources("Service") if each.namespace == proxy.namespace]
    selecting = [
        service for service in own if service.spec.selector and service.spec.selector.items() <= proxy.labels.items()
    ]
    containers = _container_ports(push, proxy)
    for service in selecting or own:
        if NO_TRANSLATION_LABEL in service.metadata.labels:
            continue
        if selecting:
            yield from _selected_targets(service, containers)
        else:
            yield from _written_targets(push, proxy, service)


def _selected_targets(
    service: Resource[ServiceSpec], containers: dict[tuple[str, str], int]
) -> Iterator[ServiceTarget]:
    """Of two ports with one protocol and one port of the pod behind them, the first counts."""
    seen: set[tuple[int, Protocol]] = set()
    for port in service.spec.ports:
        target = _target_port(service, port, containers)
        protocol = kubernetes_protocol(port.port, port.name, port.protocol, port.app_protocol)
        if target is not None and (target, protocol) not in seen:
            seen.add((target, protocol))
            yield ServiceTarget(port.port, target)


def _written_targets(push: PushContext, proxy: Proxy, resource: Resource[ServiceSpec]) -> Iterator[ServiceTarget]:
    host = f"{resource.name}.{resource.namespace}.svc.{push.configuration.domain_suffix}"
    service = push.service_of(host, resource.namespace)
    for port in service.ports if service is not None and service.is_kubernetes else ():
        for endpoint in push.registry.endpoints(host, resource.namespace):
            if endpoint.service_port_name == port.name and endpoint.addresses[:1] == proxy.ip_addresses[:1]:
                yield ServiceTarget(port.number, endpoint.port)


def _entry_targets(push: PushContext, proxy: Proxy) -> Iterator[ServiceTarget]:
    """The ports of ServiceEntries of its namespace that have the gateway's address as an endpoint."""
    for service in push.services():
        if service.is_kubernetes or service.namespace != proxy.namespace or NO_TRANSLATION_LABEL in service.labels:
            continue
        for port in service.ports:
            for endpoint in push.endpoints_of(service, port.number):
                if any(proxy.owns_address(address) for address in endpoint.addresses):
                    yield ServiceTarget(port.number, endpoint.port)


def _target_port(
    service: Resource[ServiceSpec], port: KubernetesServicePort, containers: dict[tuple[str, str], int]
) -> int | None:
    """The pod's port; None where a name is meant that no container has.

    The API server fills in ``targetPort``. An object that went through it (it has a ``clusterIP``) is taken as it
    stands, so that istiod sees 0; in a manifest that still has to, the port itself is meant.
    """
    target = port.target_port
    if target is None:
        return 0 if service.spec.cluster_ip else port.port
    return containers.get((target, port.protocol)) if isinstance(target, str) else target


def _container_ports(push: PushContext, proxy: Proxy) -> dict[tuple[str, str], int]:
    """Container ports of the gateway's pod by name and protocol."""
    spec = _pod_spec(push, proxy)
    if spec is None:
        return {}
    return {(port.name, port.protocol): port.container_port for entry in spec.containers for port in entry.ports}


def _pod_spec(push: PushContext, proxy: Proxy) -> PodSpec | None:
    for pod in push.configuration.resources("Pod"):
        if (pod.namespace, pod.name) == (proxy.namespace, proxy.name):
            found: PodSpec = pod.spec
            return found
    for kind in WORKLOAD_KINDS:
        for workload in push.configuration.resources(kind):
            if (workload.namespace, workload.name) == (proxy.namespace, proxy.name):
                template = workload.spec.pod_template
                return template.spec if template is not None else None
    return None
