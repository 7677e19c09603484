"""Texts of YAML files into one typed configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.istio.mesh_config import MeshConfig
from sandbox.istio.message import EMPTY
from sandbox.istio.resource import Resource
from sandbox.yaml_source.problems import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that was read: objects by kind in file order, and the settings of the mesh."""

    by_kind: Mapping[str, tuple[Resource[Any], ...]] = EMPTY
    mesh: MeshConfig = field(default_factory=MeshConfig)
    mesh_given: bool = False
    pilot_env: Mapping[str, str] = EMPTY
    root_namespace: str = "istio-system"
    problems: Problems = field(default_factory=Problems)

    def resources(self, kind: str) -> tuple[Resource[Any], ...]:
        """All objects of a kind, in file order."""
        return self.by_kind.get(kind, ())


def load_texts(texts: Iterable[tuple[str, str]], default_namespace: str = "default") -> Configuration:
    """Read files given as (name, text); what is wrong with them is in ``problems``."""
    del texts, default_namespace
    return Configuration()
