"""Workloads that selectors may pick: pods that are ready, and WorkloadEntries.

Source: Istio pilot/pkg/serviceregistry/kube/controller/pod.go, serviceentry/conversion.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from sandbox.compiler.label_selectors import (
    NETWORK_LABEL,
    TLS_MODE_LABEL,
    WORKLOAD_NAME_LABEL,
    augment,
    locality_of_labels,
    locality_of_node,
)
from sandbox.compiler.names import UNIX_PREFIX
from sandbox.compiler.proxy import is_ip_address
from sandbox.compiler.services import Health
from sandbox.compiler.spiffe import spiffe_uri
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.kubernetes import Container, PodSpec, PodStatus
from sandbox.istio.load import Configuration
from sandbox.istio.message import EMPTY
from sandbox.istio.resource import Resource
from sandbox.istio.workload_entry import WorkloadEntry, WorkloadEntryStatus
from sandbox.plan.because import Because, because_field

CLUSTER_ID = "Kubernetes"
"""The name of the one cluster there is."""
DISABLED_TLS_MODE = "disabled"
ISTIO_TLS_MODE = "istio"
_HEALTH_CHECKS = "proxy.istio.io/health-checks-enabled"
_WORKLOAD_GROUP = "istio.io/autoRegistrationGroup"

Pod = Resource[PodSpec]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadInstance:
    """One workload, not yet as an endpoint of a service (Istio's ``WorkloadInstance``)."""

    name: str
    namespace: str
    is_pod: bool
    address: str
    labels: Mapping[str, str]
    locality: str = ""
    network: str = ""
    weight: int = 0
    tls_mode: str = DISABLED_TLS_MODE
    service_account: str = ""
    workload_name: str = ""
    node_name: str = ""
    host_name: str = ""
    sub_domain: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    health: Health = Health.UNKNOWN
    because: tuple[Because, ...] = because_field()

    @property
    def only_by_name(self) -> bool:
        """Whether the address is a host name or a Unix socket, which only DNS services can use."""
        return self.address.startswith(UNIX_PREFIX) or (self.address != "" and not is_ip_address(self.address))


class WorkloadReader:
    """Turns pods and WorkloadEntries into workload instances; knows trust domain, nodes and the pods' network."""

    def __init__(self, configuration: Configuration) -> None:
        self.trust_domain = configuration.mesh.trust_domain
        self.network = _network_of_cluster(configuration)
        self._nodes = {node.name: node.metadata.labels for node in configuration.resources("Node")}

    def locality(self, labels: Mapping[str, str], node_name: str) -> str:
        """The locality of a pod by its labels, else its node's (``getPodLocality``)."""
        return locality_of_labels(labels) or locality_of_node(self._nodes.get(node_name, EMPTY))

    def from_pod(self, pod: Pod, address: str = "") -> WorkloadInstance:
        """The instance of a pod; ``address`` is the one an endpoint slice has for it, else the pod's."""
        labels = pod.metadata.labels
        locality = self.locality(labels, pod.spec.node_name)
        network = labels.get(NETWORK_LABEL) or self.network
        return WorkloadInstance(
            name=pod.name,
            namespace=pod.namespace,
            is_pod=True,
            address=address or pod_address(pod),
            labels=augment(labels, CLUSTER_ID, locality, pod.spec.node_name, network),
            locality=locality,
            network=network,
            tls_mode=labels.get(TLS_MODE_LABEL, DISABLED_TLS_MODE),
            service_account=spiffe_uri(self.trust_domain, pod.namespace, pod.spec.service_account_name),
            workload_name=labels.get(WORKLOAD_NAME_LABEL) or pod.name,
            node_name=pod.spec.node_name,
            host_name=(pod.spec.hostname or pod.name) if pod.spec.subdomain else "",
            sub_domain=pod.spec.subdomain,
            ports=_container_ports(pod.spec),
            health=Health.HEALTHY,
            because=(Because("pod", pod.origin_of("metadata", "name")),),
        )

    def from_entry(self, entry: WorkloadEntry, name: str, namespace: str) -> WorkloadInstance:
        """The instance of an endpoint of a ServiceEntry, or of a WorkloadEntry's specification."""
        locality = entry.locality or locality_of_labels(entry.labels)
        account = entry.service_account
        tls_mode = ISTIO_TLS_MODE if account else DISABLED_TLS_MODE
        return WorkloadInstance(
            name=name,
            namespace=namespace,
            is_pod=False,
            address=entry.address,
            labels=augment(entry.labels, CLUSTER_ID, locality, "", entry.network),
            locality=locality,
            network=entry.network,
            weight=entry.weight,
            tls_mode=entry.labels.get(TLS_MODE_LABEL, tls_mode),
            service_account=spiffe_uri(self.trust_domain, namespace, account) if account else "",
            workload_name=name,
            ports=entry.ports,
            because=(Because("endpoint", entry.origin_of("address")),),
        )

    def from_workload_entry(self, resource: Resource[WorkloadEntry]) -> WorkloadInstance:
        """The instance of a WorkloadEntry object: labels of the metadata count, too, and first."""
        metadata = resource.metadata
        entry = resource.spec
        merged = {**entry.labels, **metadata.labels}
        instance = self.from_entry(replace(entry, labels=merged), metadata.name, metadata.namespace)
        name = metadata.annotations.get(_WORKLOAD_GROUP) or metadata.labels.get(WORKLOAD_NAME_LABEL)
        return replace(instance, workload_name=name) if name else instance


def _network_of_cluster(configuration: Configuration) -> str:
    """The network that the namespace of istiod names for all pods (``networkFromSystemNamespace``)."""
    namespaces = configuration.resources("Namespace")
    system = next((namespace for namespace in namespaces if namespace.name == configuration.system_namespace), None)
    return system.metadata.labels.get(NETWORK_LABEL, "") if system is not None else ""


def pod_status(pod: Pod) -> PodStatus:
    """The pod's status, empty when none was written."""
    return pod.status if isinstance(pod.status, PodStatus) else PodStatus()


def pod_address(pod: Pod) -> str:
    """The first address of a pod; empty before it has one."""
    status = pod_status(pod)
    return status.pod_ip or (status.pod_ips[0].ip if status.pod_ips else "")


def is_ready(pod: Pod) -> bool:
    """Whether a pod has an address, has not ended, is not being deleted, and says it is ready."""
    status = pod_status(pod)
    ready = any(condition.type == "Ready" and condition.status == "True" for condition in status.conditions)
    over = status.phase in ("Succeeded", "Failed") or pod.metadata.deletion_timestamp is not None
    return bool(pod_address(pod)) and ready and not over


def is_healthy(resource: Resource[WorkloadEntry]) -> bool:
    """Whether a WorkloadEntry is healthy; those without health checks always are."""
    if resource.metadata.annotations.get(_HEALTH_CHECKS, "").lower() not in ("1", "t", "true"):
        return True
    conditions = resource.status.conditions if isinstance(resource.status, WorkloadEntryStatus) else ()
    return any(condition.type == "Healthy" and condition.status == "True" for condition in conditions)


def _container_ports(pod: PodSpec) -> dict[str, int]:
    """Named TCP ports, the first of a name; native sidecars come last (Istio's ``getPortMap``)."""
    ports: dict[str, int] = {}
    for container in (*pod.containers, *filter(_is_native_sidecar, pod.init_containers)):
        for port in container.ports:
            if port.name and port.protocol == "TCP":
                ports.setdefault(port.name, port.container_port)
    return ports


def _is_native_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


def selectable_workloads(
    configuration: Configuration, reader: WorkloadReader, *, health_checks: bool = True
) -> dict[str, list[WorkloadInstance]]:
    """By namespace, in the order in which selected workloads become endpoints: pods, then entries, by name.

    ``health_checks``: entries that are known to be unhealthy are left out.
    """
    found: dict[str, list[WorkloadInstance]] = {}
    for pod in sorted(configuration.resources("Pod"), key=lambda pod: pod.name):
        if is_ready(pod):
            found.setdefault(pod.namespace, []).append(reader.from_pod(pod))
    for entry in sorted(configuration.resources("WorkloadEntry"), key=lambda entry: entry.name):
        if not health_checks or is_healthy(entry):
            found.setdefault(entry.namespace, []).append(reader.from_workload_entry(entry))
    return found
