"""The outbound clusters of a proxy: one for each port of each visible service and each subset.

Source: Istio pilot/pkg/networking/core/cluster.go, cluster_builder.go.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sandbox.compiler.cluster_cache import ClusterOrder
from sandbox.compiler.cluster_cut import (
    ClusterCut,
    policy_reasons,
    report_crash,
    report_dynamic_outlier_detection,
    report_no_endpoints,
    service_reasons,
)
from sandbox.compiler.cluster_draft import ClusterDraft
from sandbox.compiler.connection_pools import NO_SETTINGS, apply_connection_pool, apply_h2_upgrade
from sandbox.compiler.destination_rules import ConsolidatedRule
from sandbox.compiler.dynamic_dns import is_dynamic_wildcard, lookup_family, service_cache
from sandbox.compiler.endpoints import EndpointBuilder, built
from sandbox.compiler.load_balancing import (
    CLUSTER_PROVIDED,
    ORIGINAL_DST,
    apply_load_balancer,
    apply_locality_config,
)
from sandbox.compiler.locality_priorities import LocalityGroup, apply_locality
from sandbox.compiler.locality_settings import (
    EffectiveSettings,
    compares_labels,
    effective_settings,
    splits_by_labels,
)
from sandbox.compiler.outlier_detections import apply_outlier_detection
from sandbox.compiler.protocols import Protocol
from sandbox.compiler.provenance import weightiest
from sandbox.compiler.services import Resolution, Service
from sandbox.compiler.traffic_policies import port_policy, subset_policy, with_baseline
from sandbox.compiler.upstream_tls import TlsSituation, apply_proxy_protocol, apply_tls, service_mtls_mode
from sandbox.istio.traffic_policy import TrafficPolicy
from sandbox.plan.base import Metadata, Percent, TypedExtensionConfig
from sandbox.plan.cluster import (
    Cluster,
    ClusterLoadAssignment,
    CustomClusterType,
    DynamicForwardProxyClusterConfig,
    LocalityLbEndpoints,
    OriginalDstLbConfig,
)
from sandbox.plan.listener import CaresDnsResolverConfig

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.sidecar_scope import SidecarScope

_TYPES: Final = {
    Resolution.CLIENT_SIDE_LB: "EDS",
    Resolution.DNS_LB: "STRICT_DNS",
    Resolution.DNS_ROUND_ROBIN_LB: "LOGICAL_DNS",
    Resolution.PASSTHROUGH: ORIGINAL_DST,
}
_DYNAMIC_PROTOCOLS: Final = frozenset({Protocol.HTTP, Protocol.TLS, Protocol.GRPC, Protocol.HTTP2})
_DNS_TYPES: Final = frozenset({"STRICT_DNS", "LOGICAL_DNS"})


class ClusterBuilder:
    """Builds the clusters of one proxy; what other proxies were told already is taken from the mesh's cache."""

    def __init__(self, push: PushContext, proxy: Proxy, scope: SidecarScope) -> None:
        self._push = push
        self._proxy = proxy
        self._scope = scope
        headers = proxy.metadata.proxy_config.proxy_headers
        self._lookup_family = lookup_family(push, proxy)
        self._preserve_case = headers is not None and bool(headers.preserve_http1_header_case)
        queries = push.features.dns_udp_max_queries
        self._resolver = TypedExtensionConfig(
            name="envoy.network.dns_resolver.cares", typed_config=CaresDnsResolverConfig(udp_max_queries=queries)
        )
        self._templates: dict[Hashable, Cluster] = {}
        self._class: Hashable = (
            proxy.node_type,
            proxy.supports_ipv4,
            proxy.supports_ipv6,
            proxy.region,
            proxy.zone,
            proxy.sub_zone,
            proxy.metadata.network_view,
            self._preserve_case,
            proxy.metadata.tls_client_cert_chain,
            proxy.metadata.tls_client_key,
            proxy.metadata.tls_client_root_cert,
        )

    def outbound(self, services: Iterable[Service]) -> dict[str, Cluster]:
        """All clusters of services, by name; of several with one name the first counts."""
        clusters: dict[str, Cluster] = {}
        cache, registry = self._push.cluster_cache, self._push.registry
        for service in services:
            if service.resolution is Resolution.ALIAS:
                continue
            rule = self._scope.destination_rule(self._proxy, service.host)
            order = ClusterOrder(
                service=service,
                rule=rule,
                proxy=(self._class, self._labels_that_matter(service, rule)),
                endpoints=registry.endpoints(service.host, service.namespace),
                service_accounts=registry.service_accounts(service),
            )
            made = cache.get(order)
            if made is None:
                before = self._push.problems.told
                made = tuple(self._of_service(service, rule))
                cache.put(order, made, reported=self._push.problems.told > before)
            for cluster in made:
                clusters.setdefault(cluster.name, cluster)
        return clusters

    def for_auto_passthrough(self) -> dict[str, Cluster]:
        """The clusters of gateways that pass mutual TLS on by its server name (``buildOutboundSniDnatClusters``)."""
        cuts = [
            ClusterCut(
                service=service, port=port, rule=self._scope.destination_rule(self._proxy, service.host), sni_dnat=True
            )
            for service in self._scope.services
            if not service.mesh_external
            for port in service.ports
            if port.protocol is not Protocol.UDP
        ]
        return {cluster.name: cluster for cut in cuts for cluster in self._with_subsets(cut)}

    def _labels_that_matter(self, service: Service, rule: ConsolidatedRule | None) -> Hashable:
        """The proxy's node, and its labels where failover priorities compare them with those of endpoints."""
        if service.node_local:
            return self._proxy.node_name, frozenset(self._proxy.labels.items())
        if compares_labels(self._push.mesh, service, rule.spec if rule is not None else None):
            return frozenset(self._proxy.labels.items())
        return None

    def _of_service(self, service: Service, rule: ConsolidatedRule | None) -> Iterator[Cluster]:
        dynamic = is_dynamic_wildcard(service)
        for port in service.ports:
            if port.protocol is Protocol.UDP or (dynamic and port.protocol not in _DYNAMIC_PROTOCOLS):
                continue
            cut = ClusterCut(service=service, port=port, rule=rule)
            yield from self._dynamic(cut) if dynamic else self._with_subsets(cut)

    def _with_subsets(self, cut: ClusterCut) -> Iterator[Cluster]:
        """The cluster of a port and those of the rule's subsets (``applyDestinationRule``)."""
        policy = self._policy_of(cut)
        kind = self._type_of(cut.service)
        groups = self._endpoint_builder(cut).resolved_by_name() if kind in _DNS_TYPES else None
        template = self._template(cut, kind) if groups != [] else None
        if template is not None:
            yield self._like(template, cut, policy, groups)
            return
        draft = self._new_draft(cut, kind, groups)
        if draft is None:
            report_no_endpoints(cut, self._push.problems)
            return
        self._apply_policy(draft, cut, policy, groups)
        self._finish(draft, cut, policy)
        cluster = draft.build()
        if cut.rule is None and cut.service.mesh_external and not cut.sni_dnat:
            self._templates[_template_key(cut, kind)] = cluster
        yield cluster
        for subset in cut.rule.spec.subsets if cut.rule is not None else ():
            of_subset = self._subset(replace(cut, subset=subset), policy, draft.type)
            if of_subset is not None:
                yield of_subset

    def _template(self, cut: ClusterCut, kind: str) -> Cluster | None:
        """A cluster like this one: outside the mesh and without a rule, they differ only in what ``_like`` sets."""
        if cut.rule is not None or not cut.service.mesh_external or cut.sni_dnat:
            return None
        return self._templates.get(_template_key(cut, kind))

    def _like(
        self, template: Cluster, cut: ClusterCut, policy: TrafficPolicy | None, groups: list[LocalityGroup] | None
    ) -> Cluster:
        """A copy of the template for another service or port."""
        endpoints = None
        if groups is not None:
            settings = effective_settings(self._push.mesh, None, cut.service)
            endpoints = self._by_priority(cut, settings, groups, ejecting=template.outlier_detection is not None)
        elif template.type == "EDS":
            endpoints = self._endpoint_builder(cut).discovered()
        override = cut.service.passthrough_target_ports.get(cut.port.number)
        metadata = {"services": [_described(cut.service)], "external": True}
        reasons = (*service_reasons(cut), *(policy_reasons(policy) if policy is not None else ()))
        return replace(
            template,
            name=cut.name,
            load_assignment=None
            if endpoints is None
            else ClusterLoadAssignment(cluster_name=cut.name, endpoints=endpoints),
            original_dst_lb_config=None
            if override is None or template.type != ORIGINAL_DST
            else OriginalDstLbConfig(upstream_port_override=override),
            metadata=Metadata(filter_metadata={"istio": metadata}),
            because=weightiest(reasons),
        )

    def _subset(self, cut: ClusterCut, general: TrafficPolicy | None, kind: str | None) -> Cluster | None:
        assert cut.subset is not None
        own = cut.subset.traffic_policy
        balancer = own.load_balancer if own is not None else None
        if balancer is not None and balancer.simple == "PASSTHROUGH":
            kind = ORIGINAL_DST
        groups = self._endpoint_builder(cut).resolved_by_name() if kind in _DNS_TYPES else None
        draft = self._new_draft(cut, kind, groups)
        if draft is None:
            report_no_endpoints(cut, self._push.problems)
            return None
        policy = subset_policy(general, own, cut.port.number)
        self._apply_policy(draft, cut, policy, groups)
        self._finish(draft, cut, policy)
        return draft.build()

    def _dynamic(self, cut: ClusterCut) -> Iterator[Cluster]:
        """A dynamic forward proxy: hosts under the wildcard are resolved as requests name them."""
        config = DynamicForwardProxyClusterConfig(dns_cache_config=service_cache(self._push, self._proxy, cut.service))
        draft = ClusterDraft(
            name=cut.name,
            dynamic=True,
            lb_policy=CLUSTER_PROVIDED,
            cluster_type=CustomClusterType(name="envoy.clusters.dynamic_forward_proxy", typed_config=config),
            because=list(service_reasons(cut)),
        )
        self._set_upstream_protocol(draft, cut.port.protocol)
        policy = self._policy_of(cut)
        self._apply_policy(draft, cut, policy, None)
        self._finish(draft, cut, policy)
        yield draft.build()

    # ---- steps

    def _policy_of(self, cut: ClusterCut) -> TrafficPolicy | None:
        general = cut.rule.spec.traffic_policy if cut.rule is not None else None
        policy, _ = port_policy(general, cut.port.number)
        return with_baseline(policy, self._push.mesh.default_traffic_policy)

    def _type_of(self, service: Service) -> str:
        """Istio's ``convertResolution``."""
        if service.resolution is Resolution.DNS_LB and service.race_first_tcp_connect:
            return "LOGICAL_DNS"
        if service.resolution is Resolution.PASSTHROUGH and not self._proxy.is_sidecar:
            return "EDS"
        headless = service.resolution is Resolution.PASSTHROUGH and service.is_kubernetes
        if headless and self._push.features.enable_eds_for_headless:
            return "EDS"
        return _TYPES.get(service.resolution, "EDS")

    def _endpoint_builder(self, cut: ClusterCut) -> EndpointBuilder:
        return EndpointBuilder(
            push=self._push,
            proxy=self._proxy,
            service=cut.service,
            port=cut.port,
            rule=cut.rule.spec if cut.rule is not None else None,
            subset=cut.subset_name,
            only_mutual_tls=cut.sni_dnat,
        )

    def _new_draft(self, cut: ClusterCut, kind: str | None, groups: list[LocalityGroup] | None) -> ClusterDraft | None:
        """The bare cluster (``buildCluster``); None for one resolved by name without endpoints."""
        service = cut.service
        draft = ClusterDraft(name=cut.name, type=kind, has_common_lb_config=True, because=list(service_reasons(cut)))
        if groups is not None:
            if not groups:
                return None
            draft.dns_lookup_family = "ALL" if service.race_first_tcp_connect else self._lookup_family
            draft.typed_dns_resolver_config = self._resolver
            draft.dns_jitter = self._push.features.dns_jitter
            draft.dns_refresh_rate = self._push.mesh.dns_refresh_rate
            draft.respect_dns_ttl = True
        override = service.passthrough_target_ports.get(cut.port.number)
        if kind == ORIGINAL_DST and override is not None:
            draft.original_dst = OriginalDstLbConfig(upstream_port_override=override)
        self._set_upstream_protocol(draft, cut.port.protocol)
        draft.keeps_sessions = service.keeps_sessions and cut.subset is None and not cut.sni_dnat
        draft.metadata["services"] = [_described(service)]
        return draft

    def _set_upstream_protocol(self, draft: ClusterDraft, protocol: Protocol) -> None:
        if protocol.is_http2:
            draft.http.version = "HTTP2"
            return
        if (protocol.is_http or protocol.is_unsupported) and self._preserve_case:
            draft.http.version = "HTTP1"
            draft.http.preserve_case = True
        if self._proxy.is_sidecar and protocol.is_unsupported:
            draft.http.version = "DOWNSTREAM"

    def _apply_policy(
        self, draft: ClusterDraft, cut: ClusterCut, policy: TrafficPolicy | None, groups: list[LocalityGroup] | None
    ) -> None:
        """Istio's ``applyTrafficPolicy``, in its order."""
        policy = policy if policy is not None else TrafficPolicy()
        mesh, protocol = self._push.mesh, cut.port.protocol
        pool = policy.connection_pool if policy.connection_pool is not None else NO_SETTINGS
        apply_h2_upgrade(draft, protocol, mesh, pool)
        apply_connection_pool(draft, mesh, pool, policy.retry_budget)
        forced = cut.service.supports_unhealthy_forced or self._push.features.send_unhealthy_endpoints
        if draft.dynamic and policy.outlier_detection is not None:
            report_dynamic_outlier_detection(cut, policy, self._push.problems)
        else:
            apply_outlier_detection(draft, policy.outlier_detection, unhealthy_are_told=forced)
        if draft.lb_policy != CLUSTER_PROVIDED:
            self._apply_load_balancing(draft, cut, policy, groups)
        if not cut.sni_dnat:
            apply_tls(draft, policy.tls, self._tls_situation(cut))
            apply_proxy_protocol(draft, policy.proxy_protocol)
        if draft.type == ORIGINAL_DST:
            draft.lb_policy = CLUSTER_PROVIDED
        draft.because.extend(policy_reasons(policy))

    def _apply_load_balancing(
        self, draft: ClusterDraft, cut: ClusterCut, policy: TrafficPolicy, groups: list[LocalityGroup] | None
    ) -> None:
        features = self._push.features
        told = (
            cut.service.supports_unhealthy_forced
            or features.send_unhealthy_endpoints
            or features.auto_send_unhealthy_endpoints
        )
        if draft.panic_threshold is None and told:
            draft.panic_threshold = Percent(value=0.0)
        settings = effective_settings(self._push.mesh, policy.load_balancer, cut.service)
        apply_locality_config(draft, settings, features)
        if groups is not None:
            draft.endpoints = self._by_priority(cut, settings, groups, ejecting=draft.outlier_detection is not None)
        apply_load_balancer(draft, policy.load_balancer, cut.port.protocol, features)

    def _by_priority(
        self, cut: ClusterCut, settings: EffectiveSettings, groups: list[LocalityGroup], *, ejecting: bool
    ) -> tuple[LocalityLbEndpoints, ...]:
        """Endpoints resolved by name; those of subsets are not split by labels, as in istiod."""
        by_labels = cut.subset is None and not cut.sni_dnat
        if by_labels and len(groups) > 1 and splits_by_labels(settings, ejecting=ejecting):
            report_crash(cut, self._push.problems)
        return built(apply_locality(groups, settings, self._proxy, failover=ejecting, by_labels=by_labels))

    def _tls_situation(self, cut: ClusterCut) -> TlsSituation:
        rule = cut.rule.spec if cut.rule is not None else None
        policy = rule.traffic_policy if rule is not None else None
        if cut.subset is not None:
            policy = cut.subset.traffic_policy
        dynamic = is_dynamic_wildcard(cut.service)
        return TlsSituation(
            push=self._push,
            proxy=self._proxy,
            service=cut.service,
            port=cut.port.number,
            subset=cut.subset_name,
            service_accounts=() if dynamic else self._push.registry.service_accounts(cut.service),
            with_selector=rule is not None and rule.workload_selector is not None,
            mtls_mode=service_mtls_mode(self._push, policy, cut.service, cut.port.number),
            dynamic=dynamic,
        )

    def _finish(self, draft: ClusterDraft, cut: ClusterCut, policy: TrafficPolicy | None) -> None:
        """Endpoints that are told, and the metadata that says where the cluster comes from."""
        if draft.type == "EDS":
            draft.endpoints = self._endpoint_builder(cut).discovered()
        if cut.service.mesh_external and cut.subset is None:
            draft.metadata["external"] = True
        if cut.rule is not None:
            rule = cut.rule.rule
            path = f"/apis/networking.istio.io/v1/namespaces/{rule.namespace}/destination-rule/{rule.name}"
            draft.metadata["config"] = path
            if policy is not None and policy.tls is not None and policy.tls.mode in ("SIMPLE", "MUTUAL"):
                draft.metadata["alpn_override"] = "false"
        if cut.subset is not None:
            draft.metadata["subset"] = cut.subset_name
        draft.because = list(weightiest(draft.because))


def _template_key(cut: ClusterCut, kind: str) -> Hashable:
    """Equal for services outside the mesh, without a rule, whose clusters are alike."""
    service = cut.service
    own = service.race_first_tcp_connect, service.traffic_distribution, service.keeps_sessions
    return kind, cut.port.protocol, own


def _described(service: Service) -> dict[str, str]:
    """The service, for metrics."""
    return {"host": service.host, "name": service.name, "namespace": service.namespace}
