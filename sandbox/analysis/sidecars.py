"""Sidecars that select no pod, the same pod, or a whole namespace twice (istioctl's ``sidecar`` analyzers)."""

from __future__ import annotations

from sandbox.analysis import messages
from sandbox.analysis.mesh_index import MeshIndex, PodView, selector_text
from sandbox.istio.resource import Resource
from sandbox.istio.sidecar import Sidecar
from sandbox.yaml_source.problems import Problems

_IN_AMBIENT_POD = "selected workload is in ambient mode, the policy has no impact"
_IN_AMBIENT_NAMESPACE = "namespace is in ambient mode, the policy has no impact"


def analyze_sidecars(index: MeshIndex, problems: Problems) -> None:
    """IST0101, IST0110, IST0111 and IST0167."""
    by_pod: dict[tuple[str, str], list[Resource[Sidecar]]] = {}
    by_namespace: dict[str, list[Resource[Sidecar]]] = {}
    pods: dict[tuple[str, str], PodView] = {}
    for sidecar in index.each("Sidecar"):
        labels = sidecar.spec.workload_selector.labels if sidecar.spec.workload_selector is not None else {}
        if not labels:
            by_namespace.setdefault(sidecar.namespace, []).append(sidecar)
            continue
        selected = [pod for pod in index.selected(labels) if pod.namespace == sidecar.namespace]
        for pod in selected:
            pods[pod.namespace, pod.name] = pod
            by_pod.setdefault((pod.namespace, pod.name), []).append(sidecar)
        if not selected:
            origin = sidecar.spec.origin_of("workload_selector")
            messages.NOT_FOUND.report(problems, origin, "selector", selector_text(labels))
    told: set[int] = set()
    for key, sidecars in by_pod.items():
        _analyze_pod(pods[key], sidecars, told, problems)
    for namespace, sidecars in by_namespace.items():
        _analyze_namespace(namespace, sidecars, told, index, problems)


def _analyze_pod(pod: PodView, sidecars: list[Resource[Sidecar]], told: set[int], problems: Problems) -> None:
    if pod.ambient:
        _ineffective(sidecars, _IN_AMBIENT_POD, told, problems)
    elif len(sidecars) > 1:
        names = _names(sidecars)
        for sidecar in sidecars:
            origin = sidecar.metadata.origin_of("name")
            messages.CONFLICTING_SIDECAR_SELECTORS.report(problems, origin, names, pod.namespace, pod.name)


def _analyze_namespace(
    namespace: str, sidecars: list[Resource[Sidecar]], told: set[int], index: MeshIndex, problems: Problems
) -> None:
    if _is_ambient(namespace, index):
        _ineffective(sidecars, _IN_AMBIENT_NAMESPACE, told, problems)
    elif len(sidecars) > 1:
        for sidecar in sidecars:
            origin = sidecar.metadata.origin_of("name")
            messages.SIDECARS_WITHOUT_SELECTOR.report(problems, origin, _names(sidecars), namespace)


def _is_ambient(namespace: str, index: MeshIndex) -> bool:
    labels = next((entry.metadata.labels for entry in index.each("Namespace") if entry.name == namespace), {})
    if labels.get("istio-injection") == "enabled" or labels.get("istio.io/rev"):
        return False
    return labels.get("istio.io/dataplane-mode") == "ambient"


def _ineffective(sidecars: list[Resource[Sidecar]], why: str, told: set[int], problems: Problems) -> None:
    for sidecar in sidecars:
        if id(sidecar) not in told:
            told.add(id(sidecar))
            messages.INEFFECTIVE_POLICY.report(problems, sidecar.origin, why)


def _names(sidecars: list[Resource[Sidecar]]) -> str:
    return f"[{' '.join(sorted(sidecar.name for sidecar in sidecars))}]"
