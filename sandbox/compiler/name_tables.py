"""The names that the DNS proxy of a sidecar answers.

Source: Istio pkg/dns/server/name_table.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.compiler.names import UNSPECIFIED_IP
from sandbox.compiler.provenance import weightiest
from sandbox.compiler.proxy import is_ip_address
from sandbox.compiler.services import Health, Resolution, Service, ServiceEndpoint
from sandbox.plan.because import Because
from sandbox.plan.name_table import NameEntry, NameTable

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.sidecar_scope import SidecarScope


def build_name_table(push: PushContext, proxy: Proxy, scope: SidecarScope) -> NameTable:
    """Addresses by host: virtual ones, or those of the pods of headless services."""
    return _table(push, proxy, (service for listener in scope.egress_listeners for service in listener.services))


def build_cluster_names(push: PushContext, proxy: Proxy) -> NameTable:
    """What the cluster's own DNS server knows: every Kubernetes Service, whoever may see it in the mesh."""
    return _table(push, proxy, (service for service in push.services() if service.is_kubernetes))


def _table(push: PushContext, proxy: Proxy, services: Iterable[Service]) -> NameTable:
    hosts: dict[str, NameEntry] = {}
    for service in services:
        addresses = service.all_addresses_for(proxy)
        usable = [address for address in addresses if is_ip_address(address)]
        if UNSPECIFIED_IP in addresses:
            usable = _headless(push, proxy, service, hosts)
        if usable:
            _enter(hosts, service, tuple(usable))
    return NameTable(hosts=hosts)


def _headless(push: PushContext, proxy: Proxy, service: Service, hosts: dict[str, NameEntry]) -> list[str]:
    """The addresses of a headless service's pods; pods with a name of their own get an entry."""
    if service.resolution is not Resolution.PASSTHROUGH or not service.ports:
        return []
    addresses: dict[str, None] = {}
    named: dict[str, list[str]] = {}
    domain = service.host.partition(".")[2]
    for endpoint in _ready(push, service):
        if endpoint.addresses[0] in addresses or not proxy.in_network(endpoint.network):
            continue
        addresses.update(dict.fromkeys(endpoint.addresses))
        if endpoint.sub_domain and domain:
            named.setdefault(f"{endpoint.host_name}.{endpoint.sub_domain}", []).extend(endpoint.addresses)
    for short_name, own in named.items():
        hosts[f"{short_name}.{domain}"] = NameEntry(
            addresses=tuple(own),
            registry=service.registry.value,
            short_name=short_name,
            namespace=service.namespace,
            because=_because(service),
        )
    return list(addresses)


def _ready(push: PushContext, service: Service) -> Iterator[ServiceEndpoint]:
    """Of all objects that describe the host in its namespace, whatever their ports."""
    for endpoint in push.registry.endpoints_of_declared_ports(service):
        healthy = service.publish_not_ready or endpoint.health is Health.HEALTHY
        if healthy and endpoint.addresses and all(map(is_ip_address, endpoint.addresses)):
            yield endpoint


def _because(service: Service) -> tuple[Because, ...]:
    """The line of the host."""
    host = (Because("host", service.origin),) if service.origin is not None else ()
    return weightiest((*host, *service.because))


def _enter(hosts: dict[str, NameEntry], service: Service, addresses: tuple[str, ...]) -> None:
    """Several objects for a host add up; a Kubernetes Service is alone."""
    existing = hosts.get(service.host)
    if existing is None or (service.is_kubernetes and existing.registry != service.registry.value):
        hosts[service.host] = NameEntry(
            addresses=addresses,
            registry=service.registry.value,
            short_name=service.name if service.is_kubernetes else "",
            namespace=service.namespace if service.is_kubernetes else "",
            because=_because(service),
        )
    elif not service.is_kubernetes and existing.registry == service.registry.value:
        because = weightiest((*existing.because, *_because(service)))
        hosts[service.host] = replace(existing, addresses=existing.addresses + addresses, because=because)
