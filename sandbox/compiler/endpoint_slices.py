"""Endpoints of Kubernetes Services: EndpointSlices, Endpoints, and WorkloadEntries their selectors pick.

Source: Istio pilot/pkg/serviceregistry/kube/controller/endpointslice.go, controller.go
(``serviceInstancesFromWorkloadInstances``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sandbox.compiler.label_selectors import augment, selects
from sandbox.compiler.services import Health, Resolution, Service, ServiceEndpoint, ServicePort
from sandbox.compiler.workloads import (
    CLUSTER_ID,
    WorkloadInstance,
    WorkloadReader,
    is_ready,
    pod_address,
)
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.kubernetes import (
    EndpointAddress,
    EndpointConditions,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    KubernetesServicePort,
    PodSpec,
    ServiceSpec,
    SliceEndpoint,
)
from sandbox.istio.load import Configuration
from sandbox.istio.resource import Resource
from sandbox.plan.because import Because

_SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
Pod = Resource[PodSpec]


@dataclass(frozen=True, slots=True)
class _SliceItem:
    """One endpoint of a slice with the ports of the slice."""

    endpoint: SliceEndpoint
    ports: tuple[EndpointPort, ...]
    origin: Because


class KubernetesEndpoints:
    """Endpoints of all Kubernetes Services, read from what a configuration holds."""

    def __init__(
        self, configuration: Configuration, reader: WorkloadReader, workloads: Mapping[str, list[WorkloadInstance]]
    ) -> None:
        """``workloads``: what selectors of Services may pick besides pods, by namespace."""
        self._reader = reader
        self._workloads = workloads
        pods = configuration.resources("Pod")
        self._pods: dict[tuple[str, str], Pod] = {(pod.namespace, pod.name): pod for pod in pods}
        self._pods_by_address = {pod_address(pod): pod for pod in pods if is_ready(pod)}
        self._items: dict[tuple[str, str], list[_SliceItem]] = {}
        for resource in configuration.resources("EndpointSlice"):
            self._add_slice(resource)
        with_slices = frozenset(self._items)
        for endpoints in configuration.resources("Endpoints"):
            if (endpoints.namespace, endpoints.name) not in with_slices:
                self._add_endpoints(endpoints)

    def _add_slice(self, resource: Resource[EndpointSlice]) -> None:
        name = resource.metadata.labels.get(_SERVICE_NAME_LABEL, "")
        if not name or resource.spec.address_type == "FQDN":
            return
        self._items.setdefault((resource.namespace, name), []).extend(
            _SliceItem(endpoint, resource.spec.ports, Because("endpoint", endpoint.origin))
            for endpoint in resource.spec.endpoints
        )

    def _add_endpoints(self, resource: Resource[Endpoints]) -> None:
        """Kubernetes mirrors Endpoints that someone writes into slices."""
        items = self._items.setdefault((resource.namespace, resource.name), [])
        for subset in resource.spec.subsets:
            for ready, addresses in ((True, subset.addresses), (False, subset.not_ready_addresses)):
                items.extend(
                    _SliceItem(_mirrored(address, ready=ready), subset.ports, Because("endpoint", address.origin))
                    for address in addresses
                )

    def of_service(self, service: Service, resource: Resource[ServiceSpec]) -> tuple[ServiceEndpoint, ...]:
        """The endpoints of a service: those of its slices, then workloads its selector picks."""
        found: dict[tuple[str, str], ServiceEndpoint] = {}
        for item in self._items.get((service.namespace, service.name), ()):
            for endpoint in self._from_item(service, item):
                found.setdefault((endpoint.addresses[0], endpoint.service_port_name), endpoint)
        return (*found.values(), *self._selected(service, resource))

    def _from_item(self, service: Service, item: _SliceItem) -> Iterator[ServiceEndpoint]:
        for address in item.endpoint.addresses:
            reference = item.endpoint.target_ref
            expected = reference is not None and reference.kind == "Pod"
            pod = self._pod(address, service.namespace, item.endpoint)
            if pod is None and expected:
                continue
            health = _health(service, item.endpoint.conditions or EndpointConditions())
            for port in item.ports:
                yield self._endpoint(pod, address, port, health, item.origin)

    def _pod(self, address: str, namespace: str, endpoint: SliceEndpoint) -> Pod | None:
        reference = endpoint.target_ref
        if reference is not None and reference.kind == "Pod":
            return self._pods.get((reference.namespace, reference.name))
        pod = self._pods_by_address.get(address)
        return pod if pod is not None and pod.namespace == namespace else None

    def _endpoint(
        self, pod: Pod | None, address: str, port: EndpointPort, health: Health, origin: Because
    ) -> ServiceEndpoint:
        if pod is None:
            return ServiceEndpoint(
                addresses=(address,),
                port=port.port or 0,
                service_port_name=port.name,
                labels=augment({}, CLUSTER_ID, "", "", self._reader.network),
                network=self._reader.network,
                health=health,
                because=(origin,),
            )
        instance = self._reader.from_pod(pod, address)
        return ServiceEndpoint(
            addresses=(address,),
            port=port.port or 0,
            service_port_name=port.name,
            labels=instance.labels,
            locality=instance.locality,
            network=instance.network,
            tls_mode=instance.tls_mode,
            namespace=instance.namespace,
            workload_name=instance.workload_name,
            service_account=instance.service_account,
            health=health,
            host_name=instance.host_name,
            sub_domain=instance.sub_domain,
            node_name=instance.node_name,
            because=(origin, *instance.because),
        )

    def _selected(self, service: Service, resource: Resource[ServiceSpec]) -> Iterator[ServiceEndpoint]:
        """WorkloadEntries that the service's selector picks; pods have slices.

        Of several ports with one number (TCP and UDP) only the first counts, as in istiod.
        """
        if service.resolution is not Resolution.CLIENT_SIDE_LB or not service.label_selectors:
            return
        for number in dict.fromkeys(port.number for port in service.ports):
            port = service.port(number)
            assert port is not None
            written = next(item for item in resource.spec.ports if item.name == port.name or item.port == number)
            for instance in self._workloads.get(service.namespace, ()):
                if instance.is_pod or instance.only_by_name or not selects(service.label_selectors, instance.labels):
                    continue
                target = _target_port(written, instance)
                if target:
                    yield _selected_endpoint(instance, port, target)


def _mirrored(address: EndpointAddress, *, ready: bool) -> SliceEndpoint:
    return SliceEndpoint(
        addresses=(address.ip,),
        conditions=EndpointConditions(ready=ready, terminating=False),
        hostname=address.hostname,
        node_name=address.node_name,
        target_ref=address.target_ref,
    )


def _health(service: Service, conditions: EndpointConditions) -> Health:
    """Absent conditions count as true (Istio's ``endpointHealthStatus``)."""
    if conditions.ready is not False:
        return Health.HEALTHY
    terminating = conditions.terminating is not False
    if service.keeps_sessions and conditions.serving is not False and terminating:
        return Health.DRAINING
    return Health.TERMINATING if terminating else Health.UNHEALTHY


def _target_port(port: KubernetesServicePort, instance: WorkloadInstance) -> int:
    """Where a workload serves a service port; 0 when the port is named and the workload has none of that name."""
    if isinstance(port.target_port, str) and port.target_port:
        return instance.ports.get(port.target_port, 0)
    if isinstance(port.target_port, int) and port.target_port > 0:
        return instance.ports.get(port.name) or port.target_port
    return port.port


def _selected_endpoint(instance: WorkloadInstance, port: ServicePort, number: int) -> ServiceEndpoint:
    return ServiceEndpoint(
        addresses=(instance.address,),
        port=number,
        service_port_name=port.name,
        labels=instance.labels,
        locality=instance.locality,
        network=instance.network,
        weight=instance.weight,
        tls_mode=instance.tls_mode,
        namespace=instance.namespace,
        workload_name=instance.workload_name,
        service_account=instance.service_account,
        because=instance.because,
    )
