"""Which question of a captured program the name table answers, and with what (``pkg/dns/client/dns.go`` of Istio)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.name_table import NameEntry, NameTable

TTL_SECONDS = 30
"""Kept low by Istio, so that clients that honour it see new addresses soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Records for a known name: an alias where the search domain was appended, then addresses of the asked family.

    ``addresses`` is empty for a known name without addresses of that family: NOERROR and no records, never NXDOMAIN.
    Names are lower case and end in a dot.
    """

    entry: NameEntry
    owner: str
    addresses: tuple[str, ...]
    alias: tuple[str, str] | None = None
    """Owner and target of a CNAME that comes first."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Not a name of the mesh, or not a type that the table holds: the upstream resolver is asked."""


@dataclass(frozen=True, slots=True)
class _Addresses:
    entry: NameEntry
    v4: tuple[str, ...]
    v6: tuple[str, ...]


class NameLookup:
    """The table made ready for questions, with the short names of Kubernetes services that the agent adds.

    ``search_domain`` is the first search domain of the workload's resolver: most programs ask with it appended first.
    """

    def __init__(self, table: NameTable, *, namespace: str, domain: str, search_domain: str | None) -> None:
        self._names: dict[str, _Addresses] = {}
        self._aliases: dict[str, str] = {}
        labels = domain.split(".")
        suffix = ".".join(labels[1:] if labels[0] == namespace else labels)
        search = None if search_domain is None else search_domain.lower().rstrip(".") + "."
        for host, entry in table.hosts.items():
            addresses = _split_families(entry)
            if addresses.v4 or addresses.v6:
                self._add(alternate_names(host, entry, namespace, suffix), addresses, search)

    def _add(self, names: Iterable[str], addresses: _Addresses, search: str | None) -> None:
        own = {name.lower() for name in names}
        for name in own:
            self._names[name] = addresses
            if search is not None and name + search not in own and not name.endswith("." + search):
                self._aliases[name + search] = name

    def find(self, name: str, record_type: str) -> Answer | Forward:
        """``name`` as asked, with or without the last dot, in any case; ``record_type`` as ``A`` or ``AAAA``.

        1. the name itself, or the name with the search domain appended; 2. ``*.`` of ever fewer labels.
        An alias for a name of another host wins over that name, as in Istio, where the alias is looked up first.
        """
        question = name.lower().rstrip(".") + "."
        found = self._known(question)
        if found is None or record_type not in ("A", "AAAA"):
            return Forward()
        target = self._aliases.get(found)
        addresses = self._names[found if target is None else target]
        family = addresses.v4 if record_type == "A" else addresses.v6
        if target is None:
            return Answer(entry=addresses.entry, owner=question, addresses=family)
        alias = (question, target) if family else None
        return Answer(entry=addresses.entry, owner=target, addresses=family, alias=alias)

    def _known(self, question: str) -> str | None:
        if question in self._names or question in self._aliases:
            return question
        labels = question.split(".")
        for index in range(1, len(labels)):
            wildcard = "*." + ".".join(labels[index:])
            if wildcard in self._names or wildcard in self._aliases:
                return wildcard
        return None


def alternate_names(host: str, entry: NameEntry, namespace: str, domain: str) -> frozenset[str]:
    """All names of a host, each with the last dot.

    A Kubernetes service in the proxy's own ``domain`` (``svc.cluster.local``) also has ``name.namespace``,
    ``name.namespace.svc``, its other hosts, and in its own namespace the bare name.
    """
    if entry.registry != "Kubernetes":
        return frozenset({host if host.endswith(".") else host + "."})
    names = {host + "."}
    if domain and host.endswith(domain):
        names.add(f"{entry.short_name}.{entry.namespace}.")
        names.add(f"{entry.short_name}.{entry.namespace}.{domain.split('.')[0]}.")
        names.update(f"{other}." for other in entry.alternate_hosts)
        if entry.namespace == namespace:
            names.add(f"{entry.short_name}.")
    return frozenset(names)


def _split_families(entry: NameEntry) -> _Addresses:
    v4: list[str] = []
    v6: list[str] = []
    for text in entry.addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:  # a malformed address is passed over, as by the agent
            continue
        (v4 if address.version == 4 else v6).append(str(address))
    return _Addresses(entry, tuple(v4), tuple(v6))
