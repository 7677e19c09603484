"""Which namespaces istiod looks at: the mesh's ``discoverySelectors`` (Istio pkg/kube/namespace/filter.go)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sandbox.compiler.label_selectors import namespace_labels, selector_matches
from sandbox.istio.load import Configuration
from sandbox.istio.message import EMPTY
from sandbox.istio.resource import Resource
from sandbox.yaml_source.problems import Problems

_CLUSTER_SCOPED: Final = frozenset({"Namespace", "Node"})


def discovered(configuration: Configuration, problems: Problems) -> Configuration:
    """The configuration without objects of namespaces that no selector picks; those are told, one for each namespace.

    A namespace that no file describes may have any labels: it counts as picked.
    """
    if not configuration.mesh.discovery_selectors:
        return configuration
    ignored = _ignored_namespaces(configuration)
    told: set[str] = set()
    kept: dict[str, tuple[Resource[Any], ...]] = {}
    for kind, resources in configuration.by_kind.items():
        if kind in _CLUSTER_SCOPED:
            kept[kind] = resources
            continue
        kept[kind] = tuple(resource for resource in resources if resource.namespace not in ignored)
        for resource in resources:
            if resource.namespace in ignored and resource.namespace not in told:
                told.add(resource.namespace)
                _report(resource, ignored[resource.namespace], problems)
    return replace(configuration, by_kind=kept)


def _ignored_namespaces(configuration: Configuration) -> Mapping[str, Resource[Any]]:
    selectors = configuration.mesh.discovery_selectors
    return {
        namespace.name: namespace
        for namespace in configuration.resources("Namespace")
        if not any(
            selector_matches(selector, namespace_labels(namespace.name, namespace.metadata.labels))
            for selector in selectors
        )
    } or EMPTY


def _report(resource: Resource[Any], namespace: Resource[Any], problems: Problems) -> None:
    problems.report(
        "SBX0407",
        f"{resource.ref} and what else is in namespace {namespace.name} is ignored:"
        " no selector of the mesh's discoverySelectors picks the namespace",
        resource.origin_of("metadata", "name"),
        hint="add a label that is selected to the namespace",
        severity="warning",
    )
