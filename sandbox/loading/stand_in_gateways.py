"""Gateways that the YAML names and nobody describes: the pods and services of a default installation stand in."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.istio.kinds import WORKLOAD_KINDS
from sandbox.istio.kubernetes import PodStatus
from sandbox.loading.kubernetes_text import ELSEWHERE, PodText, Ports, SliceText, service_text

if TYPE_CHECKING:
    from sandbox.istio.load import Configuration

FILE = "<default installation>"
ROOT_NAMESPACE = "istio-system"
WELL_KNOWN_PORTS = ((15021, 15021, "status-port"), (80, 8080, "http2"), (443, 8443, "https"))
"""Port, target port and name, as in Istio's gateway charts."""
FIRST_ADDRESS = 20
MESH_GATEWAY = "mesh"
GATEWAY_LABEL = "istio"
USUAL_GATEWAYS = ("egressgateway", "ingressgateway", "eastwestgateway")
"""How Istio's own installation labels its gateways."""
SLIP = 0.85
"""How much alike a slip of the pen is, and a gateway of another kind is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """One pod to be, for the Gateways named in ``gateways``."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    service_account: str
    service: Any
    """The Service that selects it; None where that is to be made too."""
    gateways: tuple[str, ...]


def gateway_workloads(configuration: Configuration) -> list[str]:
    """``namespace/pod`` of every pod that a Gateway selects, replicas each; none that runs elsewhere."""
    pods = gateway_pods(configuration)
    return [f"{pod.namespace}/{pod.name}" for pod in pods if ELSEWHERE not in pod.metadata.annotations]


def gateway_pods(configuration: Configuration) -> list[Any]:
    """Every pod that a Gateway selects."""
    gateways, is_scoped = configuration.resources("Gateway"), is_scoped_to_namespace(configuration)
    return [
        pod
        for pod in configuration.resources("Pod")
        if any(_selects(gateway, pod, is_scoped=is_scoped) for gateway in gateways)
    ]


def is_scoped_to_namespace(configuration: Configuration) -> bool:
    """Whether Gateways are for pods of their own namespace alone (``PILOT_SCOPE_GATEWAY_TO_NAMESPACE``)."""
    from sandbox.compiler.features import features_of  # the compiler is half of the program

    return features_of(configuration.pilot_env).scope_gateway_to_namespace


def _selects(gateway: Any, pod: Any, *, is_scoped: bool) -> bool:
    selector = gateway.spec.selector
    is_near = not is_scoped or gateway.namespace == pod.namespace
    return bool(selector) and is_near and selector.items() <= pod.metadata.labels.items()


def stand_ins(configuration: Configuration) -> tuple[str, list[str]]:
    """YAML for every gateway without a pod, and a sentence for each; empty where all are described."""
    texts: list[str] = []
    told: list[str] = []
    free = free_addresses(configuration)
    for one in missing_gateways(configuration):
        address = next(free)
        ports = ports_of(one.service)
        texts += _documents(one, address, ports)
        shown = shown_ports(ports)
        gateways = ", ".join(one.gateways)
        told.append(
            f"no pod runs gateway {gateways} ({one.namespace}/{one.name}): one of a default installation does ({shown})"
            f"{_unusual(one.labels)}"
        )
    return "---\n".join(texts), told


def _unusual(labels: Mapping[str, str]) -> str:
    """A question where the selector is nearly that of Istio's own gateways: a cluster may have no such pods."""
    written = labels.get(GATEWAY_LABEL, "")
    near = difflib.get_close_matches(written, USUAL_GATEWAYS, n=1, cutoff=SLIP)
    if written in USUAL_GATEWAYS or not near:
        return ""
    return f"; its selector says {GATEWAY_LABEL}: {written}, did you mean {near[0]}?"


def shown_ports(ports: Ports) -> str:
    """``80→8080, 443→8443``."""
    return ", ".join(f"{port}→{target}" for port, target, _ in ports)


def _documents(one: StandIn, address: str, ports: Ports) -> list[str]:
    found = [
        str(
            PodText(
                name=one.name,
                namespace=one.namespace,
                labels=one.labels,
                service_account=one.service_account,
                address=address,
                named_ports=named_ports(one.service),
            )
        )
    ]
    if one.service is None:
        found.append(service_text(one.name, one.namespace, one.labels, virtual_address(address), ports))
    service = one.service.metadata.name if one.service is not None else one.name
    name = f"{one.name}-stand-in"
    endpoints = SliceText(
        name=name, service=service, namespace=one.namespace, pod=one.name, address=address, ports=ports
    )
    return [*found, str(endpoints)]


def virtual_address(pod_address: str) -> str:
    """An address for a Service that stands in."""
    return f"10.96.255.{pod_address.rpartition('.')[2]}"


def free_addresses(configuration: Configuration) -> Iterator[str]:
    """Addresses of pods that no pod of the configuration has."""
    taken = {pod.status.pod_ip for pod in configuration.resources("Pod") if isinstance(pod.status, PodStatus)}
    return (f"10.244.0.{last}" for last in range(FIRST_ADDRESS, 255) if f"10.244.0.{last}" not in taken)


def missing_gateways(configuration: Configuration) -> list[StandIn]:
    """What nobody describes; Gateways whose selectors fit one installation share it."""
    found: dict[tuple[str, str], StandIn] = {}
    # The most particular selectors first: a wider one is then seen to be served.
    for selector, gateways in sorted(_selectors_without_pods(configuration), key=lambda pair: -len(pair[0])):
        served = next((one for one in found.values() if selector.items() <= one.labels.items()), None)
        one = served or _stand_in(configuration, selector, gateways)
        if one is None:
            continue
        known = found.get((one.namespace, one.name))
        if known is not None:
            gateways = (*known.gateways, *gateways)
        labels = {**(known.labels if known is not None else {}), **one.labels}
        found[one.namespace, one.name] = replace(one, labels=labels, gateways=gateways)
    return list(found.values())


def _stand_in(configuration: Configuration, selector: Mapping[str, str], gateways: tuple[str, ...]) -> StandIn | None:
    """Described by a Deployment, by a Service, or by nothing; None where endpoints say that it runs elsewhere."""
    scope = gateways[0].partition("/")[0] if is_scoped_to_namespace(configuration) else None
    template = _template_of(configuration, selector, scope)
    labels = dict(template.spec.pod_template.metadata.labels) if template is not None else dict(selector)
    service = _service_of(configuration, labels, scope)
    if service is not None and _has_endpoints(configuration, service):
        return None
    if service is not None:
        labels = {**service.spec.selector, **labels}
    described = template or service
    namespace, name = _usual_place(configuration, selector, gateways)
    if described is not None:
        namespace, name = described.metadata.namespace, described.metadata.name
    account = f"{name}-service-account"
    if template is not None and template.spec.pod_template.spec is not None:
        account = template.spec.pod_template.spec.service_account_name or "default"
    return StandIn(
        name=name,
        namespace=namespace,
        labels=labels,
        service_account=account,
        service=service,
        gateways=(),
    )


def _selectors_without_pods(configuration: Configuration) -> list[tuple[Mapping[str, str], tuple[str, ...]]]:
    """Each selector that no pod has, with the Gateways that have it."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    pods, is_scoped = configuration.resources("Pod"), is_scoped_to_namespace(configuration)
    for gateway in configuration.resources("Gateway"):
        selector = gateway.spec.selector
        if selector and not any(_selects(gateway, pod, is_scoped=is_scoped) for pod in pods):
            key = tuple(sorted(selector.items()))
            found.setdefault(key, []).append(f"{gateway.metadata.namespace}/{gateway.metadata.name}")
    return [(dict(key), tuple(names)) for key, names in found.items()]


def _template_of(configuration: Configuration, selector: Mapping[str, str], namespace: str | None) -> Any:
    """A Deployment (StatefulSet ...) whose pods are such."""
    for kind in WORKLOAD_KINDS:
        for resource in configuration.resources(kind):
            template = resource.spec.pod_template
            if namespace not in (None, resource.namespace):
                continue
            if template is not None and selector.items() <= template.metadata.labels.items():
                return resource
    return None


def _service_of(configuration: Configuration, labels: Mapping[str, str], namespace: str | None) -> Any:
    """A Service that selects such pods, or asks for more labels: it says which ports there are."""
    for service in configuration.resources("Service"):
        selector = service.spec.selector
        if namespace not in (None, service.namespace):
            continue
        if selector and (selector.items() <= labels.items() or labels.items() <= selector.items()):
            return service
    return None


def _has_endpoints(configuration: Configuration, service: Any) -> bool:
    name, namespace = service.metadata.name, service.metadata.namespace
    slices = [
        each
        for each in configuration.resources("EndpointSlice")
        if each.metadata.labels.get("kubernetes.io/service-name") == name and each.spec.endpoints
    ]
    same = [each for each in configuration.resources("Endpoints") if each.metadata.name == name and each.spec.subsets]
    return any(each.metadata.namespace == namespace for each in (*slices, *same))


def _usual_place(
    configuration: Configuration, selector: Mapping[str, str], gateways: tuple[str, ...]
) -> tuple[str, str]:
    """Namespace and name of a gateway's Service: what routes to it call it, else as in a default installation."""
    name = _name(selector)
    called = list(_called_services(configuration, gateways))
    for namespace, host in called:
        if host == name:
            return namespace, host
    if is_scoped_to_namespace(configuration):
        return gateways[0].partition("/")[0], name
    return called[0] if called else (ROOT_NAMESPACE, name)


def _name(selector: Mapping[str, str]) -> str:
    """``istio-egressgateway`` for ``istio: egressgateway``, as everywhere in Istio's documentation."""
    if "istio" in selector:
        return f"istio-{selector['istio']}"
    return selector.get("app") or next(iter(selector.values()))


def _called_services(configuration: Configuration, gateways: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Namespace and name of cluster services that no file has, and that VirtualServices of these gateways route to."""
    known = {(service.namespace, service.name) for service in configuration.resources("Service")}
    for virtual_service in configuration.resources("VirtualService"):
        spec = virtual_service.spec
        bound = (each if "/" in each else f"{virtual_service.namespace}/{each}" for each in spec.gateways)
        if not set(bound) & set(gateways) or MESH_GATEWAY not in spec.gateways:
            continue  # what is bound to the gateway alone leads out
        for route in (*spec.http, *spec.tls, *spec.tcp):
            if route.match and all(each.gateways and MESH_GATEWAY not in each.gateways for each in route.match):
                continue  # a rule of the gateway itself: it leads out
            for destination in route.route:
                host = destination.destination.host if destination.destination is not None else ""
                parts = host.split(".")
                if len(parts) > 2 and parts[2] == "svc" and (parts[1], parts[0]) not in known:
                    yield parts[1], parts[0]


def ports_of(service: Any) -> Ports:
    """The ports of a Service with what they are in its pods; without one, those of a default installation."""
    if service is None:
        return WELL_KNOWN_PORTS
    usual = {port: target for port, target, _ in WELL_KNOWN_PORTS}
    found: list[tuple[int, int, str]] = []
    for port in service.spec.ports:
        target = port.target_port
        if isinstance(target, str):
            target = usual.get(port.port, port.port)
        found.append((port.port, target or port.port, port.name))
    return found


def named_ports(service: Any) -> Mapping[str, int]:
    """What the Service's names for ports mean in the pod."""
    if service is None:
        return {}
    pairs = zip(service.spec.ports, ports_of(service), strict=True)
    return {port.target_port: target for port, (_, target, _) in pairs if isinstance(port.target_port, str)}
