"""Settings of the mesh configuration that select services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettingsSettings(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ServiceSettings.Settings``."""

    cluster_local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ServiceSettings``."""

    settings: ServiceSettingsSettings | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelectorRequirement(Message):
    """``istio.mesh.v1alpha1.LabelSelectorRequirement``."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelector(Message):
    """``istio.mesh.v1alpha1.LabelSelector``."""

    matchLabels: Mapping[str, str] = EMPTY
    matchExpressions: tuple[LabelSelectorRequirement, ...] = ()


Scope = Literal["LOCAL", "GLOBAL"]
"""``istio.mesh.v1alpha1.MeshConfig.ServiceScopeConfigs.Scope``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceScopeConfigs(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ServiceScopeConfigs``."""

    namespace_selector: LabelSelector | None = None
    services_selector: LabelSelector | None = None
    scope: Scope = "LOCAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityMatchRule(Message):
    """``istio.mesh.v1alpha1.ServiceEntryVisibility.MatchRule``."""

    namespace_selector: LabelSelector | None = None


Visibility = Literal["VISIBILITY_UNSPECIFIED", "NONE", "NAMESPACE", "PUBLIC"]
"""``istio.mesh.v1alpha1.ServiceEntryVisibility.Visibility``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityPolicy(Message):
    """``istio.mesh.v1alpha1.ServiceEntryVisibility.Policy``."""

    visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    matching_rules: tuple[VisibilityMatchRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntryVisibility(Message):
    """``istio.mesh.v1alpha1.ServiceEntryVisibility``."""

    default_visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    apply_to_sidecars: bool = False
    policies: tuple[VisibilityPolicy, ...] = ()
