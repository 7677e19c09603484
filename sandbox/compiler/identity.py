"""Whether something is the same as at the last load: objects by identity, settings by value and place."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.istio.mesh_config import MeshConfig


def same_objects(one: Sequence[object], other: Sequence[object]) -> bool:
    """Whether both are the very same objects in the same order."""
    return len(one) == len(other) and all(item is theirs for item, theirs in zip(one, other, strict=True))


def same_mesh(one: MeshConfig, other: MeshConfig) -> bool:
    """Whether both have the same settings, written at the same lines."""
    return one.place is other.place and one == other
