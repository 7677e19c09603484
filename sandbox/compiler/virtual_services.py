"""VirtualServices as proxies use them: names resolved, delegates merged in, indexed by gateway and visibility.

Source: Istio pilot/pkg/model/virtualservice_controller.go and push_context.go (``initVirtualServices``); semantics 4.11,
4.12, 6.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from sandbox.compiler.delegates import merge_delegate
from sandbox.compiler.hosts import is_wildcard, most_specific_match, resolve_gateway_name, resolve_short_name
from sandbox.compiler.names import MESH_GATEWAY
from sandbox.istio.destination import Destination
from sandbox.istio.http_route import HTTPRoute
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import VirtualService
from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.span import Origin

if TYPE_CHECKING:
    from sandbox.compiler.services import Service
    from sandbox.istio.load import Configuration

PUBLIC: Final = "*"
PRIVATE: Final = "."
NOBODY: Final = "~"
_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MergedVirtualService:
    """One VirtualService with hosts; in ``spec`` names are long and delegates have become routes of it."""

    name: str
    namespace: str
    spec: VirtualService
    export_to: frozenset[str]
    """Namespaces, or ``*``; never ``.``."""
    origin: Origin
    delegated_by: Mapping[int, Origin] = field(default_factory=dict)
    """Index in ``spec.http`` to the line of the root's rule that delegates to it."""

    @property
    def gateways(self) -> tuple[str, ...]:
        """``namespace/name`` of its gateways, or ``mesh``."""
        return self.spec.gateways or (MESH_GATEWAY,)


class ImportedHosts(Protocol):
    """What a Sidecar's egress listener imports from one namespace."""

    def matches_virtual_service(self, host: str) -> bool:
        """Whether a host of a VirtualService is imported: either covers the other."""

    def excluded(self, host: str) -> bool:
        """Whether an entry beginning with ``~`` takes the host out."""


class VirtualServiceIndex:
    """All VirtualServices by gateway: private ones, those exported to a namespace, public ones; each by age."""

    __slots__ = ("_exported", "_private", "_public", "virtual_services")

    def __init__(self, virtual_services: Iterable[MergedVirtualService]) -> None:
        self.virtual_services = tuple(virtual_services)
        self._private: dict[tuple[str, str], list[MergedVirtualService]] = {}
        self._exported: dict[tuple[str, str], list[MergedVirtualService]] = {}
        self._public: dict[str, list[MergedVirtualService]] = {}
        for virtual_service in self.virtual_services:
            for gateway in virtual_service.gateways:
                self._add(virtual_service, gateway)

    def _add(self, virtual_service: MergedVirtualService, gateway: str) -> None:
        if PUBLIC in virtual_service.export_to:
            self._public.setdefault(gateway, []).append(virtual_service)
            return
        if NOBODY in virtual_service.export_to:
            return
        for namespace in sorted(virtual_service.export_to):
            lists = self._private if namespace == virtual_service.namespace else self._exported
            lists.setdefault((namespace, gateway), []).append(virtual_service)

    def for_gateway(self, namespace: str, gateway: str) -> tuple[MergedVirtualService, ...]:
        """What proxies of a namespace see of a gateway (``mesh`` for sidecars), in order of precedence."""
        key = (namespace, gateway)
        return (*self._private.get(key, ()), *self._exported.get(key, ()), *self._public.get(gateway, ()))

    def select(self, namespace: str, imports: Mapping[str, ImportedHosts]) -> tuple[MergedVirtualService, ...]:
        """What one egress listener of a Sidecar imports; ``imports`` by namespace, ``*`` for any (semantics 6.3)."""
        return tuple(
            dict.fromkeys(
                virtual_service
                for virtual_service in self.for_gateway(namespace, MESH_GATEWAY)
                if _imported(virtual_service, imports)
            )
        )


def _imported(virtual_service: MergedVirtualService, imports: Mapping[str, ImportedHosts]) -> bool:
    scopes = [imports[scope] for scope in (virtual_service.namespace, PUBLIC) if scope in imports]
    return any(
        any(scope.matches_virtual_service(host) for scope in scopes)
        and not any(scope.excluded(host) for scope in scopes)
        for host in virtual_service.spec.hosts
    )


def most_specific_wildcards(
    virtual_services: Iterable[MergedVirtualService], services: Iterable[Service]
) -> dict[str, MergedVirtualService]:
    """The VirtualService that names each service's host most closely (``computeWildcardHostVirtualServiceIndex``)."""
    exact: dict[str, MergedVirtualService] = {}
    patterns: dict[str, MergedVirtualService] = {}
    for virtual_service in virtual_services:
        for host in virtual_service.spec.hosts:
            (patterns if is_wildcard(host) else exact).setdefault(host, virtual_service)
    found = {service.host: most_specific_match(service.host, exact, patterns) for service in services}
    return {host: match[1] for host, match in found.items() if match is not None}


def build_virtual_service_index(configuration: Configuration, domain: str, problems: Problems) -> VirtualServiceIndex:
    """Resolve, merge and sort what is written; what delegation loses is reported. ``domain``: ``cluster.local``."""
    resources = sorted(configuration.resources("VirtualService"), key=_age)
    default = frozenset(configuration.mesh.default_virtual_service_export_to or (PUBLIC,))
    resolved = [_resolve(resource, domain, default) for resource in resources]
    delegates = {(item.namespace, item.name): item for item in resolved if not item.spec.hosts}
    return VirtualServiceIndex(_with_delegates(item, delegates, problems) for item in resolved if item.spec.hosts)


def _age(resource: Resource[Any]) -> tuple[datetime, str, str]:
    created: datetime | None = resource.metadata.creation_timestamp
    return (created or _BEFORE_ALL, resource.name, resource.namespace)


def _resolve(resource: Resource[VirtualService], domain: str, default_export: frozenset[str]) -> MergedVirtualService:
    namespace = resource.namespace
    export = frozenset(resource.spec.export_to) or default_export
    return MergedVirtualService(
        name=resource.name,
        namespace=namespace,
        spec=_resolve_spec(resource.spec, _Names(namespace, domain)),
        export_to=frozenset(namespace if scope == PRIVATE else scope for scope in export),
        origin=resource.origin,
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """Where short names are written decides what they mean."""

    namespace: str
    domain: str

    def host(self, host: str) -> str:
        return resolve_short_name(host, self.namespace, self.domain)

    def gateways(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(resolve_gateway_name(name, self.namespace) for name in names)

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
    root: MergedVirtualService,
    delegates: Mapping[tuple[str, str], MergedVirtualService],
    problems: Problems,
) -> MergedVirtualService:
    if all(rule.delegate is None for rule in root.spec.http):
        return root
    rules: list[HTTPRoute] = []
    delegated_by: dict[int, Origin] = {}
    for rule in root.spec.http:
        merged = _delegated_rules(root, rule, delegates, problems) if rule.delegate is not None else (rule,)
        if rule.delegate is not None:
            delegated_by.update((len(rules) + index, rule.origin) for index in range(len(merged)))
        rules.extend(merged)
    return replace(root, spec=replace(root.spec, http=tuple(rules)), delegated_by=delegated_by)


def _delegated_rules(
    root: MergedVirtualService,
    rule: HTTPRoute,
    delegates: Mapping[tuple[str, str], MergedVirtualService],
    problems: Problems,
) -> tuple[HTTPRoute, ...]:
    assert rule.delegate is not None
    namespace = rule.delegate.namespace or root.namespace
    delegate = delegates.get((namespace, rule.delegate.name))
    where = rule.origin_of("delegate")
    if delegate is None:
        message = f"the delegate VirtualService {namespace}/{rule.delegate.name} does not exist: the rule is ignored"
        problems.report("SBX0511", message, where, severity="warning", hint="a delegate has no hosts and no gateways")
        return ()
    if not delegate.export_to & {PUBLIC, root.namespace}:
        message = f"the delegate VirtualService {namespace}/{delegate.name} is not exported to {root.namespace}"
        problems.report("SBX0512", f"{message}: the rule is ignored", where, severity="warning")
        return ()
    return merge_delegate(rule, delegate.spec.http, problems)
