"""Kubernetes Services as services, and ExternalName services as aliases.

Source: Istio pilot/pkg/serviceregistry/kube/conversion.go, pilot/pkg/model/push_context.go
(``resolveServiceAliases``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from sandbox.compiler.names import UNSPECIFIED_IP
from sandbox.compiler.protocols import kubernetes_protocol
from sandbox.compiler.provenance import by_default
from sandbox.compiler.services import Alias, Registry, Resolution, Service, ServicePort
from sandbox.compiler.spiffe import spiffe_uri
from sandbox.compiler.traffic_distribution import traffic_distribution
from sandbox.istio.kubernetes import ServiceSpec
from sandbox.istio.message import EMPTY
from sandbox.istio.resource import Resource
from sandbox.plan.because import Because

KubernetesService = Resource[ServiceSpec]
_EXPORT_TO: Final = "networking.istio.io/exportTo"
_CANONICAL_ACCOUNTS: Final = "alpha.istio.io/canonical-serviceaccounts"
_KUBERNETES_ACCOUNTS: Final = "alpha.istio.io/kubernetes-serviceaccounts"
_HEADLESS: Final = "None"


def convert_kubernetes_service(
    resource: KubernetesService,
    *,
    domain: str,
    trust_domain: str,
    namespace_annotations: Mapping[str, Mapping[str, str]],
) -> Service:
    """The service ``name.namespace.svc.domain``."""
    spec, metadata = resource.spec, resource.metadata
    alias = spec.type == "ExternalName" and spec.external_name != ""
    addresses = _addresses(spec)
    return Service(
        host=f"{resource.name}.{resource.namespace}.svc.{domain}",
        name=resource.name,
        namespace=resource.namespace,
        object_name=resource.name,
        registry=Registry.KUBERNETES,
        resolution=_resolution(spec, alias=alias),
        ports=tuple(_port(spec, index) for index in range(len(spec.ports))),
        default_address=addresses[0],
        cluster_vips=addresses,
        mesh_external=alias,
        creation_time=metadata.creation_timestamp,
        export_to=frozenset(_words(metadata.annotations.get(_EXPORT_TO, ""))),
        labels=metadata.labels,
        label_selectors=spec.selector,
        service_accounts=_service_accounts(resource, trust_domain),
        type=spec.type,
        external_name=spec.external_name if alias else "",
        node_local=spec.internal_traffic_policy == "Local",
        publish_not_ready=spec.publish_not_ready_addresses,
        traffic_distribution=traffic_distribution(
            spec.traffic_distribution,
            metadata.annotations,
            namespace_annotations.get(resource.namespace, EMPTY),
        ),
        origin=resource.origin_of("metadata", "name"),
        because=_reasons(spec),
    )


def _resolution(spec: ServiceSpec, *, alias: bool) -> Resolution:
    if spec.cluster_ip == _HEADLESS:
        return Resolution.PASSTHROUGH
    return Resolution.ALIAS if alias else Resolution.CLIENT_SIDE_LB


def _addresses(spec: ServiceSpec) -> tuple[str, ...]:
    if spec.cluster_ip in ("", _HEADLESS):
        return (UNSPECIFIED_IP,)
    return spec.cluster_ips if len(spec.cluster_ips) > 1 else (spec.cluster_ip,)


def _reasons(spec: ServiceSpec) -> tuple[Because, ...]:
    for name in ("type", "cluster_ip"):
        if spec.written(name):
            return (Because("kind of service", spec.origin_of(name)),)
    return (by_default("kind of service", "a Service is of type ClusterIP unless it says otherwise"),)


def _port(spec: ServiceSpec, index: int) -> ServicePort:
    port = spec.ports[index]
    return ServicePort(
        number=port.port,
        name=port.name,
        protocol=kubernetes_protocol(port.port, port.name, port.protocol, port.app_protocol),
        origin=spec.origin_of("ports", index, "port"),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",")) if text else ()


def _service_accounts(resource: KubernetesService, trust_domain: str) -> tuple[str, ...]:
    annotations = resource.metadata.annotations
    canonical = annotations.get(_CANONICAL_ACCOUNTS, "")
    kubernetes = annotations.get(_KUBERNETES_ACCOUNTS, "")
    return (
        *(canonical.split(",") if canonical else ()),
        *(spiffe_uri(trust_domain, resource.namespace, name) for name in (kubernetes.split(",") if kubernetes else ())),
    )


def resolve_aliases(services: Iterable[Service]) -> list[Service]:
    """The services, those that ExternalName services point to with these as their aliases."""
    services = list(services)
    targets = {service.host: service.external_name for service in services if service.resolution is Resolution.ALIAS}
    if not targets:
        return services
    aliases: dict[str, list[Alias]] = {}
    for service in services:
        concrete = _concrete(service.host, targets) if service.resolution is Resolution.ALIAS else None
        if concrete is not None:
            aliases.setdefault(concrete, []).append(Alias(namespace=service.namespace, host=service.host))
    ordered = {
        host: tuple(sorted(found, key=lambda alias: (alias.namespace, alias.host))) for host, found in aliases.items()
    }
    return [
        replace(service, aliases=ordered[service.host]) if service.host in ordered else service for service in services
    ]


def _concrete(host: str, targets: Mapping[str, str]) -> str | None:
    """What an alias stands for in the end; None when aliases go round in a circle."""
    seen = {host}
    while host in targets:
        host = targets[host]
        if host in seen:
            return None
        seen.add(host)
    return host
