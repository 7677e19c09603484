"""What the analyzers look up: hosts of the registry by scope, pods by labels, names of objects.

Source: Istio pkg/config/analysis/analyzers/util.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, NamedTuple

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.load import Configuration
from sandbox.istio.message import EMPTY
from sandbox.istio.resource import ObjectMeta, Resource

ALL_NAMESPACES = "*"
OWN_NAMESPACE = "."
EXPORT_TO_ANNOTATION = "networking.istio.io/exportTo"
AMBIENT_ANNOTATION = "ambient.istio.io/redirection"

_TEMPLATED_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob")
_SERVICE_NAME = re.compile(r"(.+)\.(.+)\.svc\.cluster\.local$")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHost:
    """A host that some ServiceEntry or Service describes."""

    ports: tuple[int, ...] = ()
    workload_labels: Mapping[str, str] = field(default_factory=dict)


class PodView(NamedTuple):
    """A pod, or the pods that a workload's template makes."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    ambient: bool
    node: str = ""
    is_template: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshIndex:
    """The lookups of one configuration, made once for all analyzers."""

    configuration: Configuration
    hosts: Mapping[tuple[str, str], KnownHost]
    """(scope, full host name); the scope is a namespace or ``*``."""
    pods: tuple[PodView, ...]
    now: datetime | None = None
    """The present, where certificates' dates are to be checked."""

    def each(self, kind: str) -> Iterator[Resource[Any]]:
        """All objects of a kind."""
        return iter(self.configuration.resources(kind))

    def selected(self, selector: Mapping[str, str]) -> Iterator[PodView]:
        """The pods of any namespace that have all these labels."""
        return (pod for pod in self.pods if selector.items() <= pod.labels.items())

    def destination(self, namespace: str, export_to: tuple[str, ...], host: str) -> KnownHost | None:
        """The host as an object of a namespace may refer to it, exactly or by a pattern."""
        full = full_name(host, namespace)
        scopes = [namespace if scope == OWN_NAMESPACE else scope for scope in export_to] or [namespace]
        for scope in (ALL_NAMESPACES, *scopes):
            if (scope, full) in self.hosts:
                return self.hosts[scope, full]
        return next(
            (
                known
                for (scope, name), known in self.hosts.items()
                if name.startswith("*")
                and scope in (ALL_NAMESPACES, namespace)
                and host.removeprefix("*").endswith(name.removeprefix("*"))
            ),
            None,
        )


def build_index(configuration: Configuration, now: datetime | None = None) -> MeshIndex:
    """Look everything up once."""
    hosts: dict[tuple[str, str], KnownHost] = {}
    for entry in configuration.resources("ServiceEntry"):
        hosts.update(_service_entry_hosts(entry))
    for service in configuration.resources("Service"):
        hosts.update(_service_hosts(service))
    return MeshIndex(configuration=configuration, hosts=hosts, pods=tuple(_pods(configuration)), now=now)


def _service_entry_hosts(entry: Resource[Any]) -> Iterator[tuple[tuple[str, str], KnownHost]]:
    selector = entry.spec.workload_selector
    known = KnownHost(
        ports=tuple(port.number for port in entry.spec.ports),
        workload_labels={} if selector is None else selector.labels,
    )
    for scope in scopes_of(entry.spec.export_to, entry.namespace):
        for host in entry.spec.hosts:
            yield (scope, full_name(host, entry.namespace)), known


def _service_hosts(service: Resource[Any]) -> Iterator[tuple[tuple[str, str], KnownHost]]:
    known = KnownHost(ports=tuple(port.port for port in service.spec.ports))
    annotation = service.metadata.annotations.get(EXPORT_TO_ANNOTATION, "")
    scopes = tuple(scope.strip() for scope in annotation.split(",")) if annotation else ()
    for scope in (service.namespace if scope == OWN_NAMESPACE else scope for scope in scopes or (ALL_NAMESPACES,)):
        yield (scope, full_name(service.name, service.namespace)), known


def scopes_of(export_to: tuple[str, ...], namespace: str) -> tuple[str, ...]:
    """The namespaces that see an object; ``*`` stands for all and alone."""
    if not export_to or ALL_NAMESPACES in export_to:
        return (ALL_NAMESPACES,)
    return tuple(dict.fromkeys(namespace if scope == OWN_NAMESPACE else scope for scope in export_to))


def full_name(host: str, namespace: str) -> str:
    """A short name as a service of the namespace; patterns and names with dots stay."""
    return host if host.startswith("*") or "." in host else f"{host}.{namespace}.svc.cluster.local"


def service_key(host: str, namespace: str) -> tuple[str, str]:
    """(namespace, name) of the service that a host names, short or in full; other names stand for themselves."""
    match = _SERVICE_NAME.match(host)
    return (match[2], match[1]) if match else (namespace, host)


def selector_text(labels: Mapping[str, str]) -> str:
    """A label selector as Kubernetes prints it."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _pods(configuration: Configuration) -> Iterator[PodView]:
    for pod in configuration.resources("Pod"):
        yield _pod_view(pod.metadata, pod.namespace, pod.name, pod.spec.node_name)
    for kind in _TEMPLATED_KINDS:
        for workload in configuration.resources(kind):
            template = workload.spec.pod_template
            if template is not None:
                node = template.spec.node_name if template.spec is not None else ""
                view = _pod_view(template.metadata, workload.namespace, workload.name, node)
                yield view._replace(is_template=True)


def _pod_view(metadata: ObjectMeta, namespace: str, name: str, node: str) -> PodView:
    ambient = (metadata.annotations or EMPTY).get(AMBIENT_ANNOTATION) == "enabled"
    return PodView(namespace, name, metadata.labels, ambient, node)
