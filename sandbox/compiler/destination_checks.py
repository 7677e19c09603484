"""Destinations of VirtualServices that lead nowhere: unknown hosts, subsets nobody declares (told, never refused)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from sandbox.compiler.names import MESH_GATEWAY
from sandbox.istio.destination import Destination
from sandbox.istio.http_route import HTTPRoute
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import TCPRoute, TLSRoute, VirtualService

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.sidecar_scope import SidecarScope

_OF_REQUESTS: Final = "requests to it are answered with 503 (NC)"
_OF_MIRRORS: Final = "nothing is mirrored to it, and the requests themselves go on"


def check_destinations(
    push: PushContext, proxy: Proxy, scope: SidecarScope, virtual_services: Iterable[Resource[VirtualService]]
) -> None:
    """Report what a proxy would answer with 503 ``NC``; each VirtualService is looked at once a scope."""
    for virtual_service in virtual_services:
        key = ("destinations", virtual_service.namespace, virtual_service.name)
        if scope.cache.setdefault(key, proxy) is not proxy:
            continue
        mirrors = {id(destination) for rule in virtual_service.spec.http for destination in _mirrors(rule)}
        for destination in mesh_destinations(virtual_service.spec):
            fate = _OF_MIRRORS if id(destination) in mirrors else _OF_REQUESTS
            _check(push, proxy, scope, destination, fate)


def mesh_destinations(spec: VirtualService) -> Iterator[Destination]:
    """All destinations and mirrors of rules that are not for gateways only."""
    for http_rule in filter(is_for_sidecars, spec.http):
        routed = (item.destination for item in http_rule.route)
        yield from (item for item in (*routed, *_mirrors(http_rule)) if item is not None)
    tls = [item for rule in spec.tls if is_for_sidecars(rule) for item in rule.route]
    tcp = [item for rule in spec.tcp if is_for_sidecars(rule) for item in rule.route]
    yield from (item.destination for item in tls + tcp if item.destination is not None)


def _mirrors(rule: HTTPRoute) -> Iterator[Destination | None]:
    yield from (rule.mirror, *(item.destination for item in rule.mirrors))


def is_for_sidecars(rule: HTTPRoute | TLSRoute | TCPRoute) -> bool:
    """Whether a rule is not for gateways only."""
    return not rule.match or any(not match.gateways or MESH_GATEWAY in match.gateways for match in rule.match)


def _check(push: PushContext, proxy: Proxy, scope: SidecarScope, destination: Destination, fate: str) -> None:
    if not push.services_of_host(destination.host):
        push.problems.report(
            "SBX0524",
            f"{destination.host} is no known service: {fate}",
            destination.origin_of("host"),
            hint="add a ServiceEntry or Service for the host, or correct the name",
        )
        return
    if not destination.subset:
        return
    rule = scope.destination_rule(proxy, destination.host)
    if rule is None or all(subset.name != destination.subset for subset in rule.spec.subsets):
        push.problems.report(
            "SBX0525",
            f'no DestinationRule that applies declares subset "{destination.subset}" of {destination.host}: {fate}',
            destination.origin_of("subset"),
        )
