"""What a pod mounts: the fields of volumes that say which Secrets and ConfigMaps become which files."""

from __future__ import annotations

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyToPath(Message):
    """``core/v1.KeyToPath``: a key of a Secret or ConfigMap, and its file."""

    key: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretVolumeSource(Message):
    """``core/v1.SecretVolumeSource``; without items every key is a file of its name."""

    secret_name: str = ""
    items: tuple[KeyToPath, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedProjection(Message):
    """``core/v1.ConfigMapVolumeSource``, ``SecretProjection`` and ``ConfigMapProjection``."""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeProjection(Message):
    """``core/v1.VolumeProjection``: one of the sources of a projected volume."""

    secret: NamedProjection | None = None
    config_map: NamedProjection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectedVolumeSource(Message):
    """``core/v1.ProjectedVolumeSource``: several sources in one directory."""

    sources: tuple[VolumeProjection, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Message):
    """``core/v1.Volume``, of the kinds whose content the configuration has."""

    name: str = ""
    secret: SecretVolumeSource | None = None
    config_map: NamedProjection | None = None
    projected: ProjectedVolumeSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeMount(Message):
    """``core/v1.VolumeMount``; with ``sub_path`` one file is mounted, not the directory."""

    name: str = ""
    mount_path: str = ""
    sub_path: str = ""
