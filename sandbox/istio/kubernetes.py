"""Kubernetes kinds that istiod reads, with the fields it reads.

Kinds without a ``spec`` of their own (Secret, ConfigMap, Endpoints, EndpointSlice) have the fields of the object
itself as ``Resource.spec``; a status that Istio reads is ``Resource.status``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.kubernetes_volumes import Volume, VolumeMount
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.resource import ObjectMeta

IntOrString = int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceSpec(Message):
    """``core/v1.Namespace``: only its metadata matters."""

    finalizers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesServicePort(Message):
    """``core/v1.ServicePort``; ``target_port`` is a number, the name of a container port, or absent."""

    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    port: int = 0
    target_port: IntOrString | None = None
    node_port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec(Message):
    """``core/v1.ServiceSpec``; a headless service has ``cluster_ip`` "None"."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    cluster_ip: str = ""
    cluster_ips: tuple[str, ...] = ()
    ip_families: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    external_name: str = ""
    ports: tuple[KubernetesServicePort, ...] = ()
    selector: Mapping[str, str] = EMPTY
    publish_not_ready_addresses: bool = False
    internal_traffic_policy: str = ""
    traffic_distribution: str = ""
    session_affinity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerIngress(Message):
    """``core/v1.LoadBalancerIngress``."""

    ip: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerStatus(Message):
    """``core/v1.LoadBalancerStatus``."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus(Message):
    """``core/v1.ServiceStatus``."""

    load_balancer: LoadBalancerStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReference(Message):
    """``core/v1.ObjectReference``: the pod behind an address."""

    kind: str = ""
    name: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAddress(Message):
    """``core/v1.EndpointAddress``."""

    ip: str = ""
    hostname: str = ""
    node_name: str = ""
    target_ref: ObjectReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPort(Message):
    """``core/v1.EndpointPort`` and ``discovery/v1.EndpointPort``."""

    name: str = ""
    port: int | None = None
    protocol: str = "TCP"
    app_protocol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSubset(Message):
    """``core/v1.EndpointSubset``: every address serves every port."""

    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints(Message):
    """``core/v1.Endpoints``; it belongs to the Service of the same name."""

    subsets: tuple[EndpointSubset, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConditions(Message):
    """``discovery/v1.EndpointConditions``; an absent ``ready`` counts as ready."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceEndpoint(Message):
    """``discovery/v1.Endpoint``."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions | None = None
    hostname: str = ""
    node_name: str = ""
    zone: str = ""
    target_ref: ObjectReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSlice(Message):
    """``discovery/v1.EndpointSlice``; its Service is in the label ``kubernetes.io/service-name``."""

    address_type: str = "IPv4"
    endpoints: tuple[SliceEndpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPort(Message):
    """``core/v1.ContainerPort``."""

    name: str = ""
    container_port: int = 0
    host_port: int = 0
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvVar(Message):
    """``core/v1.EnvVar``, values given as text only."""

    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container(Message):
    """``core/v1.Container``."""

    name: str = ""
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    restart_policy: str = ""
    """``Always`` for an init container that stays: a native sidecar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSpec(Message):
    """``core/v1.PodSpec``."""

    service_account_name: str = ""
    node_name: str = ""
    host_network: bool = False
    hostname: str = ""
    subdomain: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PodIP(Message):
    """``core/v1.PodIP``."""

    ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodCondition(Message):
    """``core/v1.PodCondition``."""

    type: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodStatus(Message):
    """``core/v1.PodStatus``."""

    phase: str = ""
    pod_ip: str = ""
    pod_ips: tuple[PodIP, ...] = ()
    host_ip: str = ""
    conditions: tuple[PodCondition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTemplate(Message):
    """``core/v1.PodTemplateSpec``."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTemplate(Message):
    """``batch/v1.JobTemplateSpec``."""

    spec: WorkloadSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec(Message):
    """The spec of Deployment, StatefulSet, DaemonSet, ReplicaSet, Job and CronJob: how their pods look."""

    replicas: int | None = None
    service_name: str = ""
    template: PodTemplate | None = None
    job_template: JobTemplate | None = None

    @property
    def pod_template(self) -> PodTemplate | None:
        """The template of the pods, also behind a CronJob's job template."""
        if self.job_template is not None and self.job_template.spec is not None:
            return self.job_template.spec.template
        return self.template


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountSpec(Message):
    """``core/v1.ServiceAccount``: only its metadata matters."""

    automount_service_account_token: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret(Message):
    """``core/v1.Secret``; ``data`` is base64 text as written, ``string_data`` plain text."""

    type: str = ""
    data: Mapping[str, str] = EMPTY
    string_data: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigMap(Message):
    """``core/v1.ConfigMap``; ``binary_data`` is base64 text as written."""

    data: Mapping[str, str] = EMPTY
    binary_data: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec(Message):
    """``core/v1.NodeSpec``; localities are in the node's labels."""

    pod_cidr: str = ""
