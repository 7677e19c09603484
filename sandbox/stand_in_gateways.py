"""Gateways that the YAML names and nobody describes: the pods and services of a default installation stand in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.istio.load import Configuration

FILE = "<default installation>"
ROOT_NAMESPACE = "istio-system"
WELL_KNOWN_PORTS = ((15021, 15021, "status-port"), (80, 8080, "http2"), (443, 8443, "https"))
"""Port, target port and name, as in Istio's gateway charts."""
FIRST_ADDRESS = 20


def stand_ins(configuration: Configuration) -> tuple[str, list[str]]:
    """YAML for every gateway without a pod, and a sentence for each; empty where all are described."""
    texts: list[str] = []
    told: list[str] = []
    for number, (selector, gateway) in enumerate(_selectors_without_pods(configuration)):
        service = _service_of(configuration, selector)
        name = service.metadata.name if service is not None else _name(selector)
        namespace = service.metadata.namespace if service is not None else _namespace(configuration, name)
        labels = {**(service.spec.selector if service is not None else {}), **selector}
        address = f"10.244.0.{FIRST_ADDRESS + number}"
        ports = _ports(service)
        texts.append(_pod(name, namespace, labels, address))
        if service is None:
            texts.append(_service(name, namespace, labels, ports))
        texts.append(_endpoints(name, namespace, address, ports))
        shown = ", ".join(f"{port}→{target}" for port, target, _ in ports)
        told.append(f"no pod runs gateway {gateway} ({namespace}/{name}): one of a default installation does ({shown})")
    return "---\n".join(texts), told


def _selectors_without_pods(configuration: Configuration) -> Iterator[tuple[Mapping[str, str], str]]:
    seen: set[tuple[tuple[str, str], ...]] = set()
    pods = [pod.metadata.labels for pod in configuration.resources("Pod")]
    for gateway in configuration.resources("Gateway"):
        selector = gateway.spec.selector
        key = tuple(sorted(selector.items()))
        if not key or key in seen:
            continue
        seen.add(key)
        if not any(selector.items() <= labels.items() for labels in pods):
            yield selector, f"{gateway.metadata.namespace}/{gateway.metadata.name}"


def _service_of(configuration: Configuration, selector: Mapping[str, str]) -> Any:
    """A Service that selects such pods: it says which ports there are."""
    for service in configuration.resources("Service"):
        if selector.items() <= service.spec.selector.items():
            return service
    return None


def _name(selector: Mapping[str, str]) -> str:
    """``istio-egressgateway`` for ``istio: egressgateway``, as everywhere in Istio's documentation."""
    if "istio" in selector:
        return f"istio-{selector['istio']}"
    return selector.get("app") or next(iter(selector.values()))


def _namespace(configuration: Configuration, name: str) -> str:
    """Where routes expect the service; else where a default installation puts it."""
    for virtual_service in configuration.resources("VirtualService"):
        spec = virtual_service.spec
        for route in (*spec.http, *spec.tls, *spec.tcp):
            for destination in route.route:
                host = destination.destination.host if destination.destination is not None else ""
                parts = host.split(".")
                if parts[0] == name and len(parts) > 2 and parts[2] == "svc":
                    return parts[1]
    return ROOT_NAMESPACE


def _ports(service: Any) -> list[tuple[int, int, str]]:
    if service is None:
        return list(WELL_KNOWN_PORTS)
    usual = {port: target for port, target, _ in WELL_KNOWN_PORTS}
    found: list[tuple[int, int, str]] = []
    for port in service.spec.ports:
        target = port.target_port
        number = target if isinstance(target, int) else usual.get(port.port, port.port)
        found.append((port.port, number, port.name))
    return found


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'"{key}": "{value}"' for key, value in labels.items()) + "}"


def _pod(name: str, namespace: str, labels: Mapping[str, str], address: str) -> str:
    return f"""\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {_labels(labels)}}}
spec: {{serviceAccountName: {name}-service-account, containers: [{{name: istio-proxy, image: auto}}]}}
status: {{podIP: {address}}}
"""


def _service(name: str, namespace: str, labels: Mapping[str, str], ports: list[tuple[int, int, str]]) -> str:
    listed = ", ".join(f'{{name: "{label}", port: {port}, targetPort: {target}}}' for port, target, label in ports)
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}, labels: {_labels(labels)}}}
spec: {{clusterIP: 10.96.255.{len(name) % 200 + 1}, selector: {_labels(labels)}, ports: [{listed}]}}
"""


def _endpoints(name: str, namespace: str, address: str, ports: list[tuple[int, int, str]]) -> str:
    listed = ", ".join(f'{{name: "{label}", port: {target}}}' for _, target, label in ports)
    return f"""\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-stand-in, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{listed}]
endpoints:
- addresses: ["{address}"]
  conditions: {{ready: true}}
  targetRef: {{kind: Pod, name: {name}, namespace: {namespace}}}
"""
