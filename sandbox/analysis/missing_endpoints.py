"""Services without endpoints that somebody counts on: their pods are described, or a route leads to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.analysis.destinations import destinations_of
from sandbox.analysis.mesh_index import PodView, build_index
from sandbox.compiler.push_context import PushContext
from sandbox.compiler.services import Resolution, Service
from sandbox.istio.kubernetes import PodSpec, ServiceSpec
from sandbox.istio.load import Configuration
from sandbox.istio.resource import Resource
from sandbox.yaml_source.problems import Problems


def report_missing_endpoints(configuration: Configuration, push: PushContext, problems: Problems) -> None:
    """Reports each port of them; manifests that were not applied yet (a Deployment, its Service) need not have any."""
    routed = _routed_hosts(configuration)
    pods: dict[str, list[Resource[PodSpec]]] = {}
    for pod in configuration.resources("Pod"):
        pods.setdefault(pod.namespace, []).append(pod)
    to_be = [view for view in build_index(configuration).pods if view.is_template]
    for resource in configuration.resources("Service"):
        service = push.registry.of_host(_host(resource, configuration)).get(resource.namespace)
        route = "" if _is_selected(resource, to_be) else routed.get(_host(resource, configuration), "")
        why = _who_counts_on(resource, pods.get(resource.namespace, ()), route)
        if service is None or not why or service.resolution is not Resolution.CLIENT_SIDE_LB:
            continue
        missing = [
            port.number for port in service.ports if not push.registry.endpoints_by_port_name(service, port.name)
        ]
        if missing:
            _report(resource, service, missing, why, problems)


def _report(
    resource: Resource[ServiceSpec], service: Service, missing: list[int], why: str, problems: Problems
) -> None:
    is_all = len(missing) == len(service.ports)
    ports = "" if is_all else f" on port {', '.join(str(number) for number in missing)}"
    problems.report(
        "SBX0408",
        f"no EndpointSlice gives {service.host} an endpoint{ports}, though {why}: calls get 503 (UH)",
        resource.metadata.origin_of("name"),
        hint="a cluster writes EndpointSlices for the pods it runs: add kubectl get endpointslices -o yaml, or name the"
        f" address by --endpoint {resource.name}.{resource.namespace}=ADDRESS",
    )


def _host(resource: Resource[ServiceSpec], configuration: Configuration) -> str:
    return f"{resource.name}.{resource.namespace}.svc.{configuration.domain_suffix}"


def _is_selected(resource: Resource[ServiceSpec], views: Sequence[PodView]) -> bool:
    selector = resource.spec.selector.items()
    return any(selector and selector <= view.labels.items() for view in views if view.namespace == resource.namespace)


def _who_counts_on(resource: Resource[ServiceSpec], pods: Sequence[Resource[PodSpec]], route: str) -> str:
    """The first pod that the Service selects, else the first route that leads to it, in words."""
    selector = resource.spec.selector.items()
    pod = next((pod for pod in pods if selector and selector <= pod.metadata.labels.items()), None)
    if pod is not None:
        return f"it selects the pod {pod.name}"
    return route and f"{route} routes to it"


def _routed_hosts(configuration: Configuration) -> Mapping[str, str]:
    """Full names of Services, with the first VirtualService that leads there."""
    suffix = f".svc.{configuration.domain_suffix}"
    found: dict[str, str] = {}
    for routes in configuration.resources("VirtualService"):
        for sent in destinations_of(routes.spec):
            host = sent.destination.host
            full = host if "." in host else f"{host}.{routes.namespace}{suffix}"
            found.setdefault(full, f"VirtualService {routes.namespace}/{routes.name}")
    return found
