"""VirtualServices as proxies use them: names resolved, delegates merged in, indexed by gateway and visibility.

Source: Istio pilot/pkg/model/virtualservice_controller.go and push_context.go (``initVirtualServices``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from sandbox.compiler.ages import by_creation_time
from sandbox.compiler.delegates import merge_delegate
from sandbox.compiler.host_names import HostIndex, resolve_gateway, resolve_host
from sandbox.compiler.names import MESH_GATEWAY
from sandbox.compiler.visibility import NOBODY, PRIVATE, PUBLIC
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination import Destination
from sandbox.istio.http_route import HTTPRoute
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import VirtualService
from sandbox.yaml_source.problems import Problems

if TYPE_CHECKING:
    from sandbox.compiler.services import Service
    from sandbox.istio.load import Configuration

VirtualServiceResource = Resource[VirtualService]
"""With hosts; in its ``spec`` names are long, and delegates have become rules of it."""


class ImportedHosts(Protocol):
    """What a Sidecar's egress listener imports from one namespace."""

    def matches_virtual_service(self, host: str) -> bool:
        """Whether a host of a VirtualService is imported: either covers the other."""

    def excluded(self, host: str) -> bool:
        """Whether an entry beginning with ``~`` takes the host out."""


class VirtualServiceIndex:
    """All VirtualServices by gateway: private ones, those exported to a namespace, public ones; each by age."""

    __slots__ = ("_bound", "_exported", "_private", "_public", "resolved")

    def __init__(
        self,
        virtual_services: Iterable[tuple[VirtualServiceResource, frozenset[str]]],
        resolved: Iterable[ResolvedVirtualService] = (),
    ) -> None:
        """``resolved``: what the next load may take over."""
        self.resolved = {id(item.read): item for item in resolved}
        self._private: dict[tuple[str, str], list[VirtualServiceResource]] = {}
        self._exported: dict[tuple[str, str], list[VirtualServiceResource]] = {}
        self._public: dict[str, list[VirtualServiceResource]] = {}
        self._bound: dict[str, list[VirtualServiceResource]] = {}
        for virtual_service, export_to in virtual_services:
            for gateway in virtual_service.spec.gateways or (MESH_GATEWAY,):
                self._bound.setdefault(gateway, []).append(virtual_service)
                self._add(virtual_service, export_to, gateway)

    def _add(self, virtual_service: VirtualServiceResource, export_to: frozenset[str], gateway: str) -> None:
        if PUBLIC in export_to:
            self._public.setdefault(gateway, []).append(virtual_service)
            return
        if NOBODY in export_to:
            return
        for namespace in sorted(export_to):
            lists = self._private if namespace == virtual_service.namespace else self._exported
            lists.setdefault((namespace, gateway), []).append(virtual_service)

    def for_gateway(self, namespace: str, gateway: str) -> tuple[VirtualServiceResource, ...]:
        """What proxies of a namespace see of a gateway (``mesh`` for sidecars), in order of precedence."""
        key = (namespace, gateway)
        return (*self._private.get(key, ()), *self._exported.get(key, ()), *self._public.get(gateway, ()))

    def bound_to(self, gateway: str) -> Sequence[VirtualServiceResource]:
        """All that name a gateway, whoever may see them."""
        return self._bound.get(gateway, ())

    def select(self, namespace: str, imports: Mapping[str, ImportedHosts]) -> tuple[VirtualServiceResource, ...]:
        """What one egress listener of a Sidecar imports; ``imports`` by namespace, ``*`` for any."""
        found: dict[tuple[str, str], VirtualServiceResource] = {}
        for virtual_service in self.for_gateway(namespace, MESH_GATEWAY):
            if _imported(virtual_service, imports):
                found.setdefault((virtual_service.namespace, virtual_service.name), virtual_service)
        return tuple(found.values())


def _imported(virtual_service: VirtualServiceResource, imports: Mapping[str, ImportedHosts]) -> bool:
    scopes = [imports[scope] for scope in (virtual_service.namespace, PUBLIC) if scope in imports]
    return any(
        any(scope.matches_virtual_service(host) for scope in scopes)
        and not any(scope.excluded(host) for scope in scopes)
        for host in virtual_service.spec.hosts
    )


def most_specific_virtual_services(
    virtual_services: Iterable[VirtualServiceResource], services: Iterable[Service]
) -> dict[str, tuple[str, str]]:
    """Host of a service to (namespace, name) of the VirtualService whose host names it most closely.

    Source: ``computeWildcardHostVirtualServiceIndex``; of equal hosts the first VirtualService counts.
    """
    index: HostIndex[tuple[str, str]] = HostIndex()
    for virtual_service in virtual_services:
        for host in virtual_service.spec.hosts:
            if index.get(host) is None:
                index.set(host, (virtual_service.namespace, virtual_service.name))
    found = {service.host: index.most_specific(service.host) for service in services} if len(index) else {}
    return {host: key for host, key in found.items() if key is not None}


def build_virtual_service_index(
    configuration: Configuration, domain: str, problems: Problems, previous: VirtualServiceIndex | None = None
) -> VirtualServiceIndex:
    """Resolve, merge and sort what is written; what delegation loses is reported. ``domain``: ``cluster.local``.

    Objects that are the same as at the load before (``previous``) are resolved already.
    """
    default = frozenset(configuration.mesh.default_virtual_service_export_to or (PUBLIC,))
    known = previous.resolved if previous is not None else {}
    resolved = [
        _resolved(resource, domain, default, known.get(id(resource)))
        for resource in by_creation_time(configuration.resources("VirtualService"))
    ]
    delegates = {item.key: item for item in resolved if not item.resource.spec.hosts}
    merged = (
        (_with_delegates(item.resource, delegates, problems), item.export_to)
        for item in resolved
        if item.resource.spec.hosts
    )
    return VirtualServiceIndex(merged, resolved)


@dataclass(frozen=True, slots=True)
class ResolvedVirtualService:
    """A VirtualService with long names, and the namespaces that may see it (``*`` for all)."""

    read: VirtualServiceResource
    """As it was read."""
    circumstances: tuple[object, ...]
    resource: VirtualServiceResource
    export_to: frozenset[str]

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.resource.namespace, self.resource.name


def _resolved(
    resource: VirtualServiceResource, domain: str, default: frozenset[str], known: ResolvedVirtualService | None
) -> ResolvedVirtualService:
    circumstances = (domain, default)
    if known is not None and known.read is resource and known.circumstances == circumstances:
        return known
    return ResolvedVirtualService(resource, circumstances, _resolve(resource, domain), _export_to(resource, default))


def _export_to(resource: VirtualServiceResource, default: frozenset[str]) -> frozenset[str]:
    export = frozenset(resource.spec.export_to) or default
    return frozenset(resource.namespace if scope == PRIVATE else scope for scope in export)


def _resolve(resource: VirtualServiceResource, domain: str) -> VirtualServiceResource:
    return replace(resource, spec=_resolve_spec(resource.spec, _Names(resource.namespace, domain)))


@dataclass(frozen=True, slots=True)
class _Names:
    """Where short names are written decides what they mean."""

    namespace: str
    domain: str

    def host(self, host: str) -> str:
        return resolve_host(host, self.namespace, self.domain)

    def gateways(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(resolve_gateway(name, self.namespace) for name in names)

    def destination(self, destination: Destination | None) -> Destination | None:
        if destination is None:
            return None
        host = self.host(destination.host)
        return destination if host == destination.host else replace(destination, host=host)

    def weighted(self, routes: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(replace(route, destination=self.destination(route.destination)) for route in routes)

    def matches(self, matches: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            replace(match, gateways=self.gateways(match.gateways)) if match.gateways else match for match in matches
        )

    def l4_rule(self, rule: Any) -> Any:
        return replace(rule, match=self.matches(rule.match), route=self.weighted(rule.route))


def _resolve_spec(spec: VirtualService, names: _Names) -> VirtualService:
    return replace(
        spec,
        hosts=tuple(names.host(host) for host in spec.hosts),
        gateways=names.gateways(spec.gateways),
        http=tuple(_resolve_rule(rule, names) for rule in spec.http),
        tls=tuple(names.l4_rule(rule) for rule in spec.tls),
        tcp=tuple(names.l4_rule(rule) for rule in spec.tcp),
    )


def _resolve_rule(rule: HTTPRoute, names: _Names) -> HTTPRoute:
    return replace(
        rule,
        match=names.matches(rule.match),
        route=names.weighted(rule.route),
        mirror=names.destination(rule.mirror),
        mirrors=tuple(replace(mirror, destination=names.destination(mirror.destination)) for mirror in rule.mirrors),
    )


def _with_delegates(
    root: VirtualServiceResource, delegates: Mapping[tuple[str, str], ResolvedVirtualService], problems: Problems
) -> VirtualServiceResource:
    if all(rule.delegate is None for rule in root.spec.http):
        return root
    rules: list[HTTPRoute] = []
    for rule in root.spec.http:
        rules.extend((rule,) if rule.delegate is None else _delegated_rules(root, rule, delegates, problems))
    return replace(root, spec=replace(root.spec, http=tuple(rules)))


def _delegated_rules(
    root: VirtualServiceResource,
    rule: HTTPRoute,
    delegates: Mapping[tuple[str, str], ResolvedVirtualService],
    problems: Problems,
) -> tuple[HTTPRoute, ...]:
    assert rule.delegate is not None
    namespace, name = rule.delegate.namespace or root.namespace, rule.delegate.name
    delegate = delegates.get((namespace, name))
    where = rule.origin_of("delegate")
    if delegate is None:
        message = f"the delegate VirtualService {namespace}/{name} does not exist: the rule is ignored"
        problems.report("SBX0511", message, where, severity="warning", hint="a delegate has no hosts and no gateways")
        return ()
    if not delegate.export_to & {PUBLIC, root.namespace}:
        message = f"the delegate VirtualService {namespace}/{name} is not exported to {root.namespace}"
        problems.report("SBX0512", f"{message}: the rule is ignored", where, severity="warning")
        return ()
    return merge_delegate(rule, delegate.resource.spec.http, problems)
