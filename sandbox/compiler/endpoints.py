"""The endpoints of one cluster as one proxy is told them.

Source: Istio pilot/pkg/xds/endpoints/endpoint_builder.go, mtls_checker.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from sandbox.compiler.label_selectors import canonical_service, selects
from sandbox.compiler.locality_priorities import LocalityGroup, apply_locality
from sandbox.compiler.locality_settings import effective_settings
from sandbox.compiler.proxy import is_ip_address
from sandbox.compiler.services import Health, Service, ServiceEndpoint, ServicePort
from sandbox.compiler.traffic_policies import find_subset, policy_of_subset, subset_labels
from sandbox.compiler.workloads import CLUSTER_ID, DISABLED_TLS_MODE, ISTIO_TLS_MODE
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.client_tls import ClientTLSSettings
from sandbox.istio.destination_rule import DestinationRule
from sandbox.istio.traffic_policy import TrafficPolicy
from sandbox.plan.base import Address, Metadata, Pipe, SocketAddress
from sandbox.plan.cluster import Endpoint, LbEndpoint, LocalityLbEndpoints

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

_SOCKET_MATCH: Final = "envoy.transport_socket_match"
_DRAINING_LABEL: Final = "istio.io/draining"
_PERSISTENT_SESSION_LABEL: Final = "istio.io/persistent-session"
_TOLD: Final = {Health.UNKNOWN: "UNKNOWN", Health.HEALTHY: "HEALTHY", Health.UNHEALTHY: "UNHEALTHY"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointBuilder:
    """Builds the endpoints of one port (and subset) of a service for one proxy."""

    push: PushContext
    proxy: Proxy
    service: Service
    port: ServicePort
    rule: DestinationRule | None
    subset: str = ""
    only_mutual_tls: bool = False
    """Leave out endpoints that are not reached with mutual TLS of the mesh (``EndpointsWithMTLSFilter``)."""

    def resolved_by_name(self) -> list[LocalityGroup]:
        """Endpoints of clusters whose names the proxy resolves, without priorities (``FromServiceEndpoints``)."""
        return self._groups(self.push.registry.endpoints_by_port(self.service, self.port.number))

    def discovered(self) -> tuple[LocalityLbEndpoints, ...]:
        """Endpoints of clusters whose endpoints istiod tells (``BuildClusterLoadAssignment``).

        A cluster's name has only the port's number: of several ports with it the first one's endpoints are told.
        """
        port = self.service.port(self.port.number) or self.port
        endpoints = self.push.registry.endpoints_by_port_name(self.service, port.name)
        groups = self._groups(endpoint for endpoint in endpoints if _has_address(endpoint))
        policy = policy_of_subset(self.rule, self.subset, self.port.number)
        settings = effective_settings(self.push.mesh, policy.load_balancer if policy else None, self.service)
        ejecting = policy is not None and policy.outlier_detection is not None
        groups = apply_locality(groups, settings, self.proxy, failover=ejecting)
        return tuple(group.build() for group in groups)

    def _groups(self, endpoints: Iterable[ServiceEndpoint]) -> list[LocalityGroup]:
        """By locality, in the order of their names (``generate``)."""
        wanted = subset_labels(self.rule, self.subset)
        mode = self._rule_tls_mode()
        told = self._unhealthy_are_told()
        found: dict[str, LocalityGroup] = {}
        for endpoint in endpoints:
            if selects(wanted, endpoint.labels) and self._usable(endpoint, unhealthy_are_told=told):
                group = found.setdefault(endpoint.locality, LocalityGroup(endpoint.locality))
                built_endpoint = self._build(endpoint, mode)
                if not self.only_mutual_tls or _is_mutual(built_endpoint):
                    group.members.append((endpoint, built_endpoint))
        for group in found.values():
            group.sum_weights()
        return [found[locality] for locality in sorted(found)]

    def _unhealthy_are_told(self) -> bool:
        features = self.push.features
        if self.service.supports_unhealthy_forced or features.send_unhealthy_endpoints:
            return True
        if not features.auto_send_unhealthy_endpoints:
            return False
        policy = policy_of_subset(self.rule, self.subset, self.port.number)
        detection = policy.outlier_detection if policy is not None else None
        return detection is None or detection.min_health_percent <= 0

    def _usable(self, endpoint: ServiceEndpoint, *, unhealthy_are_told: bool) -> bool:
        if self.service.node_local and endpoint.node_name != self.proxy.node_name:
            return False
        if endpoint.health is Health.TERMINATING or not self.proxy.sees_network(endpoint.network):
            return False
        if endpoint.health is Health.UNHEALTHY and not unhealthy_are_told:
            return False
        return not _is_draining(endpoint) or bool(self.service.labels.get(_PERSISTENT_SESSION_LABEL))

    def _build(self, endpoint: ServiceEndpoint, rule_mode: str | None) -> LbEndpoint:
        metadata: dict[str, dict[str, object]] = {}
        if endpoint.tls_mode not in ("", DISABLED_TLS_MODE) and self._mutual_tls(endpoint, rule_mode):
            metadata[_SOCKET_MATCH] = {"tlsMode": endpoint.tls_mode}
        metadata["istio"] = {"workload": _workload(endpoint)}
        return LbEndpoint(
            endpoint=Endpoint(address=_address(endpoint)),
            health_status="DRAINING" if _is_draining(endpoint) else _TOLD[endpoint.health],
            metadata=Metadata(filter_metadata=metadata),
            load_balancing_weight=endpoint.weight or 1,
            because=endpoint.because,
        )

    def _mutual_tls(self, endpoint: ServiceEndpoint, rule_mode: str | None) -> bool:
        """The rule's word, else what the endpoint's workload and its PeerAuthentications accept."""
        if rule_mode is not None:
            return rule_mode == "ISTIO_MUTUAL"
        if endpoint.tls_mode != ISTIO_TLS_MODE:
            return False
        mode = self.push.peer_authentications.workload_mode(endpoint.namespace, endpoint.labels, endpoint.port)
        return mode != "DISABLE"

    def _rule_tls_mode(self) -> str | None:
        """The mode the rule sets for this port and subset, if it does."""
        if self.rule is None:
            return None
        general = _tls_of_port(self.rule.traffic_policy, self.port.number)
        if not self.subset:
            return general.mode if general is not None else None
        subset = find_subset(self.rule, self.subset)
        own = _tls_of_port(subset.traffic_policy, self.port.number) if subset is not None else None
        chosen = own if own is not None else general if subset is not None else None
        return chosen.mode if chosen is not None else None


def _is_mutual(endpoint: LbEndpoint) -> bool:
    filters = endpoint.metadata.filter_metadata if endpoint.metadata is not None else None
    return filters is not None and filters.get(_SOCKET_MATCH, {}).get("tlsMode") == ISTIO_TLS_MODE


def _tls_of_port(policy: TrafficPolicy | None, port: int) -> ClientTLSSettings | None:
    if policy is None:
        return None
    for own in policy.port_level_settings:
        if own.port is not None and own.port.number == port and own.tls is not None:
            return own.tls
    return policy.tls


def _has_address(endpoint: ServiceEndpoint) -> bool:
    """Names cannot be told, only addresses and Unix sockets (port 0)."""
    address = endpoint.addresses[0] if endpoint.addresses else ""
    return not address or endpoint.port == 0 or is_ip_address(address)


def _is_draining(endpoint: ServiceEndpoint) -> bool:
    return endpoint.health is Health.DRAINING or bool(endpoint.labels.get(_DRAINING_LABEL))


def _address(endpoint: ServiceEndpoint) -> Address:
    if endpoint.port == 0:
        return Pipe(path=endpoint.addresses[0])
    return SocketAddress(address=endpoint.addresses[0], port_value=endpoint.port)


def _workload(endpoint: ServiceEndpoint) -> str:
    """``name;namespace;canonical-name;canonical-revision;cluster``, for metrics."""
    name, revision = canonical_service(endpoint.labels, endpoint.workload_name)
    revision = "" if revision == "latest" else revision
    return ";".join((endpoint.workload_name, endpoint.namespace, name, revision, CLUSTER_ID))


def built(groups: Sequence[LocalityGroup]) -> tuple[LocalityLbEndpoints, ...]:
    """Envoy's form of all groups."""
    return tuple(group.build() for group in groups)
