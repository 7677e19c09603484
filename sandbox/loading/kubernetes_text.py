"""YAML of Pods, Services and EndpointSlices that the files do not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Ports = Sequence[tuple[int, int, str]]
"""Port, target port and name."""
ELSEWHERE = "egress-sandbox/elsewhere"
"""Annotation of pods that another process or machine runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodText:
    """A pod to be written."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    service_account: str
    address: str
    named_ports: Mapping[str, int]
    """What names of target ports mean in the pod."""
    is_elsewhere: bool = False

    def __str__(self) -> str:
        annotations = f'{{{ELSEWHERE}: "true"}}' if self.is_elsewhere else "{}"
        ports = ", ".join(f'{{name: "{name}", containerPort: {port}}}' for name, port in self.named_ports.items())
        return f"""\
apiVersion: v1
kind: Pod
metadata:
  name: {self.name}
  namespace: {self.namespace}
  labels: {labels_text(self.labels)}
  annotations: {annotations}
spec:
  serviceAccountName: {self.service_account}
  containers: [{{name: istio-proxy, image: auto, ports: [{ports}]}}]
status: {{podIP: "{self.address}"}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceText:
    """An EndpointSlice of one pod to be written."""

    name: str
    service: str
    namespace: str
    pod: str
    address: str
    ports: Ports

    def __str__(self) -> str:
        listed = ", ".join(f'{{name: "{label}", port: {target}}}' for _, target, label in self.ports)
        return f"""\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {self.name}
  namespace: {self.namespace}
  labels: {{kubernetes.io/service-name: {self.service}}}
addressType: {"IPv6" if ":" in self.address else "IPv4"}
ports: [{listed}]
endpoints:
- addresses: ["{self.address}"]
  conditions: {{ready: true}}
  targetRef: {{kind: Pod, name: {self.pod}, namespace: {self.namespace}}}
"""


def service_text(name: str, namespace: str, labels: Mapping[str, str], address: str, ports: Ports) -> str:
    """A Service that selects pods with these labels."""
    listed = ", ".join(f'{{name: "{label}", port: {port}, targetPort: {target}}}' for port, target, label in ports)
    text = labels_text(labels)
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}, labels: {text}}}
spec: {{clusterIP: {address}, selector: {text}, ports: [{listed}]}}
"""


def labels_text(labels: Mapping[str, str]) -> str:
    """Labels as a flow mapping."""
    return "{" + ", ".join(f'"{key}": "{value}"' for key, value in labels.items()) + "}"
