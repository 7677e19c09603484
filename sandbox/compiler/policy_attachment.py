"""Which policies apply to a workload: by selector, or by target reference for Kubernetes Gateways.

Source: Istio pilot/pkg/model/policyattachment.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.compiler.ages import by_creation_time
from sandbox.istio.resource import Resource
from sandbox.istio.selector import PolicyTargetReference

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.istio.load import Configuration

GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name"
_GATEWAY_API_GROUP = "gateway.networking.k8s.io"


def policies_for(configuration: Configuration, kind: str, proxy: Proxy) -> list[Resource[Any]]:
    """The policies of a kind that apply: those of the root namespace first, each namespace by age, then name."""
    ordered = by_creation_time(configuration.resources(kind))
    namespaces = dict.fromkeys((configuration.root_namespace, proxy.namespace))
    return [
        policy
        for namespace in namespaces
        for policy in ordered
        if policy.namespace == namespace and _attached(policy, proxy)
    ]


def _attached(policy: Resource[Any], proxy: Proxy) -> bool:
    references = _target_references(policy.spec)
    gateway = proxy.labels.get(GATEWAY_NAME_LABEL)
    if gateway is None:
        return not references and _selected(policy.spec, proxy.labels)
    if not references:
        return _selected(policy.spec, proxy.labels)
    return policy.namespace == proxy.namespace and any(
        _names_gateway(reference, gateway, proxy.namespace) for reference in references
    )


def _target_references(spec: Any) -> tuple[PolicyTargetReference, ...]:
    if spec.targetRefs:
        return tuple(spec.targetRefs)
    return () if spec.targetRef is None else (spec.targetRef,)


def _selected(spec: Any, labels: Mapping[str, str]) -> bool:
    selector = spec.selector
    return selector is None or all(labels.get(key) == value for key, value in selector.match_labels.items())


def _names_gateway(reference: PolicyTargetReference, gateway: str, namespace: str) -> bool:
    return (
        reference.kind == "Gateway"
        and reference.group == _GATEWAY_API_GROUP
        and reference.name == gateway
        and reference.namespace in ("", namespace)
    )
