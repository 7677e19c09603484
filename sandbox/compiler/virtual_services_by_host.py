"""The VirtualServices of an egress listener by the hosts of services they fit (Istio tls.go ``getConfigsForHost``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sandbox.compiler.host_table import HostTable
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import VirtualService

if TYPE_CHECKING:
    from sandbox.compiler.sidecar_scope import EgressListener, SidecarScope

VirtualServiceResource = Resource[VirtualService]


class VirtualServicesByHost:
    """VirtualServices, found by a host without walking over all of them."""

    __slots__ = ("_hosts", "_ordered", "_positions")

    def __init__(self, virtual_services: Iterable[VirtualServiceResource], *, fold_case: bool = False) -> None:
        self._ordered = list(virtual_services)
        self._positions: dict[str, list[int]] = {}
        for position, virtual_service in enumerate(self._ordered):
            for written in virtual_service.spec.hosts:
                self._positions.setdefault(written.lower() if fold_case else written, []).append(position)
        self._hosts = HostTable(self._positions)

    @classmethod
    def with_l4_rules(cls, egress: EgressListener, scope: SidecarScope) -> VirtualServicesByHost:
        """Those an egress listener imports that have TLS or TCP routes; made once for all proxies of the scope."""
        return _made_once(
            scope, ("l4 rules", id(egress)), lambda: cls(item for item in egress.virtual_services if _has_l4(item))
        )

    @classmethod
    def with_any_rules(cls, egress: EgressListener, scope: SidecarScope) -> VirtualServicesByHost:
        """All that an egress listener imports, by hosts in small letters; made once for all proxies of the scope."""
        return _made_once(scope, ("any rules", id(egress)), lambda: cls(egress.virtual_services, fold_case=True))

    def find(self, host: str) -> tuple[VirtualServiceResource, ...]:
        """Those with a host that covers the service's or is covered by it, in order of precedence."""
        return self.find_any((host,))

    def find_any(self, hosts: Iterable[str]) -> tuple[VirtualServiceResource, ...]:
        """Those that fit any of the hosts."""
        if not self._ordered:
            return ()
        positions = {
            position for host in hosts for own in self._hosts.fitting(host) for position in self._positions[own]
        }
        return tuple(self._ordered[position] for position in sorted(positions))


def _has_l4(virtual_service: VirtualServiceResource) -> bool:
    return bool(virtual_service.spec.tls or virtual_service.spec.tcp)


def _made_once(
    scope: SidecarScope, key: tuple[str, int], make: Callable[[], VirtualServicesByHost]
) -> VirtualServicesByHost:
    found = scope.cache.get(key)
    if not isinstance(found, VirtualServicesByHost):
        found = make()
        scope.cache[key] = found
    return found
