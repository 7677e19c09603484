"""What a cluster's DNS server and kube-proxy do for the calls of a proxy itself: names and addresses of Services.

A cluster of type STRICT_DNS asks for the name of a Service, and whatever goes to a Service's address arrives at one of
its endpoints (https://kubernetes.io/docs/reference/networking/virtual-ips/). Calls that istiod's endpoints lead to
never come here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sandbox.compiler.names import UNSPECIFIED_IP
from sandbox.compiler.proxy import is_ip_address
from sandbox.compiler.services import Health

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.services import Service
    from sandbox.istio.load import Configuration
    from sandbox.loading import Loaded
    from sandbox.match.cluster_names import ClusterNames

Address = tuple[str, int]


def service_names(push: PushContext, proxy: Proxy) -> Mapping[str, tuple[str, ...]]:
    """The addresses of every Service, headless ones' pods too, by the names that a pod of ``proxy``'s may use.

    Those whose endpoints nobody knows are left to this machine's own DNS: it may know where they are.
    """
    from sandbox.compiler.name_tables import build_cluster_names

    leading_nowhere = _addresses_without_endpoints(push, proxy)
    found: dict[str, tuple[str, ...]] = {}
    for host, entry in build_cluster_names(push, proxy).hosts.items():
        if leading_nowhere.issuperset(entry.addresses):
            continue
        own = f"{entry.short_name}.{entry.namespace}"
        names = [host, own, f"{own}.svc"] if host.startswith(f"{own}.svc.") else [host]
        if entry.namespace == proxy.namespace:
            names.append(entry.short_name)
        found |= dict.fromkeys(names, entry.addresses)
    return found


def service_targets(push: PushContext, proxy: Proxy) -> Mapping[Address, tuple[Address, ...]]:
    """Where connections to a Service's address and port may arrive, for Services whose endpoints are known."""
    found: dict[Address, tuple[Address, ...]] = {}
    for service in push.services():
        if not service.is_kubernetes:
            continue
        for port in service.ports:
            endpoints = tuple(_endpoints(push, service, port.number))
            for address in service.all_addresses_for(proxy):
                if endpoints and is_ip_address(address) and address != UNSPECIFIED_IP:
                    found[address, port.number] = endpoints
    return found


def _addresses_without_endpoints(push: PushContext, proxy: Proxy) -> frozenset[str]:
    return frozenset(
        address
        for service in push.services()
        if service.is_kubernetes and not any(any(_endpoints(push, service, port.number)) for port in service.ports)
        for address in service.all_addresses_for(proxy)
    )


def _endpoints(push: PushContext, service: Service, port: int) -> Iterator[Address]:
    for endpoint in push.registry.endpoints_by_port(service, port):
        if endpoint.health is Health.HEALTHY or service.publish_not_ready:
            yield from ((address, endpoint.port) for address in endpoint.addresses if is_ip_address(address))


def external_names(configuration: Configuration, namespace: str) -> Mapping[str, str]:
    """What the cluster's DNS server says of ExternalName services: each name for them, and the name behind."""
    found: dict[str, str] = {}
    for service in configuration.resources("Service"):
        target = service.spec.external_name.lower().rstrip(".")
        if service.spec.type != "ExternalName" or not target:
            continue
        short, own = service.metadata.name, f"{service.metadata.name}.{service.metadata.namespace}"
        for name in (own, f"{own}.svc", f"{own}.svc.{configuration.domain_suffix}"):
            found[name] = target
        if service.metadata.namespace == namespace:
            found[short] = target
    return found


def cluster_names(
    loaded: Loaded, *, search_domain: str | None, given: Mapping[str, tuple[str, ...]] | None = None
) -> ClusterNames:
    """What the cluster's DNS server tells our workload; ``given`` are addresses that need no question outside."""
    from sandbox.compiler.name_tables import build_cluster_names
    from sandbox.match.cluster_names import ClusterNames
    from sandbox.match.name_lookup import NameLookup

    proxy = loaded.proxy
    services = NameLookup(
        build_cluster_names(loaded.push, proxy),
        namespace=proxy.namespace,
        domain=proxy.dns_domain,
        search_domain=search_domain,
    )
    return ClusterNames(
        services=services, external=external_names(loaded.configuration, proxy.namespace), given=given or {}
    )
