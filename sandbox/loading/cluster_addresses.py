"""Addresses for Services that say none: a cluster's API server gives them when they are applied.

Source: https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/.
"""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sandbox.istio.load import Configuration
    from sandbox.istio.load_cache import AddressedServices
    from sandbox.istio.objects import LoadedObject

NETWORK: Final = ipaddress.ip_network("10.111.0.0/16")
"""Of the range that clusters have by default (10.96.0.0/12)."""


def with_cluster_addresses(configuration: Configuration, known: AddressedServices) -> Configuration:
    """Every Service that a cluster would give an address has one, by its name, and its ports have their targets.

    ``known`` are those of the load before, which go on as the same objects; it becomes those of this load.
    """
    given = dict(_given(configuration))
    if not given:
        return configuration
    fresh: AddressedServices = {}
    for loaded in configuration.objects:
        address = given.get(id(loaded.resource))
        if address is not None:
            _, before = known.get(id(loaded), (None, None))
            same = before is not None and before.resource is not None and before.resource.spec.cluster_ip == address
            fresh[id(loaded)] = (loaded, before if before is not None and same else _addressed(loaded, address))
    known.clear()
    known.update(fresh)
    services = {id(original.resource): copy.resource for original, copy in fresh.values()}
    return replace(
        configuration,
        by_kind={
            **configuration.by_kind,
            "Service": tuple(services.get(id(each)) or each for each in configuration.resources("Service")),
        },
        objects=tuple(fresh[id(each)][1] if id(each) in fresh else each for each in configuration.objects),
    )


def _given(configuration: Configuration) -> Iterator[tuple[int, str]]:
    """Services without an address, and theirs: the name's own, or the next that is free."""
    services = configuration.resources("Service")
    taken = {address for each in services for address in (each.spec.cluster_ip, *each.spec.cluster_ips)}
    without = [each for each in services if not each.spec.cluster_ip and each.spec.type != "ExternalName"]
    for service in sorted(without, key=lambda each: (each.namespace, each.name)):
        place = zlib.crc32(f"{service.namespace}/{service.name}".encode())
        while (address := _address(place)) in taken:
            place += 1
        taken.add(address)
        yield id(service), address


def _address(place: int) -> str:
    """Neither the network's first address nor its last."""
    return str(NETWORK[1 + place % (NETWORK.num_addresses - 2)])


def _addressed(loaded: LoadedObject, address: str) -> LoadedObject:
    resource: Any = loaded.resource
    ports = tuple(
        replace(port, target_port=port.port) if port.target_port is None else port for port in resource.spec.ports
    )
    return replace(loaded, resource=replace(resource, spec=replace(resource.spec, cluster_ip=address, ports=ports)))
