"""Which kinds are read: their groups, versions and message classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sandbox.istio.authorization_policy import AuthorizationPolicy
from sandbox.istio.destination_rule import DestinationRule
from sandbox.istio.envoy_filter import EnvoyFilter
from sandbox.istio.gateway import Gateway
from sandbox.istio.kubernetes import (
    ConfigMap,
    Endpoints,
    EndpointSlice,
    NamespaceSpec,
    NodeSpec,
    PodSpec,
    PodStatus,
    Secret,
    ServiceAccountSpec,
    ServiceSpec,
    ServiceStatus,
    WorkloadSpec,
)
from sandbox.istio.message import Message
from sandbox.istio.peer_authentication import PeerAuthentication
from sandbox.istio.request_authentication import RequestAuthentication
from sandbox.istio.service_entry import ServiceEntry, ServiceEntryStatus
from sandbox.istio.sidecar import Sidecar
from sandbox.istio.sidecar_proxy_setting import OWN_GROUP, SidecarProxySetting
from sandbox.istio.telemetry import Telemetry
from sandbox.istio.traffic_extension import TrafficExtension
from sandbox.istio.virtual_service import VirtualService
from sandbox.istio.wasm_plugin import WasmPlugin
from sandbox.istio.workload_entry import WorkloadEntry, WorkloadEntryStatus
from sandbox.istio.workload_group import WorkloadGroup
from sandbox.istio.workload_proxy_config import ProxyConfig


class Kind(NamedTuple):
    """One kind of object."""

    group: str
    """``networking.istio.io``; the empty text is Kubernetes' core group."""
    name: str
    versions: tuple[str, ...]
    spec: type[Message]
    status: type[Message] | None = None
    flat: bool = False
    """The object has no ``spec``: its own fields are the message."""
    namespaced: bool = True

    @property
    def istio(self) -> bool:
        """Kinds of Istio, and our own, are checked field by field; of Kubernetes' kinds only what istiod reads is."""
        return self.group.endswith(".istio.io") or self.group == OWN_GROUP


_NETWORKING: Final = "networking.istio.io"
_SECURITY: Final = "security.istio.io"
_EXTENSIONS: Final = "extensions.istio.io"
_ALL: Final = ("v1", "v1beta1", "v1alpha3")

_KINDS: Final = (
    Kind(_NETWORKING, "ServiceEntry", _ALL, ServiceEntry, ServiceEntryStatus),
    Kind(_NETWORKING, "WorkloadEntry", _ALL, WorkloadEntry, WorkloadEntryStatus),
    Kind(_NETWORKING, "WorkloadGroup", _ALL, WorkloadGroup),
    Kind(_NETWORKING, "VirtualService", _ALL, VirtualService),
    Kind(_NETWORKING, "DestinationRule", _ALL, DestinationRule),
    Kind(_NETWORKING, "Gateway", _ALL, Gateway),
    Kind(_NETWORKING, "Sidecar", _ALL, Sidecar),
    Kind(_NETWORKING, "ProxyConfig", ("v1beta1",), ProxyConfig),
    Kind(_NETWORKING, "EnvoyFilter", ("v1alpha3",), EnvoyFilter),
    Kind(_SECURITY, "AuthorizationPolicy", ("v1", "v1beta1"), AuthorizationPolicy),
    Kind(_SECURITY, "PeerAuthentication", ("v1", "v1beta1"), PeerAuthentication),
    Kind(_SECURITY, "RequestAuthentication", ("v1", "v1beta1"), RequestAuthentication),
    Kind("telemetry.istio.io", "Telemetry", ("v1", "v1alpha1"), Telemetry),
    Kind(_EXTENSIONS, "WasmPlugin", ("v1alpha1",), WasmPlugin),
    Kind(_EXTENSIONS, "TrafficExtension", ("v1alpha1",), TrafficExtension),
    Kind(OWN_GROUP, "SidecarProxySetting", ("v1alpha1",), SidecarProxySetting),
    Kind("", "Namespace", ("v1",), NamespaceSpec, namespaced=False),
    Kind("", "Node", ("v1",), NodeSpec, namespaced=False),
    Kind("", "Service", ("v1",), ServiceSpec, ServiceStatus),
    Kind("", "Endpoints", ("v1",), Endpoints, flat=True),
    Kind("", "Pod", ("v1",), PodSpec, PodStatus),
    Kind("", "ServiceAccount", ("v1",), ServiceAccountSpec, flat=True),
    Kind("", "Secret", ("v1",), Secret, flat=True),
    Kind("", "ConfigMap", ("v1",), ConfigMap, flat=True),
    Kind("", "ReplicationController", ("v1",), WorkloadSpec),
    Kind("discovery.k8s.io", "EndpointSlice", ("v1", "v1beta1"), EndpointSlice, flat=True),
    Kind("apps", "Deployment", ("v1",), WorkloadSpec),
    Kind("apps", "StatefulSet", ("v1",), WorkloadSpec),
    Kind("apps", "DaemonSet", ("v1",), WorkloadSpec),
    Kind("apps", "ReplicaSet", ("v1",), WorkloadSpec),
    Kind("batch", "Job", ("v1",), WorkloadSpec),
    Kind("batch", "CronJob", ("v1",), WorkloadSpec),
)

KINDS: Final[Mapping[tuple[str, str], Kind]] = {(kind.group, kind.name): kind for kind in _KINDS}
"""By group and name."""
WORKLOAD_KINDS: Final = tuple(kind.name for kind in _KINDS if kind.spec is WorkloadSpec)
"""Kinds that make pods from a template."""
