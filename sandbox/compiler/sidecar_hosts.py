"""The ``hosts`` of a Sidecar's egress listener: what they import from which namespace.

Source: Istio pilot/pkg/model/sidecar.go (``hostClassification``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Final

from sandbox.compiler.host_names import HostIndex, is_wildcard, matches
from sandbox.frozen_dataclass import dataclass

ANY_NAMESPACE: Final = "*"
_OWN_NAMESPACE: Final = "."
_EXCLUDED: Final = "~"


@dataclass(slots=True)
class HostImports:
    """What is imported from one namespace (or from any)."""

    exact: dict[str, None] = field(default_factory=dict)
    patterns: HostIndex[bool] = field(default_factory=HostIndex)
    all_hosts: list[str] = field(default_factory=list)
    exclusions: HostIndex[bool] = field(default_factory=HostIndex)

    def add(self, host: str) -> None:
        """Import a host or pattern."""
        self.all_hosts.append(host)
        if is_wildcard(host):
            self.patterns.set(host, True)
        else:
            self.exact.setdefault(host)

    def matches(self, host: str) -> bool:
        """Whether a service of this host is imported."""
        return host in self.exact or self.patterns.most_specific(host) is not None

    def matches_virtual_service(self, host: str) -> bool:
        """Whether a VirtualService with this host is imported: either covers the other."""
        if host in self.exact or self.patterns.most_specific(host) is not None:
            return True
        return is_wildcard(host) and any(matches(host, imported) for imported in self.all_hosts)

    def excluded(self, host: str) -> bool:
        """Whether an entry beginning with ``~`` takes the host out."""
        return len(self.exclusions) > 0 and self.exclusions.most_specific(host) is not None


def read_imports(hosts: Iterable[str], own_namespace: str) -> dict[str, HostImports]:
    """Imports by namespace, ``*`` for any; entries that are not ``namespace/host`` import nothing."""
    found: dict[str, HostImports] = {}
    for text in hosts:
        namespace, slash, host = text.partition("/")
        if not slash or "/" in host:
            continue
        excluded = namespace.startswith(_EXCLUDED)
        if excluded:
            namespace = namespace.removeprefix(_EXCLUDED) or ANY_NAMESPACE
        if namespace == _OWN_NAMESPACE:
            namespace = own_namespace
        imports = found.setdefault(namespace, HostImports())
        if excluded:
            imports.exclusions.set(host, True)
        else:
            imports.add(host)
    return found


def only_exact(imports: dict[str, HostImports]) -> bool:
    """Whether every import names one host of one namespace, so that services can be looked up."""
    return all(
        namespace != ANY_NAMESPACE and not len(found.patterns)
        for namespace, found in imports.items()
        if found.all_hosts
    )
