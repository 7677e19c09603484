"""Settings of the mesh configuration that select services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettingsSettings(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ServiceSettings.Settings``: whether the hosts stay within their cluster."""

    cluster_local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ServiceSettings``: settings for some hosts."""

    settings: ServiceSettingsSettings | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelectorRequirement(Message):
    """``istio.mesh.v1alpha1.LabelSelectorRequirement``: a label, an operator and values."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelector(Message):
    """``istio.mesh.v1alpha1.LabelSelector``: labels that must be there, and conditions on labels."""

    matchLabels: Mapping[str, str] = EMPTY
    matchExpressions: tuple[LabelSelectorRequirement, ...] = ()


Scope = Literal["LOCAL", "GLOBAL"]
"""``istio.mesh.v1alpha1.MeshConfig.ServiceScopeConfigs.Scope``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceScopeConfigs(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ServiceScopeConfigs``: which services other clusters see."""

    namespace_selector: LabelSelector | None = None
    services_selector: LabelSelector | None = None
    scope: Scope = "LOCAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityMatchRule(Message):
    """``istio.mesh.v1alpha1.ServiceEntryVisibility.MatchRule``: namespaces a policy is for."""

    namespace_selector: LabelSelector | None = None


Visibility = Literal["VISIBILITY_UNSPECIFIED", "NONE", "NAMESPACE", "PUBLIC"]
"""``istio.mesh.v1alpha1.ServiceEntryVisibility.Visibility``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityPolicy(Message):
    """``istio.mesh.v1alpha1.ServiceEntryVisibility.Policy``: a visibility for the namespaces that match."""

    visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    matching_rules: tuple[VisibilityMatchRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntryVisibility(Message):
    """``istio.mesh.v1alpha1.ServiceEntryVisibility``: who sees whose ServiceEntries."""

    default_visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    apply_to_sidecars: bool = False
    policies: tuple[VisibilityPolicy, ...] = ()
