"""The VirtualServices of an egress listener by the hosts of services they fit (Istio tls.go ``getConfigsForHost``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sandbox.compiler.host_names import is_wildcard, matches
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import VirtualService

if TYPE_CHECKING:
    from sandbox.compiler.sidecar_scope import EgressListener, SidecarScope

VirtualServiceResource = Resource[VirtualService]


class VirtualServicesByHost:
    """Only those with TLS or TCP routes; found without walking over all of them for each service."""

    __slots__ = ("_exact", "_ordered", "_patterns")

    def __init__(self, virtual_services: Iterable[VirtualServiceResource]) -> None:
        self._ordered = [item for item in virtual_services if item.spec.tls or item.spec.tcp]
        self._exact: dict[str, list[int]] = {}
        self._patterns: dict[str, list[int]] = {}
        for position, virtual_service in enumerate(self._ordered):
            for host in virtual_service.spec.hosts:
                hosts = self._patterns if is_wildcard(host) else self._exact
                hosts.setdefault(host, []).append(position)

    @classmethod
    def of(cls, egress: EgressListener, scope: SidecarScope) -> VirtualServicesByHost:
        """Those an egress listener imports; made once for all proxies of the scope."""
        key = (cls, id(egress))
        found = scope.cache.get(key)
        if not isinstance(found, cls):
            found = cls(egress.virtual_services)
            scope.cache[key] = found
        return found

    def find(self, host: str) -> tuple[VirtualServiceResource, ...]:
        """Those with a host that covers the service's or is covered by it, in order of precedence."""
        if not self._ordered:
            return ()
        positions = set(self._exact.get(host, ()))
        for pattern, found in self._patterns.items():
            if matches(pattern, host):
                positions.update(found)
        if is_wildcard(host):
            for name, found in self._exact.items():
                if matches(name, host):
                    positions.update(found)
        return tuple(self._ordered[position] for position in sorted(positions))
