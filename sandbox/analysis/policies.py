"""Telemetry and AuthorizationPolicy: what they select and refer to; fields on their way out.

Source: istioctl's ``telemetry``, ``authz`` and ``deprecation`` analyzers.
"""

from __future__ import annotations

from sandbox.analysis import messages
from sandbox.analysis.mesh_index import MeshIndex, selector_text
from sandbox.istio.authorization_policy import AuthorizationPolicy, Source
from sandbox.istio.resource import Resource
from sandbox.istio.telemetry import Telemetry
from sandbox.yaml_source.problems import Problems


def analyze_telemetries(index: MeshIndex, problems: Problems) -> None:
    """IST0101, IST0157, IST0159 and IST0160."""
    by_pod: dict[tuple[str, str], list[Resource[Telemetry]]] = {}
    by_namespace: dict[str, list[Resource[Telemetry]]] = {}
    for telemetry in index.each("Telemetry"):
        _analyze_providers(telemetry, index, problems)
        if telemetry.spec.selector is None:
            by_namespace.setdefault(telemetry.namespace, []).append(telemetry)
            continue
        labels = telemetry.spec.selector.match_labels
        if not labels:
            continue
        selected = [pod for pod in index.selected(labels) if pod.namespace == telemetry.namespace]
        for pod in selected:
            by_pod.setdefault((pod.namespace, pod.name), []).append(telemetry)
        if not selected:
            messages.NOT_FOUND.report(problems, telemetry.spec.selector.origin, "selector", selector_text(labels))
    for (namespace, pod_name), telemetries in by_pod.items():
        for telemetry in telemetries if len(telemetries) > 1 else ():
            values = (_names(telemetries), namespace, pod_name)
            messages.CONFLICTING_TELEMETRY_SELECTORS.report(problems, telemetry.metadata.origin_of("name"), *values)
    for namespace, telemetries in by_namespace.items():
        for telemetry in telemetries if len(telemetries) > 1 else ():
            origin = telemetry.metadata.origin_of("name")
            messages.TELEMETRIES_WITHOUT_SELECTOR.report(problems, origin, _names(telemetries), namespace)


def _names(telemetries: list[Resource[Telemetry]]) -> str:
    return f"[{' '.join(sorted(telemetry.name for telemetry in telemetries))}]"


def _analyze_providers(telemetry: Resource[Telemetry], index: MeshIndex, problems: Problems) -> None:
    defaults = index.configuration.mesh.default_providers
    if defaults is not None and defaults.access_logging:
        return
    for logging in telemetry.spec.access_logging:
        if not logging.disabled and not logging.providers:
            messages.NO_PROVIDERS.report(problems, logging.origin, telemetry.name, telemetry.namespace)


def analyze_authorization_policies(index: MeshIndex, problems: Problems) -> None:
    """IST0127 for policies that meet no workload, IST0101 for namespaces that are not there."""
    for policy in index.each("AuthorizationPolicy"):
        _analyze_workloads(policy, index, problems)
        for rule in policy.spec.rules:
            for origin in rule.from_:
                if origin.source is not None:
                    _analyze_namespaces(origin.source, index, problems)


def _analyze_workloads(policy: Resource[AuthorizationPolicy], index: MeshIndex, problems: Problems) -> None:
    mesh_wide = policy.namespace == index.configuration.root_namespace
    if mesh_wide and policy.spec.selector is None:
        return
    labels = policy.spec.selector.match_labels if policy.spec.selector is not None else {}
    if not any(mesh_wide or pod.namespace == policy.namespace for pod in index.selected(labels)):
        origin = policy.spec.origin_of("selector")
        messages.NO_WORKLOADS.report(problems, origin, selector_text(labels))


def _analyze_namespaces(source: Source, index: MeshIndex, problems: Problems) -> None:
    known = [namespace.name for namespace in index.each("Namespace")]
    for field in ("namespaces", "not_namespaces"):
        for position, pattern in enumerate(getattr(source, field)):
            if not any(_covers(pattern, name) for name in known):
                messages.NOT_FOUND.report(problems, source.origin_of(field, position), "namespace", pattern)


def _covers(pattern: str, name: str) -> bool:
    if pattern.startswith("*"):
        return name.endswith(pattern.removeprefix("*"))
    if pattern.endswith("*"):
        return name.startswith(pattern.removesuffix("*"))
    return name.lower() == pattern.lower()


def analyze_deprecations(index: MeshIndex, problems: Problems) -> None:
    """IST0002."""
    for service in index.each("VirtualService"):
        for rule in service.spec.http:
            delay = rule.fault.delay if rule.fault is not None else None
            if delay is not None and delay.percent > 0:
                sentence = "HTTPRoute.fault.delay.percent is deprecated; use HTTPRoute.fault.delay.percentage"
                messages.DEPRECATED.report(problems, delay.origin_of("percent"), sentence)
    for sidecar in index.each("Sidecar"):
        policy = sidecar.spec.outbound_traffic_policy
        if policy is not None and policy.egress_proxy is not None:
            origin = policy.origin_of("egress_proxy")
            messages.DEPRECATED.report(problems, origin, "OutboundTrafficPolicy.EgressProxy ignored")
