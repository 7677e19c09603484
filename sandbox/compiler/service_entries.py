"""ServiceEntries as services: one for each host and address, with the endpoints they name or select.

Source: Istio pilot/pkg/serviceregistry/serviceentry/conversion.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final

from sandbox.compiler.auto_allocation import AllocatedAddresses
from sandbox.compiler.label_selectors import selects
from sandbox.compiler.names import UNIX_PREFIX, UNSPECIFIED_IP
from sandbox.compiler.protocols import parse_protocol
from sandbox.compiler.provenance import by_default
from sandbox.compiler.proxy import is_ip_address
from sandbox.compiler.services import Registry, Resolution, Service, ServiceEndpoint, ServicePort
from sandbox.compiler.traffic_distribution import traffic_distribution
from sandbox.compiler.workloads import WorkloadInstance, WorkloadReader
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY
from sandbox.istio.resource import Resource
from sandbox.istio.service_entry import ServiceEntry
from sandbox.istio.service_entry import ServicePort as EntryPort
from sandbox.plan.because import Because

Entry = Resource[ServiceEntry]
_RESOLUTIONS: Final = {
    "NONE": Resolution.PASSTHROUGH,
    "STATIC": Resolution.CLIENT_SIDE_LB,
    "DNS": Resolution.DNS_LB,
    "DNS_ROUND_ROBIN": Resolution.DNS_ROUND_ROBIN_LB,
    "DYNAMIC_DNS": Resolution.DYNAMIC_DNS,
}
_NOTHING: Final = AllocatedAddresses()


@dataclass(frozen=True, slots=True)
class EntrySurroundings:
    """What a conversion needs besides the entry."""

    reader: WorkloadReader
    workloads: Mapping[str, list[WorkloadInstance]]
    """Workloads that selectors may pick, by namespace."""
    visibility: Mapping[str, str]
    """By namespace, what ``serviceEntryVisibility`` says; PUBLIC where nothing does."""


@dataclass(frozen=True, slots=True)
class ConvertedEntry:
    """The services of one entry, each with its endpoints."""

    services: tuple[Service, ...]
    endpoints: tuple[tuple[ServiceEndpoint, ...], ...]
    """For each service."""


def convert_service_entry(
    entry: Entry, allocated: Mapping[str, AllocatedAddresses], around: EntrySurroundings
) -> ConvertedEntry:
    """The services of an entry in the order of its hosts and addresses."""
    services = _services(entry, allocated, around)
    return ConvertedEntry(services, tuple(_endpoints(entry, service, around) for service in services))


def _services(
    entry: Entry, allocated: Mapping[str, AllocatedAddresses], around: EntrySurroundings
) -> tuple[Service, ...]:
    spec, metadata = entry.spec, entry.metadata
    resolution = _RESOLUTIONS[spec.resolution]
    annotations = metadata.annotations
    ports = tuple(_port(spec, index) for index in range(len(spec.ports)))
    overrides = {port.number: port.target_port for port in spec.ports if port.target_port}
    # A real istiod was seen to leave the namespace's annotation out here, which counts for Kubernetes Services.
    distribution = traffic_distribution("", annotations, EMPTY)
    reasons = _reasons(spec)
    return tuple(
        Service(
            host=host,
            name=host,
            namespace=entry.namespace,
            object_name=entry.name,
            registry=Registry.EXTERNAL,
            resolution=resolution,
            ports=ports,
            default_address=address,
            auto_allocated_ipv4=addresses.ipv4,
            auto_allocated_ipv6=addresses.ipv6,
            mesh_external=spec.location == "MESH_EXTERNAL",
            creation_time=metadata.creation_timestamp,
            export_to=frozenset(spec.export_to),
            visibility=around.visibility.get(entry.namespace, "PUBLIC"),
            labels=metadata.labels,
            label_selectors=spec.workload_selector.labels if spec.workload_selector is not None else EMPTY,
            service_accounts=spec.subject_alt_names,
            passthrough_target_ports=overrides if resolution is Resolution.PASSTHROUGH else EMPTY,
            traffic_distribution=distribution,
            race_first_tcp_connect=annotations.get("istio.io/connect-strategy", "").upper() == "RACE_FIRST_TCP_CONNECT",
            origin=spec.origin_of("hosts", place),
            because=reasons,
        )
        for host, place in _first_places(spec.hosts).items()
        for address, addresses in _addresses(spec, allocated.get(host, _NOTHING))
    )


def _first_places(texts: Iterable[str]) -> dict[str, int]:
    """What is written twice counts once: istiod keeps a service by host and address (``Service.ResourceName``)."""
    places: dict[str, int] = {}
    for place, text in enumerate(texts):
        places.setdefault(text, place)
    return places


def _reasons(spec: ServiceEntry) -> tuple[Because, ...]:
    """Why the service is of its type: the line of the resolution."""
    if spec.written("resolution"):
        return (Because("resolution", spec.origin_of("resolution")),)
    return (by_default("resolution", "resolution is NONE unless the ServiceEntry says otherwise"),)


def _port(spec: ServiceEntry, index: int) -> ServicePort:
    port = spec.ports[index]
    return ServicePort(
        number=port.number,
        name=port.name,
        protocol=parse_protocol(port.protocol),
        origin=spec.origin_of("ports", index, "number"),
    )


def _addresses(spec: ServiceEntry, allocated: AllocatedAddresses) -> Iterable[tuple[str, AllocatedAddresses]]:
    """Each usable address; without any the unspecified one with what was allocated."""
    if not spec.addresses:
        return ((UNSPECIFIED_IP, allocated),)
    return tuple((address, _NOTHING) for address in _first_places(map(_normal_address, spec.addresses)) if address)


def _normal_address(text: str) -> str:
    """An address as it is; a block of one address as that address; empty for anything else."""
    if is_ip_address(text):
        return text
    address, _, length = text.partition("/")
    if not is_ip_address(address) or not length.isdigit():
        return ""
    try:
        block = ipaddress.ip_interface(text)
    except ValueError:
        return ""
    return str(block.ip) if block.network.prefixlen == block.max_prefixlen else text


def _endpoints(entry: Entry, service: Service, around: EntrySurroundings) -> tuple[ServiceEndpoint, ...]:
    spec = entry.spec
    if spec.workload_selector is not None:
        selected = _selected(entry, service, around)
        return tuple(_endpoint(instance, port) for instance in selected for port in spec.ports)
    if not spec.endpoints and service.resolution.is_dns:
        return tuple(_host_endpoint(entry, service, port) for port in spec.ports)
    instances = [
        around.reader.from_entry(endpoint, f"{entry.name}-{place}", entry.namespace)
        for place, endpoint in enumerate(spec.endpoints)
    ]
    return tuple(_endpoint(instance, port) for instance in instances for port in spec.ports)


def _selected(entry: Entry, service: Service, around: EntrySurroundings) -> list[WorkloadInstance]:
    return [
        instance
        for instance in around.workloads.get(entry.namespace, ())
        if selects(service.label_selectors, instance.labels)
        and (service.resolution.is_dns or not instance.only_by_name)
    ]


def _host_endpoint(entry: Entry, service: Service, port: EntryPort) -> ServiceEndpoint:
    """The host itself, to be resolved by the proxy."""
    return ServiceEndpoint(
        addresses=(service.host,),
        port=port.target_port or port.number,
        service_port_name=port.name,
        service_port=port.number,
        namespace=entry.namespace,
        workload_name=entry.name,
        because=(Because("endpoint", service.origin or entry.origin),),
    )


def _endpoint(instance: WorkloadInstance, port: EntryPort) -> ServiceEndpoint:
    address, number = instance.address, instance.ports.get(port.name) or port.target_port or port.number
    if address.startswith(UNIX_PREFIX):
        address, number = address.removeprefix(UNIX_PREFIX), 0
    return ServiceEndpoint(
        addresses=(address,),
        port=number,
        service_port_name=port.name,
        service_port=port.number,
        labels=instance.labels,
        locality=instance.locality,
        network=instance.network,
        weight=instance.weight,
        tls_mode=instance.tls_mode,
        namespace=instance.namespace,
        workload_name=instance.workload_name,
        service_account=instance.service_account,
        node_name=instance.node_name,
        host_name=instance.host_name,
        sub_domain=instance.sub_domain,
        health=instance.health,
        because=instance.because,
    )
