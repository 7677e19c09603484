"""Everything istiod computes once for all proxies (Istio pilot/pkg/model/push_context.go)."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.collection_pause import collection_paused
from sandbox.compiler.ages import by_creation_time
from sandbox.compiler.cluster_cache import ClusterCache
from sandbox.compiler.destination_rules import DestinationRuleIndex, RuleSettings
from sandbox.compiler.discovery import discovered
from sandbox.compiler.features import Features, features_of
from sandbox.compiler.label_selectors import selects
from sandbox.compiler.peer_authentications import PeerAuthentications
from sandbox.compiler.plan_parts import PlanParts, circumstances_of
from sandbox.compiler.proxy import Proxy
from sandbox.compiler.service_registry import ServiceRegistry
from sandbox.compiler.services import Service, ServiceEndpoint
from sandbox.compiler.setting_checks import check_settings
from sandbox.compiler.sidecar_imports import gateway_scope, sidecar_scope
from sandbox.compiler.sidecar_scope import SidecarScope
from sandbox.compiler.virtual_services import VirtualServiceIndex, build_virtual_service_index
from sandbox.istio.load import Configuration
from sandbox.istio.mesh_config import MeshConfig
from sandbox.istio.resource import Resource
from sandbox.istio.sidecar import Sidecar
from sandbox.istio.virtual_service import VirtualService
from sandbox.yaml_source.problems import Problems


class PushContext:
    """The mesh as one configuration describes it; built once, shared by all proxies, never changed by them.

    From the context before it (``previous``) it takes over what was made of objects that are the same.
    """

    def __init__(self, configuration: Configuration, previous: PushContext | None = None) -> None:
        self.problems = Problems()
        configuration = discovered(configuration, self.problems)
        self.configuration = configuration
        self.mesh: MeshConfig = configuration.mesh
        self.root_namespace: str = configuration.root_namespace
        self.domain: str = configuration.domain_suffix
        self.features: Features = features_of(configuration.pilot_env)
        check_settings(configuration, self.problems)
        with collection_paused():
            self.registry: ServiceRegistry = _registry(configuration, self.features, previous)
            self.virtual_services: VirtualServiceIndex = build_virtual_service_index(
                configuration, self.domain, self.problems, previous.virtual_services if previous else None
            )
        self.destination_rules = DestinationRuleIndex(
            configuration.resources("DestinationRule"),
            self.root_namespace,
            frozenset(self.mesh.default_destination_rule_export_to or ("*",)),
            RuleSettings(self.features.enable_enhanced_destination_rule_merge, self.problems, self.domain),
        )
        self.peer_authentications = PeerAuthentications(
            configuration.resources("PeerAuthentication"), self.root_namespace
        )
        self._sidecars = _sidecars_by_namespace(configuration.resources("Sidecar"))
        self._scopes: dict[tuple[str, str, str], SidecarScope] = {}
        self.cluster_cache: ClusterCache = ClusterCache(
            configuration, self.features, previous.cluster_cache if previous else None
        )
        self.cache: dict[object, object] = {}
        """Things computed once for the mesh, by owner's key."""
        self._parts: list[PlanParts] = []
        self._parts_before: list[PlanParts] = previous._parts if previous is not None else []

    def plan_parts(self, scope: SidecarScope, facts: tuple[object, ...]) -> PlanParts:
        """The parts of one proxy's listeners and routes, with those of the load before that are still good."""
        circumstances = circumstances_of(self, scope, facts)
        before = next((parts for parts in self._parts_before if parts.circumstances == circumstances), None)
        parts = PlanParts(circumstances, self.problems, before)
        self._parts.append(parts)
        return parts

    # ---- services

    def services(self) -> Sequence[Service]:
        """All services of all registries in istiod's order."""
        return self.registry.services

    def services_of_host(self, host: str) -> Sequence[Service]:
        """The services of a host, one for each namespace that has it."""
        return tuple(self.registry.of_host(host).values())

    def service_of(self, host: str, namespace: str) -> Service | None:
        """The service of a host in a namespace."""
        return self.registry.of_host(host).get(namespace)

    def is_visible(self, service: Service, namespace: str) -> bool:
        """Whether a namespace may see a service."""
        return self.registry.visibility.visible(service, namespace)

    def endpoints_of(self, service: Service, port: int) -> Sequence[ServiceEndpoint]:
        """The endpoints of a service port, from all objects that describe the host in its namespace."""
        return self.registry.endpoints_by_port(service, port)

    # ---- rules

    def virtual_services_for_gateway(self, namespace: str, gateway: str) -> Sequence[Resource[VirtualService]]:
        """The VirtualServices bound to ``ns/gateway`` (or ``mesh``) that a namespace may see, in istiod's order."""
        return self.virtual_services.for_gateway(namespace, gateway)

    def sidecar_scope(self, proxy: Proxy) -> SidecarScope:
        """What a proxy may see; computed once for all proxies that see the same."""
        namespace = proxy.namespace
        sidecar = self._sidecar_of(proxy) if proxy.is_sidecar else None
        name = f"{sidecar.namespace}/{sidecar.name}" if sidecar is not None else ""
        key = (proxy.node_type, namespace, name)
        scope = self._scopes.get(key)
        if scope is None:
            scope = sidecar_scope(self, sidecar, namespace) if proxy.is_sidecar else gateway_scope(self, namespace)
            self._scopes[key] = scope
        return scope

    def _sidecar_of(self, proxy: Proxy) -> Resource[Sidecar] | None:
        """The first of the namespace whose selector fits, else the root namespace's without selector."""
        for sidecar in self._sidecars.get(proxy.namespace, ()):
            selector = sidecar.spec.workload_selector
            if selector is None or selects(selector.labels, proxy.labels):
                return sidecar
        of_root = self._sidecars.get(self.root_namespace, ())
        return next((sidecar for sidecar in of_root if sidecar.spec.workload_selector is None), None)


def _registry(configuration: Configuration, features: Features, previous: PushContext | None) -> ServiceRegistry:
    """The registry of the load before where nothing of it has changed."""
    if previous is not None and previous.registry.fits(configuration, features):
        return previous.registry
    return ServiceRegistry(configuration, features, previous.registry if previous is not None else None)


def _sidecars_by_namespace(sidecars: Sequence[Resource[Sidecar]]) -> dict[str, list[Resource[Sidecar]]]:
    """By namespace, those with a selector first, each group by age."""
    ordered = by_creation_time(sidecars)
    found: dict[str, list[Resource[Sidecar]]] = {}
    for sidecar in sorted(ordered, key=lambda sidecar: sidecar.spec.workload_selector is None):
        found.setdefault(sidecar.namespace, []).append(sidecar)
    return found
