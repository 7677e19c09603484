"""Addresses that istiod allocates to ServiceEntries without any.

Source: Istio pilot/pkg/controllers/ipallocate, pilot/pkg/networking/serviceentry/ip_autoallocation.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from sandbox.compiler.ages import BEFORE_ALL
from sandbox.compiler.features import Features
from sandbox.compiler.host_names import is_wildcard
from sandbox.compiler.legacy_auto_allocation import allocate_by_hash
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY
from sandbox.istio.resource import Resource
from sandbox.istio.service_entry import ServiceEntry, ServiceEntryStatus

Entry = Resource[ServiceEntry]
EntryName = tuple[str, str]
_IPV4: Final = 4
_OPT_OUT: Final = "networking.istio.io/enable-autoallocate-ip"
_IPV4_RANGE: Final = "240.240.0.0/16"
_IPV6_RANGE: Final = "2001:2::/48"


class AllocatedAddresses(NamedTuple):
    """The addresses of one host of an entry; empty texts for none."""

    ipv4: str = ""
    ipv6: str = ""


def name_of(entry: Entry) -> EntryName:
    """By which an entry is known again after a reload."""
    return entry.namespace, entry.name


def takes_part(entry: Entry, features: Features) -> bool:
    """Whether the entry may use allocated addresses."""
    return (
        features.enable_ip_autoallocate
        and entry.spec.resolution != "NONE"
        and not entry.spec.addresses
        and entry.metadata.labels.get(_OPT_OUT, "").lower() != "false"
    )


@lru_cache(maxsize=65536)
def _text(address: int, version: int) -> str:
    """An address as text; the same ones are allocated again on every load."""
    return str(ipaddress.IPv4Address(address) if version == _IPV4 else ipaddress.IPv6Address(address))


@dataclass(slots=True)
class _Range:
    """One range of addresses: what is used by whom, and where the search goes on."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    used: dict[int, int]
    next: int

    @classmethod
    def of(cls, prefix: str) -> _Range:
        network = ipaddress.ip_network(prefix, strict=False)
        return cls(network, {}, int(network.network_address) + 1)

    def mark(self, address: int, owner: int) -> bool:
        """Take an address for an entry; False when another entry has it."""
        if not int(self.network.network_address) <= address <= int(self.network.broadcast_address):
            return True
        return self.used.setdefault(address, owner) == owner

    def allocate(self, owner: int) -> str:
        """The next address nobody has; empty when there is none left."""
        first, last = int(self.network.network_address) + 1, int(self.network.broadcast_address)
        candidate = self.next if first <= self.next <= last else first
        for _ in range(last - first + 1):
            if candidate not in self.used:
                break
            candidate = candidate + 1 if candidate < last else first
        else:
            return ""
        self.used[candidate] = owner
        self.next = candidate + 1
        return _text(candidate, self.network.version)


class _Allocator:
    """Both ranges."""

    def __init__(self, features: Features) -> None:
        texts = features.texts
        self.ipv4 = _Range.of(texts.get("PILOT_IP_AUTOALLOCATE_IPV4_PREFIX", _IPV4_RANGE))
        self.ipv6 = _Range.of(texts.get("PILOT_IP_AUTOALLOCATE_IPV6_PREFIX", _IPV6_RANGE))

    def mark(self, text: str, owner: int) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return True
        return (self.ipv4 if address.version == self.ipv4.network.version else self.ipv6).mark(int(address), owner)

    def allocate(self, owner: int) -> AllocatedAddresses:
        return AllocatedAddresses(self.ipv4.allocate(owner), self.ipv6.allocate(owner))


def allocate_addresses(
    entries: Sequence[Entry], features: Features, before: Mapping[EntryName, Mapping[str, AllocatedAddresses]] = EMPTY
) -> Mapping[int, Mapping[str, AllocatedAddresses]]:
    """Addresses by the entry's place in ``entries`` and by host.

    Entries are taken in the order of their documents, as all recordings do. Addresses that stand in a status already
    are kept, and those that an entry had ``before``, which istiod has written there; an entry gets others if it shares
    one with an older entry, or with what any user wrote himself.
    """
    if not features.enable_ip_autoallocate:
        return _by_hash(entries)
    allocator = _Allocator(features)
    by_age = sorted(range(len(entries)), key=lambda place: entries[place].metadata.creation_timestamp or BEFORE_ALL)
    for place in by_age:
        for text in entries[place].spec.addresses:
            allocator.mark(text, place)
    kept: dict[int, dict[str, AllocatedAddresses]] = {}
    for place in by_age:
        entry = entries[place]
        if not takes_part(entry, features):
            continue
        written = {**before.get(name_of(entry), EMPTY), **_written(entry)}
        marks = [allocator.mark(text, place) for pair in written.values() for text in pair if text]
        if all(marks):
            kept[place] = written
    return {
        place: _addresses_of(entry, place, kept.get(place, {}), allocator)
        for place, entry in enumerate(entries)
        if takes_part(entry, features)
    }


def _addresses_of(
    entry: Entry, place: int, kept: Mapping[str, AllocatedAddresses], allocator: _Allocator
) -> Mapping[str, AllocatedAddresses]:
    spec = entry.spec
    return {
        host: kept[host] if host in kept else allocator.allocate(place)
        for host in dict.fromkeys(spec.hosts)
        if not is_wildcard(host) or spec.resolution == "DYNAMIC_DNS"
    }


def _by_hash(entries: Sequence[Entry]) -> Mapping[int, Mapping[str, AllocatedAddresses]]:
    """What istiod did before it wrote addresses into the status."""
    hosts = {
        place: [host for host in dict.fromkeys(entry.spec.hosts) if not is_wildcard(host)]
        for place, entry in enumerate(entries)
        if entry.spec.resolution != "NONE" and not entry.spec.addresses
    }
    keys = {(place, host): f"{entries[place].namespace}/{host}" for place in hosts for host in hosts[place]}
    found = allocate_by_hash(keys.values())
    return {
        place: {host: AllocatedAddresses(*found[keys[place, host]]) for host in own if keys[place, host] in found}
        for place, own in hosts.items()
    }


def _written(entry: Entry) -> dict[str, AllocatedAddresses]:
    """What stands in the entry's status: addresses by host."""
    if not isinstance(entry.status, ServiceEntryStatus):
        return {}
    found: dict[str, AllocatedAddresses] = {}
    for item in entry.status.addresses:
        pair = found.get(item.host, AllocatedAddresses())
        found[item.host] = pair._replace(ipv6=item.value) if ":" in item.value else pair._replace(ipv4=item.value)
    return found
