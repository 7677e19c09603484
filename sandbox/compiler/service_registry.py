"""All services of the mesh with their endpoints, indexed by host, namespace and visibility.

Source: Istio pilot/pkg/model/push_context.go (``initServiceRegistry``), endpointshards.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from sandbox.compiler.ages import BEFORE_ALL
from sandbox.compiler.auto_allocation import AllocatedAddresses, EntryName, allocate_addresses, name_of
from sandbox.compiler.endpoint_slices import KubernetesEndpoints
from sandbox.compiler.features import Features
from sandbox.compiler.identity import same_objects
from sandbox.compiler.kubernetes_services import convert_kubernetes_service, resolve_aliases
from sandbox.compiler.service_entries import ConvertedEntry, Entry, EntrySurroundings, convert_service_entry
from sandbox.compiler.services import Resolution, Service, ServiceEndpoint, ServicePort
from sandbox.compiler.spiffe import with_trust_domain_aliases
from sandbox.compiler.visibility import NOBODY, PRIVATE, PUBLIC, ServiceVisibility, namespace_visibility
from sandbox.compiler.workloads import WorkloadReader, selectable_workloads
from sandbox.istio.load import Configuration
from sandbox.istio.message import EMPTY

ServiceKey = tuple[str, str]
"""Host and namespace."""
REGISTRY_KINDS: Final = (
    "Service",
    "EndpointSlice",
    "Endpoints",
    "Pod",
    "Node",
    "Namespace",
    "ServiceEntry",
    "WorkloadEntry",
)
"""What services and their endpoints are made of."""


class _Conversion(NamedTuple):
    """An entry, what else its conversion depended on, and what was made of it."""

    entry: Entry
    inputs: tuple[object, ...]
    converted: ConvertedEntry


def _workload_ids(configuration: Configuration) -> tuple[int, ...]:
    """What selectors may pick; objects count by identity."""
    kinds = ("Pod", "WorkloadEntry", "Node", "Namespace")
    return tuple(id(resource) for kind in kinds for resource in configuration.resources(kind))


def _settings(configuration: Configuration, features: Features) -> tuple[object, ...]:
    """What a registry depends on besides objects."""
    mesh = configuration.mesh
    return (
        (features, dict(features.texts), configuration.domain_suffix, configuration.system_namespace),
        (mesh.trust_domain, mesh.trust_domain_aliases, mesh.default_service_export_to, mesh.service_entry_visibility),
    )


class ServiceRegistry:
    """Services sorted by age, name and namespace; endpoints by host and namespace."""

    def __init__(
        self, configuration: Configuration, features: Features, previous: ServiceRegistry | None = None
    ) -> None:
        self._configuration = configuration
        self._features = features
        self._settings = _settings(configuration, features)
        self._workloads = _workload_ids(configuration)
        alike = previous is not None and previous._features == features
        self._converted: dict[int, _Conversion] = previous._converted if previous is not None and alike else {}
        self._allocated: dict[EntryName, Mapping[str, AllocatedAddresses]] = (
            previous._allocated if previous is not None and alike else {}
        )
        """Addresses by entry and host, which stay as they are as long as the entry is there."""
        self.visibility = ServiceVisibility(configuration.mesh)
        self._external: dict[ServiceKey, list[ServiceEndpoint]] = {}
        self._kubernetes: dict[ServiceKey, list[ServiceEndpoint]] = {}
        self.services: list[Service] = self._read()
        self._by_host: dict[str, dict[str, Service]] = {}
        self._alike: dict[ServiceKey, list[Service]] = {}
        self._public: list[Service] = []
        self._exported: dict[str, list[Service]] = {}
        self._accounts: dict[ServiceKey, tuple[str, ...]] = {}
        self._by_port: dict[tuple[str, str, int], tuple[ServiceEndpoint, ...]] = {}
        for service in self.services:
            self._index(service)

    def fits(self, configuration: Configuration, features: Features) -> bool:
        """Whether a registry of this configuration would be the same: the very same objects, equal settings."""
        return _settings(configuration, features) == self._settings and all(
            same_objects(self._configuration.resources(kind), configuration.resources(kind)) for kind in REGISTRY_KINDS
        )

    # ---- reading

    def _read(self) -> list[Service]:
        configuration = self._configuration
        reader = WorkloadReader(configuration)
        workloads = selectable_workloads(
            configuration, reader, health_checks=self._features.workload_entry_health_checks
        )
        annotations = {
            namespace.name: namespace.metadata.annotations for namespace in configuration.resources("Namespace")
        }
        selectable = workloads if self._features.enable_k8s_select_workload_entries else {}
        endpoints = KubernetesEndpoints(configuration, reader, selectable)
        services = list(self._kubernetes_services(endpoints, annotations))
        entries = configuration.resources("ServiceEntry")
        visibility = namespace_visibility(
            configuration.mesh.service_entry_visibility,
            configuration.resources("Namespace"),
            dict.fromkeys(entry.namespace for entry in entries),
        )
        pickable = workloads
        if not self._features.enable_service_entry_select_pods:
            pickable = {name: [item for item in found if not item.is_pod] for name, found in workloads.items()}
        around = EntrySurroundings(reader, pickable, visibility)
        allocated = allocate_addresses(entries, self._features, self._allocated)
        self._allocated = {name_of(entries[place]): found for place, found in allocated.items()}
        conversions = [self._convert(entry, allocated.get(place, EMPTY), around) for place, entry in enumerate(entries)]
        self._converted = {id(conversion.entry): conversion for conversion in conversions}
        converted = [conversion.converted for conversion in conversions]
        services += [service for entry in converted for service in entry.services]
        self._merge_external(converted)
        services.sort(key=_age)
        return resolve_aliases(services)

    def _convert(
        self, entry: Entry, allocated: Mapping[str, AllocatedAddresses], around: EntrySurroundings
    ) -> _Conversion:
        """The services of an entry; those of the last time when the entry is the same object."""
        workloads = self._workloads if entry.spec.workload_selector is not None else ()
        trust_domain = self._configuration.mesh.trust_domain
        inputs = (allocated, around.visibility.get(entry.namespace), trust_domain, workloads)
        known = self._converted.get(id(entry))
        if known is not None and known.entry is entry and known.inputs == inputs:
            return known
        return _Conversion(entry, inputs, convert_service_entry(entry, allocated, around))

    def _kubernetes_services(
        self, endpoints: KubernetesEndpoints, annotations: Mapping[str, Mapping[str, str]]
    ) -> Iterator[Service]:
        configuration = self._configuration
        for resource in configuration.resources("Service"):
            service = convert_kubernetes_service(
                resource,
                domain=configuration.domain_suffix,
                trust_domain=configuration.mesh.trust_domain,
                namespace_annotations=annotations,
            )
            found = list(endpoints.of_service(service, resource))
            if found:
                self._kubernetes[service.host, service.namespace] = found
            yield service

    def _merge_external(self, converted: Sequence[ConvertedEntry]) -> None:
        """All endpoints of a host in a namespace; of DNS_ROUND_ROBIN only the first for each port."""
        alike: dict[ServiceKey, list[tuple[Service, tuple[ServiceEndpoint, ...]]]] = {}
        for entry in converted:
            for service, endpoints in zip(entry.services, entry.endpoints, strict=True):
                alike.setdefault((service.host, service.namespace), []).append((service, endpoints))
        for key, pairs in alike.items():
            if len(pairs) > 1:
                pairs.sort(key=lambda pair: (*_age(pair[0]), pair[0].object_name))
            merged = _merged_endpoints(pairs)
            if merged:
                self._external[key] = merged

    # ---- indices

    def _index(self, service: Service) -> None:
        key = (service.host, service.namespace)
        self._alike.setdefault(key, []).append(service)
        accounts = {item.service_account for item in self.endpoints(*key) if item.service_account}
        accounts.update(service.service_accounts)
        aliases = self._configuration.mesh.trust_domain_aliases
        self._accounts[key] = with_trust_domain_aliases(accounts, aliases) if accounts else ()
        by_namespace = self._by_host.setdefault(service.host, {})
        existing = by_namespace.get(service.namespace)
        if existing is None or (service.is_kubernetes and not existing.is_kubernetes):
            by_namespace[service.namespace] = service
        export_to = self.visibility.export_to(service)
        if PUBLIC in export_to:
            self._public.append(service)
        elif NOBODY not in export_to:
            own = service.namespace
            for namespace in dict.fromkeys(own if scope == PRIVATE else scope for scope in sorted(export_to)):
                self._exported.setdefault(namespace, []).append(service)

    def endpoints(self, host: str, namespace: str) -> Sequence[ServiceEndpoint]:
        """All endpoints of a host in a namespace, whatever their port."""
        key = (host, namespace)
        kubernetes = self._kubernetes.get(key)
        external = self._external.get(key)
        if kubernetes is None or external is None:
            return kubernetes or external or ()
        return (*external, *kubernetes)

    def endpoints_by_port(self, service: Service, port: int) -> Sequence[ServiceEndpoint]:
        """The endpoints of a port by its number (clusters by DNS; Istio's ``ServiceEndpointsByPort``)."""
        key = (service.host, service.namespace, port)
        found = self._by_port.get(key)
        if found is None:
            found = ()
            for item in self._alike.get((service.host, service.namespace), ()):
                found = tuple(self._endpoints_as_seen_by(item, port)) or found
            self._by_port[key] = found
        return found

    def _endpoints_as_seen_by(self, service: Service, port: int) -> Iterator[ServiceEndpoint]:
        """By the ports of one object that gives the host; the youngest that finds any counts (``CopyEndpoints``)."""
        numbers = {item.name: item.number for item in service.ports}
        declared = any(item.number == port for item in service.ports)
        for endpoint in self.endpoints(service.host, service.namespace):
            number = endpoint.service_port
            if (declared and number == port) if number else numbers.get(endpoint.service_port_name) == port:
                yield endpoint

    def _ports(self, service: Service) -> Iterator[ServicePort]:
        """The ports that all objects together give a host in its namespace."""
        return (port for item in self._alike.get((service.host, service.namespace), ()) for port in item.ports)

    def endpoints_of_declared_ports(self, service: Service) -> Iterator[ServiceEndpoint]:
        """The endpoints of all ports that any object gives the host in its namespace (``ServiceEndpoints``)."""
        numbers = dict.fromkeys(port.number for port in self._ports(service))
        return (endpoint for number in numbers for endpoint in self.endpoints_by_port(service, number))

    def endpoints_by_port_name(self, service: Service, name: str) -> Sequence[ServiceEndpoint]:
        """The endpoints of a port by its name (clusters whose endpoints are discovered)."""
        return [
            endpoint
            for endpoint in self.endpoints(service.host, service.namespace)
            if endpoint.service_port_name == name
        ]

    def service_accounts(self, service: Service) -> tuple[str, ...]:
        """The identities of a service's workloads, and those the service names itself."""
        return self._accounts.get((service.host, service.namespace), ())

    def of_host(self, host: str) -> Mapping[str, Service]:
        """The services of a host by namespace: of several in one the oldest, a Kubernetes Service before others."""
        return self._by_host.get(host, EMPTY)

    def exported_to(self, namespace: str) -> Sequence[Service]:
        """What a namespace may see: private and exported services, then public ones."""
        exported = self._exported.get(namespace)
        return (*exported, *self._public) if exported else self._public


def _merged_endpoints(pairs: Iterable[tuple[Service, tuple[ServiceEndpoint, ...]]]) -> list[ServiceEndpoint]:
    ports: set[int] = set()
    merged: list[ServiceEndpoint] = []
    for service, endpoints in pairs:
        first_only = service.resolution is Resolution.DNS_ROUND_ROBIN_LB
        for endpoint in endpoints:
            if not first_only or endpoint.service_port not in ports:
                ports.add(endpoint.service_port)
                merged.append(endpoint)
    return merged


def _age(service: Service) -> tuple[object, str, str]:
    """Istio's ``SortServicesByCreationTime``."""
    return service.creation_time or BEFORE_ALL, service.name, service.namespace
