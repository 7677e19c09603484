"""What one workload may see: its Sidecar resource applied to the services and rules of the mesh.

Source: Istio pilot/pkg/model/sidecar.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from sandbox.compiler.destination_rules import ConsolidatedRule
from sandbox.compiler.proxy import Proxy
from sandbox.compiler.services import Service
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY
from sandbox.istio.resource import Resource
from sandbox.istio.sidecar import IstioEgressListener, OutboundTrafficPolicy, Sidecar
from sandbox.istio.virtual_service import VirtualService
from sandbox.plan.because import IstioDefault
from sandbox.yaml_source.span import Origin


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EgressListener:
    """One egress listener with what it imports (Istio's ``IstioEgressListenerWrapper``)."""

    listener: IstioEgressListener | None
    """None for the built-in catch-all."""
    match_port: bool = False
    """Whether only services with the listener's port are imported."""
    services: tuple[Service, ...] = ()
    """One for each imported host and address, in istiod's order."""
    virtual_services: tuple[Resource[VirtualService], ...] = ()
    """Resolved and merged with their delegates, in istiod's order."""
    most_specific_virtual_services: Mapping[str, tuple[str, str]] = EMPTY
    """Host of a service to (namespace, name) of the VirtualService with the most specific host for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundPolicy:
    """What happens to unknown destinations: REGISTRY_ONLY, ALLOW_ANY or ALLOW_ANY_DYNAMIC_DNS; gateways have none."""

    mode: str
    policy: OutboundTrafficPolicy | None = None
    """The Sidecar's own, with its egress proxy."""
    origin: Origin | IstioDefault


@dataclass(slots=True, kw_only=True, eq=False)
class SidecarScope:
    """The view of a Sidecar resource, a namespace, or a gateway's namespace; shared by all its proxies."""

    name: str
    namespace: str
    sidecar: Resource[Sidecar] | None = None
    egress_listeners: tuple[EgressListener, ...] = ()
    services: tuple[Service, ...] = ()
    """One for each host: what clusters are made of."""
    services_by_host: Mapping[str, Service] = EMPTY
    destination_rules: Mapping[str, tuple[ConsolidatedRule, ...]] = EMPTY
    outbound_policy: OutboundPolicy | None = None
    cache: dict[object, object] = field(default_factory=dict)
    """Things computed once for all proxies of this scope, by owner's key."""

    def service(self, host: str) -> Service | None:
        """The visible service of a host."""
        return self.services_by_host.get(host)

    def destination_rule(self, proxy: Proxy, host: str) -> ConsolidatedRule | None:
        """The DestinationRule of a visible service: one that selects the workload before those for all."""
        for_all = None
        for consolidated in self.destination_rules.get(host, ()):
            selector = consolidated.spec.workload_selector
            if selector is None:
                for_all = consolidated
            elif (
                consolidated.rule.namespace == self.namespace and selector.match_labels.items() <= proxy.labels.items()
            ):
                return consolidated
        return for_all

    def egress_listener_for_routes(self, port: int, bind: str = "") -> EgressListener | None:
        """The egress listener that serves a port, or a Unix socket (``port`` 0) by its path."""
        for egress in self.egress_listeners:
            if egress.listener is None or egress.listener.port is None:
                return egress
            if egress.listener.port.number == port and (port or egress.listener.bind == bind):
                return egress
        return None
