"""Rules that several kinds share: annotations, exportTo, selectors, target references, gateway names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sandbox.istio import go_booleans
from sandbox.istio.authorization_policy import AuthorizationPolicy
from sandbox.istio.message import Message
from sandbox.istio.resource import Resource
from sandbox.istio.selector import PolicyTargetReference
from sandbox.istio.selector import WorkloadSelector as PolicySelector
from sandbox.istio.sidecar import WorkloadSelector
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.primitives import fqdn_fault, is_label, label_faults

_DRY_RUN: Final = "istio.io/dry-run"
_ALWAYS_REJECT: Final = "internal.istio.io/webhook-always-reject"
_INTERNAL: Final = ("internal.istio.io/parent-namespace", "internal.istio.io/parents")
_TARGETS: Final = frozenset(
    {
        ("", "Service"),
        ("core", "Service"),
        ("networking.istio.io", "ServiceEntry"),
        ("gateway.networking.k8s.io", "Gateway"),
        ("gateway.networking.k8s.io", "GatewayClass"),
    }
)


def check_annotations(resource: Resource[Message], findings: Findings) -> bool:
    """Annotations that no user may set; false if the object is refused for one, and nothing else is looked at."""
    metadata = resource.metadata
    before = len(findings.problems)
    dry_run = metadata.annotations.get(_DRY_RUN)
    if dry_run is not None:
        fault = _dry_run_fault(resource.spec, dry_run)
        findings.check(fault, metadata, "annotations", _DRY_RUN)
    if _ALWAYS_REJECT in metadata.annotations:
        findings.error(
            f"the annotation {_ALWAYS_REJECT} has the object refused", metadata, "annotations", _ALWAYS_REJECT
        )
    for name in _INTERNAL:
        if name in metadata.annotations:
            findings.error(f"the annotation {name} may not be set by users", metadata, "annotations", name)
    return len(findings.problems) == before


def _dry_run_fault(spec: Message, value: str) -> str | None:
    if not isinstance(spec, AuthorizationPolicy):
        return f"the annotation {_DRY_RUN} belongs to AuthorizationPolicy only"
    if spec.action not in ("ALLOW", "DENY"):
        return f"the annotation {_DRY_RUN} is for ALLOW and DENY, not for {spec.action}"
    return (
        None
        if value in go_booleans.TRUE | go_booleans.FALSE
        else f"the annotation {_DRY_RUN} is true or false, not {value!r}"
    )


def check_export_to(
    namespace: str,
    export_to: Sequence[str],
    at: Message,
    findings: Findings,
    *,
    service_entry: bool = False,
    with_selector: bool = False,
) -> None:
    """Where an object is visible: ``.``, ``*`` or namespaces, once each; ``~`` (nowhere) for ServiceEntry only."""
    seen: set[str] = set()
    for index, entry in enumerate(export_to):
        key = namespace if entry == "." else entry
        if key in seen:
            other = f". and current namespace {namespace}" if key != entry else f"entry {entry}"
            findings.error(f"duplicate entries in exportTo: {other}", at, "export_to", index)
        elif fault := _visibility_fault(key, service_entry=service_entry):
            findings.error(fault, at, "export_to", index)
        else:
            seen.add(key)
    if with_selector and seen and seen != {namespace}:
        message = "destination rule with workload selector cannot be exported beyond its own namespace"
        findings.error(message, at, "export_to")
    if "*" in seen and len(export_to) > 1:
        findings.error("cannot have both public (*) and non-public exportTo values", at, "export_to")
    if "~" in seen and len(export_to) > 1:
        findings.error("cannot export service entry to no one (~) and someone", at, "export_to")


def _visibility_fault(entry: str, *, service_entry: bool) -> str | None:
    if entry == "~":
        return None if service_entry else "exportTo ~ (none) is allowed for ServiceEntry only"
    if entry in (".", "*") or is_label(entry):
        return None
    return f"{entry!r} is no exportTo entry; it is . or * or the name of a namespace"


def check_labels(labels: Message, field: str, findings: Findings) -> None:
    """A map of labels, as of endpoints and subsets."""
    for key, fault in label_faults(getattr(labels, field)).items():
        findings.error(fault, labels, field, key)


def check_selector(selector: PolicySelector | WorkloadSelector | None, findings: Findings) -> tuple[bool, bool]:
    """No empty keys and no wildcards; gives whether it is sound, and whether it selects by any label."""
    if selector is None:
        return True, True
    field = "labels" if isinstance(selector, WorkloadSelector) else "match_labels"
    labels = getattr(selector, field)
    before = len(findings.problems)
    for key, value in labels.items():
        if not key:
            findings.error("empty key is not supported in selector", selector, field, key)
        if "*" in key or "*" in value:
            findings.error(f"wildcard is not supported in selector: {key}={value}", selector, field, key)
    return len(findings.problems) == before, bool(labels)


def check_policy_selector(selector: PolicySelector | None, findings: Findings) -> None:
    """The selector of a policy; one without labels selects everything, which istiod mentions."""
    _, labelled = check_selector(selector, findings)
    if selector is not None and not labelled:
        findings.warn("workload selector specified without labels", selector)


def check_attachment(
    spec: Message,
    selector: PolicySelector | None,
    target_ref: PolicyTargetReference | None,
    target_refs: Sequence[PolicyTargetReference],
    findings: Findings,
) -> None:
    """What a policy applies to: a selector, or references, but not both."""
    if sum((selector is not None, target_ref is not None, bool(target_refs))) > 1:
        findings.error("only one of targetRefs or workloadSelector can be set", spec)
    check_policy_selector(selector, findings)
    for reference in (*([target_ref] if target_ref is not None else []), *target_refs):
        _check_target(reference, findings)


def _check_target(reference: PolicyTargetReference, findings: Findings) -> None:
    if not reference.name:
        findings.error("targetRef name must be set", reference)
    if reference.namespace:
        message = "targetRef namespace must not be set; cross namespace referencing is not supported"
        findings.error(message, reference, "namespace")
    if (reference.group, reference.kind) not in _TARGETS:
        message = f"targetRef cannot be to {reference.group}/{reference.kind}"
        hint = "it is a Service, a ServiceEntry, or a Gateway or GatewayClass of gateway.networking.k8s.io"
        findings.error(message, reference, hint=hint)


def check_gateway_names(names: Sequence[str], at: Message, findings: Findings, *, any_name: bool = False) -> None:
    """Gateways as ``namespace/name``; after the first name without a namespace istiod looks no further."""
    for index, written in enumerate(names):
        namespace, slash, name = written.partition("/")
        if not slash:
            if "." in written:
                parts = written.split(".")
                message = f"using legacy gateway name format {written!r}"
                findings.warn(message, at, "gateways", index, hint=f"write {parts[1]}/{parts[0]}")
            findings.check(fqdn_fault(written), at, "gateways", index)
            return
        if not namespace or not name:
            findings.error("config namespace and gateway name cannot be empty", at, "gateways", index)
        if not is_label(namespace):
            findings.error(f"invalid value for namespace: {namespace!r}", at, "gateways", index)
        if not is_label(name) and not any_name:
            findings.error(f"invalid value for gateway name: {name!r}", at, "gateways", index)
