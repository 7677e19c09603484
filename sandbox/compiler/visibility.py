"""Who may see a service: exportTo, the mesh's default, and the mesh's ``serviceEntryVisibility``.

Source: Istio pilot/pkg/model/push_context.go (``serviceExportTo``), serviceentry_visibility.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sandbox.compiler.label_selectors import namespace_labels, selector_matches
from sandbox.compiler.services import Service
from sandbox.istio.mesh_config import MeshConfig
from sandbox.istio.mesh_service_settings import ServiceEntryVisibility, VisibilityMatchRule
from sandbox.istio.message import EMPTY
from sandbox.istio.resource import Resource

PUBLIC: Final = "*"
"""In ``exportTo``: every namespace."""
PRIVATE: Final = "."
"""The object's own namespace."""
NOBODY: Final = "~"
_TO_NOBODY: Final = frozenset({NOBODY})


def namespace_visibility(
    settings: ServiceEntryVisibility | None, namespaces: Iterable[Resource[Any]], used: Iterable[str]
) -> Mapping[str, str]:
    """By namespace PUBLIC, NAMESPACE or NONE: what the mesh allows ServiceEntries of that namespace."""
    if settings is None:
        return EMPTY
    labels = {namespace.name: namespace.metadata.labels for namespace in namespaces}
    return {name: _visibility(settings, namespace_labels(name, labels.get(name, EMPTY))) for name in (*labels, *used)}


def _visibility(settings: ServiceEntryVisibility, labels: Mapping[str, str]) -> str:
    for policy in settings.policies:
        if all(_rule_matches(rule, labels) for rule in policy.matching_rules):
            return _known(policy.visibility)
    return _known(settings.default_visibility)


def _known(visibility: str) -> str:
    return "PUBLIC" if visibility == "VISIBILITY_UNSPECIFIED" else visibility


def _rule_matches(rule: VisibilityMatchRule, labels: Mapping[str, str]) -> bool:
    return rule.namespace_selector is not None and selector_matches(rule.namespace_selector, labels)


class ServiceVisibility:
    """The effective visibility of services in one mesh."""

    __slots__ = ("_capped", "_default")

    def __init__(self, mesh: MeshConfig) -> None:
        self._default = frozenset(mesh.default_service_export_to or (PUBLIC,))
        settings = mesh.service_entry_visibility
        self._capped = settings is not None and settings.apply_to_sidecars

    def export_to(self, service: Service) -> frozenset[str]:
        """Namespaces, ``*``, ``.`` or ``~``."""
        export_to = service.export_to or self._default
        if export_to == _TO_NOBODY or not self._capped or service.visibility == "PUBLIC":
            return export_to
        own = export_to & {PUBLIC, PRIVATE, service.namespace}
        return frozenset({PRIVATE}) if service.visibility == "NAMESPACE" and own else _TO_NOBODY

    def visible(self, service: Service, namespace: str) -> bool:
        """Whether a namespace may see a service."""
        export_to = self.export_to(service)
        return (
            PUBLIC in export_to or namespace in export_to or (PRIVATE in export_to and service.namespace == namespace)
        )
