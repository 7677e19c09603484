"""Services that run where ``--endpoint`` says: their endpoints of the files give way to those addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.loading.kubernetes_text import PodText, Ports, SliceText, service_text
from sandbox.loading.stand_in_gateways import missing_gateways, named_ports, ports_of, shown_ports
from sandbox.yaml_source.problems import Problems, did_you_mean

if TYPE_CHECKING:
    from sandbox.istio.load import Configuration
    from sandbox.settings import GivenEndpoint

FILE = "<--endpoint>"
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
VIRTUAL_NETWORK = "10.96.254"
"""For Services that no file has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A Service as it runs elsewhere; ``service`` None is that of a default installation's gateway."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    service_account: str
    service: Any
    replaced: tuple[Any, ...] = ()
    """Its slices, Endpoints and pods."""

    @property
    def ports(self) -> Ports:
        return ports_of(self.service)


def given_endpoints(
    configuration: Configuration, given: Sequence[GivenEndpoint]
) -> tuple[Configuration, str, Problems]:
    """The configuration without what is replaced, YAML for what is added, and what there is to tell."""
    texts: list[str] = []
    told = Problems()
    for number, key in enumerate(dict.fromkeys((each.namespace, each.name) for each in given)):
        endpoints = [each for each in given if (each.namespace, each.name) == key]
        target = _target(configuration, *key)
        if target is None:
            _report_unknown(configuration, endpoints[0], told)
            continue
        configuration = configuration.without({id(each) for each in target.replaced})
        if target.service is None:
            address = f"{VIRTUAL_NETWORK}.{number + 1}"
            texts.append(service_text(target.name, target.namespace, target.labels, address, target.ports))
        texts += _pods_and_slices(target, endpoints)
        where = ", ".join(each.address_text for each in endpoints)
        told.report("SBX0703", f"{_spelled(*key)} runs at {where} ({shown_ports(target.ports)})", None)
    return configuration, "---\n".join(texts), told


def _spelled(namespace: str, name: str) -> str:
    """``NAME.NAMESPACE``."""
    return f"{name}.{namespace}"


def _target(configuration: Configuration, namespace: str, name: str) -> _Target | None:
    for service in configuration.resources("Service"):
        if (service.namespace, service.name) != (namespace, name):
            continue
        pods = tuple(_pods_of(configuration, service))
        return _Target(
            name=name,
            namespace=namespace,
            labels=pods[0].metadata.labels if pods else service.spec.selector,
            service_account=pods[0].spec.service_account_name if pods else f"{name}-service-account",
            service=service,
            replaced=(*pods, *_endpoints_of(configuration, namespace, name)),
        )
    for gateway in missing_gateways(configuration):
        if (gateway.namespace, gateway.name) == (namespace, name):
            labels, account = gateway.labels, gateway.service_account
            return _Target(name=name, namespace=namespace, labels=labels, service_account=account, service=None)
    return None


def _pods_of(configuration: Configuration, service: Any) -> Iterator[Any]:
    selector = service.spec.selector
    for pod in configuration.resources("Pod"):
        if selector and pod.namespace == service.namespace and selector.items() <= pod.metadata.labels.items():
            yield pod


def _endpoints_of(configuration: Configuration, namespace: str, name: str) -> Iterator[Any]:
    for each in configuration.resources("EndpointSlice"):
        if (each.namespace, each.metadata.labels.get(SERVICE_NAME_LABEL)) == (namespace, name):
            yield each
    for each in configuration.resources("Endpoints"):
        if (each.namespace, each.name) == (namespace, name):
            yield each


def _pods_and_slices(target: _Target, endpoints: Sequence[GivenEndpoint]) -> Iterator[str]:
    pods: dict[str, str] = {}
    for number, each in enumerate(endpoints):
        address = each.address
        if address not in pods:
            pods[address] = f"{target.name}-elsewhere-{len(pods) + 1}"
            pod = PodText(
                name=pods[address],
                namespace=target.namespace,
                labels=target.labels,
                service_account=target.service_account,
                address=address,
                named_ports=named_ports(target.service),
                is_elsewhere=True,
            )
            yield str(pod)
        ports = [(port, each.address_port or at, name) for port, at, name in target.ports if each.port in (None, port)]
        endpoint_slice = SliceText(
            name=f"{target.name}-elsewhere-{number + 1}",
            service=target.name,
            namespace=target.namespace,
            pod=pods[address],
            address=address,
            ports=ports,
        )
        yield str(endpoint_slice)


def _report_unknown(configuration: Configuration, given: GivenEndpoint, told: Problems) -> None:
    known = [_spelled(each.namespace, each.name) for each in configuration.resources("Service")]
    known += [_spelled(each.namespace, each.name) for each in missing_gateways(configuration)]
    name = _spelled(given.namespace, given.name)
    near = did_you_mean(name, known)
    hint = f"did you mean {near}?" if near else "hosts of ServiceEntries are told by --resolve"
    told.report("SBX0704", f"--endpoint {name}: no file has this Service, and no Gateway needs it", None, hint=hint)
